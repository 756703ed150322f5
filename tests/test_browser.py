"""Pages in a real browser, opened from disk, without a network; skipped without Playwright or a Chromium."""

import runpy
import shutil
from pathlib import Path

import pytest
from site_built import built

from stepsize.cli import run

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright drives the browser")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("site"),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here"),
]
SCRIPTS = Path(__file__).parents[1] / "benchmarks" / "pages"


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return built(tmp_path_factory.getbasetemp() / "site")


@pytest.fixture
def reports(tmp_path, monkeypatch, capsys):
    """The pages of a run and of a sweep."""
    monkeypatch.chdir(tmp_path)
    assert run(["train", "linear-regression", "--lr", "0.05", "--steps", "40", "--out", "a"]) == 0
    sweep = ["sweep", "linear-regression", "--lr", "0.01:1:3", "--seeds", "3", "--steps", "20", "--engine", "serial"]
    assert run([*sweep, "--out", "b"]) == 0
    capsys.readouterr()
    return [tmp_path / "a" / "report.html", tmp_path / "b" / "report.html"]


def test_reports_ask_for_nothing_and_can_be_hovered_zoomed_filtered_and_read_without_scripts(browser, reports):
    script = runpy.run_path(str(SCRIPTS / "report_browser.py"))
    for path in reports:
        for width, scheme in script["SIZES"]:
            assert script["looked_at"](browser, path, width, scheme, None, None) == []
        assert script["without_script"](browser, path) == []


def test_the_main_pages_of_the_site_open_without_an_error_on_desktop_and_phone(browser, site, tmp_path):
    assert runpy.run_path(str(SCRIPTS / "site.py"))["looked_at"](browser, site, tmp_path) == []


def test_no_page_of_the_site_needs_a_network_or_is_wider_than_a_phone(browser, site):
    assert runpy.run_path(str(SCRIPTS / "site.py"))["opened"](browser, site) == []


def test_the_search_of_the_site_works_without_a_network(browser, site):
    assert runpy.run_path(str(SCRIPTS / "site.py"))["searched"](browser, site) == []


def test_the_first_page_leads_to_a_program_that_finds_a_rate(browser, site):
    assert runpy.run_path(str(SCRIPTS / "site.py"))["clicked"](browser, site) == []
