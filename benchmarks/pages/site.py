"""Opens the main pages of the site from disk, as readers do: phone and desktop, light and dark, and the search.

    python benchmarks/pages/site.py docs/build/html --out shots

Needs Playwright's Python package and a Chromium (``--chromium PATH``); measures nothing but that. For each page it
says what the console complained of and whether anything is wider than the screen, and writes a picture of each kind.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

PAGES = ("index", "start", "answers", "claims", "gallery/index", "gallery/a08_cyclical", "schedules", "api/control")
SCREENS = {"desktop": (1280, 900), "phone": (390, 844)}
SOUGHT = {"warmup": "schedules", "resume": "control", "LoRA": "answers", "plateau": "control"}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("site", type=Path, help="the built site, docs/build/html")
    parser.add_argument("--out", type=Path, default=Path("shots"), help="folder of the pictures")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    return parser.parse_args()


def looked_at(browser: Any, site: Path, out: Path) -> list[str]:
    """What is wrong with the pages; nothing, if all is well."""
    wrong = []
    for screen, (width, height) in SCREENS.items():
        for scheme in ("light", "dark"):
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme=scheme, offline=True, reduced_motion="reduce"
            )
            page = context.new_page()
            heard: list[str] = []
            page.on("console", lambda said, heard=heard: heard.append(said.text) if said.type == "error" else None)
            page.on("pageerror", lambda error, heard=heard: heard.append(str(error)))
            for name in PAGES:
                page.goto(f"file://{(site / name).resolve()}.html")
                page.screenshot(path=out / f"{name.replace('/', '-')}-{screen}-{scheme}.png")
                wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
                if wide > 1:
                    wrong.append(f"{name}, {screen}, {scheme}: {wide} pixels wider than the screen")
                wrong += [f"{name}, {screen}, {scheme}: {text}" for text in heard]
                heard.clear()
            context.close()
    return wrong


def opened(browser: Any, site: Path) -> list[str]:
    """What is wrong with any page at all, on a phone: errors, requests that need a network, width, pictures missing."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, offline=True, reduced_motion="reduce")
    page, wrong, heard = context.new_page(), list[str](), list[str]()
    page.on("console", lambda message: heard.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: heard.append(str(error)))
    missing = "[...document.images].filter(each => each.complete && !each.naturalWidth).map(each => each.src)"
    for path in sorted(site.glob("**/*.html")):
        if {"_static", "_sources"} & set(path.parts):
            continue
        page.goto(path.resolve().as_uri())
        name = path.relative_to(site).as_posix()
        if page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") > 1:
            wrong.append(f"{name}: wider than a phone")
        wrong += [f"{name}: {text}" for text in [*heard, *page.evaluate(missing)]]
        heard.clear()
    context.close()
    return wrong


def searched(browser: Any, site: Path) -> list[str]:
    """Words that the site's search, without a network, does not find on the page they belong to."""
    context = browser.new_context(offline=True)
    page, missed = context.new_page(), []
    for word, home in SOUGHT.items():
        page.goto(f"file://{site.resolve()}/search.html?q={word}")
        page.wait_for_selector("#search-results ul.search li", timeout=20_000)
        page.wait_for_timeout(1_500)
        found = page.eval_on_selector_all("#search-results ul.search li > a", "links => links.map(link => link.href)")
        if not any(f"/{home}.html" in link for link in found):
            missed.append(f"search for {word}: {len(found)} pages, not {home}")
        print(f"search for {word}: {len(found)} results, {home} at {place(found, home)}")
    context.close()
    return missed


def place(found: list[str], home: str) -> int | None:
    return next((number for number, link in enumerate(found, 1) if f"/{home}.html" in link), None)


def clicked(browser: Any, site: Path) -> list[str]:
    """From the first page to a program that finds a rate, in two clicks."""
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.goto(f"file://{site.resolve()}/index.html")
    page.get_by_text("I have no learning rate yet").first.click(force=True)  # the card is one link
    code = page.locator("#no-rate-yet pre").first.inner_text()
    context.close()
    print(f"one click to a program of {len(code.splitlines())} lines")
    return [] if "RateSearch" in code else ["the card about a rate leads to no program that finds one"]


def main() -> int:
    from playwright.sync_api import sync_playwright

    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=options.chromium, args=["--no-sandbox"])
        wrong = looked_at(browser, options.site, options.out)
        wrong += opened(browser, options.site) + searched(browser, options.site) + clicked(browser, options.site)
        browser.close()
    shots = len(PAGES) * len(SCREENS) * 2
    print(
        "\n".join(wrong) or f"{shots} pictures of {len(PAGES)} pages, no console error, nothing wider than the screen"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
