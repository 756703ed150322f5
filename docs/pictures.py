"""Photographs the report of ``stepsize tune digits``, the run that README shows: ``python docs/pictures.py``.

Needs Playwright's Python package and a Chromium (``--chromium PATH``). What the command printed is kept beside the
pictures, and a test compares it with README.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent / "images"
WORDS = ("tune", "digits")
SAME = ("rate ", "trained ")  # how lines begin whose figures README shows
SUMMARY = """
    body { max-width: none !important; padding: 0 24px !important }
    header { margin-bottom: 16px !important }
    main { display: grid; grid-template-columns: repeat(3, 1fr); gap: 32px; margin: 0; align-items: end }
    nav, footer, details, figure button:not(.legend *), figcaption p, .readout { display: none !important }
    figure { margin: 0 !important; min-width: 0 }
"""
KEPT = """titles => {
    const charts = [...document.querySelectorAll("figure.chart")]
    const called = title => charts.find(chart => chart.querySelector("h3").textContent.startsWith(title))
    document.querySelector("main").replaceChildren(...titles.map(called))
}"""
CHARTS = ("How the rate was found", "The rate as applied", "Loss")


def main() -> None:
    """Run the command, and keep pictures of its report beside what it printed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "stepsize", *WORDS]
        done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
        pictures = photographed(next(Path(folder).glob("runs/*/report.html")), options.chromium)
    about = {
        "command": " ".join(("stepsize", *WORDS)),
        "lines": [line for line in done.stdout.splitlines() if line.startswith(SAME)],
        "pictures": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in pictures},
    }
    (HERE / "digits.json").write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def photographed(report: Path, chromium: str) -> list[Path]:
    """The top of the report as it opens, and its verdict with three of its charts side by side."""
    from playwright.sync_api import sync_playwright

    top, summary = HERE / "report.png", HERE / "report-summary.png"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1000, "height": 1650}, bypass_csp=True)  # to style it
        page.goto(report.absolute().as_uri())
        page.screenshot(path=top)
        page.set_viewport_size({"width": 1440, "height": 760})
        page.add_style_tag(content=SUMMARY)
        page.evaluate(KEPT, list(CHARTS))
        page.wait_for_timeout(500)  # charts follow the width
        page.screenshot(path=summary, clip={"x": 0, "y": 0, "width": 1440, "height": 760})
        browser.close()
    return [top, summary]


if __name__ == "__main__":
    main()
