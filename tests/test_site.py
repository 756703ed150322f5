"""The site: every page is in its contents, every link inside leads to a page and a heading, every name is described."""

import importlib
import json
import os
import re
import subprocess
import sys

import pytest
from site_built import built
from test_documents import ROOT, WRITTEN

from stepsize import Schedule
from stepsize.schedule import PIECES

DOCS = ROOT / "docs"
sys.path.insert(0, str(DOCS))
_pages = importlib.import_module("_pages")
MADE = {"api/index", "gallery/index", *(page.removesuffix(".md") for page in _pages.BROUGHT.values())}
CODE = re.compile(r"`([^`\n]+)`")


def contents():
    """What the contents list, with what their globs mean."""
    for page in [*WRITTEN, DOCS / "project" / "index.md"]:
        for block in re.findall(
            r"^```\{toctree\}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
        ):
            for entry in filter(None, (line for line in block.splitlines() if not line.startswith(":"))):
                found = page.parent.glob(f"{entry}.md") if "*" in entry else [page.parent / f"{entry}.md"]
                yield from (path.relative_to(DOCS).as_posix().removesuffix(".md") for path in found)


def test_every_page_is_in_the_contents_once():
    unlisted = _pages.unlisted((DOCS / "index.md").read_text(encoding="utf-8"))  # the build adds them to the guides
    listed = sorted([*contents(), *unlisted])
    written = {page.relative_to(DOCS).as_posix().removesuffix(".md") for page in WRITTEN}
    assert listed == sorted((written | MADE | {"project/index"}) - {"index"})


def headings(path):
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for title in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).lower()
        yield re.sub(r"[^\w\- ]", "", words).replace(" ", "-")


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_links_to_a_heading_lead_to_one(page):
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#([^)]+)\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            path = page.parent / target if target else page
            assert anchor in set(headings(path)), f"{target}#{anchor}"


CARDS = dict(re.findall(r":::\{grid-item-card\} (.+)\n:link: (\S+)", (DOCS / "index.md").read_text(encoding="utf-8")))
SITUATIONS = ("own", "Lightning", "Trainer", "YAML", "GPUs", "teach", "no learning rate", "question", "another library")


@pytest.mark.parametrize("card", CARDS)
def test_a_card_of_the_first_page_leads_to_a_program_at_once(card):
    """At a heading the program stands below it; on a page, somewhere on it."""
    page, _, anchor = CARDS[card].partition("#")
    name = page.removesuffix(".html")
    if name == "gallery/index":  # made of the gallery's programs
        return
    text = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    if anchor:
        assert anchor in set(headings(DOCS / f"{name}.md"))
        titles = [title.partition("\n")[0] for title in text.split("\n## ")]
        (place,) = [n for n, title in enumerate(titles) if title.lower().replace("'", "").replace(" ", "-") == anchor]
        text = text.split("\n## ")[place]
    assert "```python\n" in text


def test_every_situation_has_a_card():
    for situation in SITUATIONS:
        assert any(situation in card for card in CARDS), situation


def test_who_has_no_rate_finds_a_program_that_finds_one_and_trains_behind_one_card():
    """test_documents.py runs it as it stands."""
    (target,) = [link for card, link in CARDS.items() if "no learning rate" in card]
    assert target == "start.html#no-rate-yet"
    section = (DOCS / "start.md").read_text(encoding="utf-8").partition("## No rate yet")[2].partition("\n## ")[0]
    (program,) = re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert all(word in program for word in ("RateSearch(", "run.batches()", "search.apply()", "Control("))


def test_every_public_name_is_described():
    import stepsize

    rooms = {room: list(importlib.import_module(f"stepsize.{room}").__all__) for room in stepsize._ROOMS}
    for room, names in rooms.items():
        known = {f"stepsize.{home}.{name}" for home, those in rooms.items() for name in those}
        assert [name for name in names if not _pages.is_described(room, name, known, rooms)] == [], (
            f"{room}: write a docstring; a plain value or an alias is described in docs/_constants.py"
        )


def test_what_is_written_of_other_libraries_is_a_schedule_of_ours():
    """Every schedule in the tables of equivalents can be read and laid over a run."""
    read = 0
    for line in (DOCS / "coming.md").read_text(encoding="utf-8").splitlines():
        for code in CODE.findall(line.rpartition(" | ")[2] if line.startswith("| ") else ""):
            if code.split("(")[0] in {*PIECES, "wsd", "noam"} and not re.search(r"\(\.\.\.\)|\)\.|from_function", code):
                Schedule.parse(code.replace("...", "10")).over(9_000, per_epoch=10)
                read += 1
    assert read > 40


