"""Pages in a real browser: no request, no error, hover, zoom and toggles work, all facts without script, axe-core.

Needs Playwright, a Chromium, and axe-core's axe.min.js (npm), none of which is installed with stepsize:

    python benchmarks/pages/report_browser.py PAGE.html ... --axe axe.min.js --pictures FOLDER
"""

import argparse
import sys
from pathlib import Path
from typing import Any

TALLEST = 12_000  # pixels of a picture
SIZES = ((390, "light"), (390, "dark"), (1440, "light"), (1440, "dark"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="+", type=Path)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--axe", type=Path)
    parser.add_argument("--pictures", type=Path)
    given = parser.parse_args()
    from playwright.sync_api import sync_playwright

    faults: list[str] = []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=given.chromium, args=["--no-sandbox"])
        for path in given.pages:
            for width, scheme in SIZES:
                faults += looked_at(browser, path, width, scheme, given.axe, given.pictures)
            faults += without_script(browser, path)
        browser.close()
    looks = len(given.pages) * len(SIZES)
    print("\n".join(faults) or f"report_browser: {len(given.pages)} pages, {looks} looks, nothing amiss")
    return bool(faults)


def opened(browser: Any, path: Path, faults: list[str], **options: Any) -> Any:
    """The page, which may load itself and nothing else."""
    page = browser.new_context(**options).new_page()
    here = path.absolute().as_uri()

    def route(call: Any) -> None:
        if call.request.url == here:
            call.continue_()
        else:
            faults.append(f"{path.name}: asks for {call.request.url[:200]}")
            call.abort()

    page.route("**/*", route)
    page.on("console", lambda said: faults.append(f"{path.name}: console {said.type}: {said.text[:300]}"))
    page.on("pageerror", lambda error: faults.append(f"{path.name}: {error}"))
    page.on("dialog", lambda dialog: (faults.append(f"{path.name}: dialog {dialog.message}"), dialog.dismiss()))
    page.goto(here)
    return page


def looked_at(browser: Any, path: Path, width: int, scheme: str, axe: Path | None, pictures: Path | None) -> list[str]:
    """What is wrong with a page on one screen."""
    faults: list[str] = []
    size = {"width": width, "height": 900}
    page = opened(browser, path, faults, viewport=size, color_scheme=scheme, bypass_csp=False)
    if page.evaluate("document.documentElement.scrollWidth") > width:
        faults.append(f"{path.name}: wider than {width} pixels")
    if pictures is not None:
        pictures.mkdir(parents=True, exist_ok=True)
        tall = min(page.evaluate("document.documentElement.scrollHeight"), TALLEST)
        clip = {"x": 0, "y": 0, "width": width, "height": tall}
        page.screenshot(path=pictures / f"{path.stem}-{width}-{scheme}.png", full_page=True, clip=clip)
    faults += [f"{path.name} {width} {scheme}: {fault}" for fault in used(page)]
    if axe is not None:
        page.evaluate(axe.read_text(encoding="utf-8"))
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        faults += [
            f"{path.name} {width} {scheme}: axe {each['impact']} {each['id']}: {each['nodes'][0]['html'][:200]}"
            for each in found["violations"]
        ]
    page.context.close()
    return faults


def used(page: Any) -> list[str]:
    """Hover, zoom, toggles and tables, tried as a person would."""
    faults = []
    charts = page.locator("figure.chart:not([data-still])")
    for number in range(min(charts.count(), 4)):
        chart = charts.nth(number)
        plot, readout = chart.locator(".plot"), chart.locator(".readout")
        plot.scroll_into_view_if_needed()
        plot.hover()
        if not any(each.isdigit() for each in readout.text_content()):
            faults.append(f"hovering over chart {number} says nothing")
        before = chart.locator(".grid text").all_text_contents()
        chart.get_by_role("button", name="Zoom in").click()
        if chart.locator(".grid text").all_text_contents() == before:
            faults.append(f"zooming changes nothing in chart {number}")
        chart.get_by_role("button", name="Show all").click()
        if chart.locator(".grid text").all_text_contents() != before:
            faults.append(f"showing all of chart {number} does not give back its ticks")
        plot.focus()
        page.keyboard.press("ArrowRight")
        if not readout.text_content():
            faults.append(f"the keyboard reads nothing from chart {number}")
        for toggle in chart.locator(".legend li[data-s] button").all()[:1]:
            toggle.click()
            hidden = chart.locator("g[data-s][visibility=hidden]").count()
            toggle.click()
            if not hidden or chart.locator("g[data-s][visibility=hidden]").count():
                faults.append(f"hiding a curve of chart {number} does not work")
        scale = chart.get_by_role("button", name="logarithmic y axis")
        if scale.is_enabled():
            state = scale.get_attribute("aria-pressed")
            scale.click()
            if scale.get_attribute("aria-pressed") == state:
                faults.append(f"the scale of chart {number} stays as it is")
            scale.click()
    many = page.locator("table.many")
    if many.count():
        page.get_by_label("Rows with").first.fill("seed = 1")
        shown = many.first.locator("tbody tr:visible").count()
        if not 0 < shown < many.first.locator("tbody tr").count():
            faults.append("the filter does not filter")
        page.get_by_label("Rows with").first.fill("")
    return faults


def without_script(browser: Any, path: Path) -> list[str]:
    """What is not there without script: every text of the page with it must be, but for its buttons."""
    faults: list[str] = []
    plain = opened(browser, path, faults, java_script_enabled=False)
    content = plain.content()
    plain.context.close()
    scripted = opened(browser, path, faults)
    texts = scripted.evaluate(
        "[...document.querySelectorAll('h1, h2, h3, dd, pre, td, figcaption p, main p:not(.readout)')]"
        ".map(each => each.innerHTML).filter(Boolean)"
    )
    missing = [text for text in texts if text not in content]
    scripted.context.close()
    return [*faults, *(f"{path.name}: without script there is no {text[:80]!r}" for text in missing[:3])]


if __name__ == "__main__":
    sys.exit(main())