def test_a_formula_stands_as_written():
    lines = ["One line.", "", "Formula:", "    f(t) = a * b * c", "", "Args:", "    a: a number."]
    _pages.formulas(None, "function", "f", None, None, lines)
    assert lines == ["One line.", "", "Formula::", "", "    f(t) = a * b * c", "", "", "Args:", "    a: a number."]


def test_links_of_the_projects_other_files_lead_to_pages():
    text = "[a](../README.md#x) [b](../benchmarks/finders/README.md#y) [c](find.md) [d](../benchmarks) `[e](f)(x.md)`"
    assert _pages.linked(text, "docs/control.md", "control.md") == (
        "[a](index.md#x) [b](project/finders.md#y) [c](find.md) d `[e](f)(x.md)`"
    )
    assert _pages.linked("[a](docs/find.md)", "CHANGELOG.md", "project/changelog.md") == "[a](../find.md)"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return built(tmp_path_factory.getbasetemp() / "site")


@pytest.mark.slow
@pytest.mark.xdist_group("site")
def test_the_site_builds_without_a_warning(site):
    assert (site / "searchindex.js").exists()


@pytest.mark.slow
@pytest.mark.xdist_group("site")
@pytest.mark.parametrize("name", ["a06_batch_size", "b01_by_hand"])
def test_a_page_of_the_gallery_is_a_notebook_that_runs_in_any_folder(site, name, tmp_path):
    (path,) = site.glob(f"_downloads/*/{name}.ipynb")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    assert f"/{name}.ipynb" in (site / "gallery" / f"{name}.html").read_text(encoding="utf-8")
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    program = "\n".join(line for text in code for line in text.splitlines() if not line.startswith("%"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "MPLBACKEND": "Agg"}
    words = [sys.executable, "-c", program]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-2_000:]
    assert done.stdout


GALLERY = sorted((ROOT / "examples" / "gallery").glob("[a-z]*.py"))


@pytest.mark.parametrize("page", GALLERY, ids=lambda page: page.stem)
def test_a_page_of_the_gallery_says_what_is_claimed_and_what_came_out_within_a_screen_or_two(page):
    text = page.read_text(encoding="utf-8")
    fields = dict(re.findall(r"^:(Topic|Claim|Result): (.+)$", text, re.MULTILINE))
    assert set(fields) == {"Topic", "Claim", "Result"}
    assert re.match(r"(held|partly|not held)\b", fields["Result"])
    assert len(text.splitlines()) <= 65
    compile(text, page.name, "exec")


def test_the_page_of_claims_is_what_its_script_writes_and_has_every_slide():
    import runpy

    written = runpy.run_path(str(DOCS / "claims.py"))["page"]()
    assert (DOCS / "claims.md").read_text(encoding="utf-8") == written, "run python docs/claims.py"
    rows = [row.strip("| ").split(" | ") for row in written.splitlines()]
    slides = [row for row in rows if re.fullmatch(r"[AB]\d+", row[0])]
    assert [row[0] for row in slides] == [f"A{n}" for n in range(1, 17)] + [f"B{n}" for n in range(1, 16)]
    assert {row[1].partition("gallery/")[2].removesuffix(")") for row in slides} == {page.name for page in GALLERY}
    assert all(re.match(r"(held|partly|not held)\b", row[3]) for row in slides)


def test_a_link_to_a_program_of_the_gallery_leads_to_its_page():
    text = "[a](../examples/gallery/a04_warmup.py) [b](../examples/gallery/README.rst)"
    assert _pages.linked(text, "docs/claims.md", "claims.md") == "[a](gallery/a04_warmup.rst) [b](gallery/index.rst)"


def test_every_question_has_code_that_runs_and_a_figure_with_its_source():
    text = (DOCS / "answers.md").read_text(encoding="utf-8")
    asked = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    assert len(asked) == 20
    for question in asked:
        title, _, answer = question.partition("\n")
        assert "```python\n" in answer, title
        prose = re.sub(r"```.*?```", "", answer, flags=re.DOTALL)
        assert re.search(r"\d", prose), f"{title}: no figure"
