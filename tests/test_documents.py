"""Every program in README and docs runs and prints what stands below it; every command does what is shown."""

import contextlib
import io
import math
import os
import re
import shlex
import sys
from pathlib import Path
from unittest import mock

import pytest

from stepsize.cli import run

ROOT = Path(__file__).parents[1]
BUILT = {"api", "build", "gallery"}  # what `make docs` writes; of docs/project all but its index is made, too
WRITTEN = [
    page
    for page in ROOT.glob("docs/**/*.md")
    if not BUILT & set(page.relative_to(ROOT).parts) and page.parent.name != "project"
]
DOCUMENTS = sorted([ROOT / "README.md", *WRITTEN, ROOT / "CONTRIBUTING.md"])
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"\A# (\w+\.(?:py|yaml))$", re.MULTILINE)  # a block that begins so is that file, for the others
SEARCHES = re.compile(r"^\$ stepsize (tune|find|sweep|scale|compare|course)\b", re.MULTILINE)  # they take seconds
ABSENT = {"deepspeed", "fastai", "keras", "torchtitan"}  # may be, where tests run
ELSEWHERE = ("pip ", "make ", "git ", "ray ", "tensorboard ", "torchrun ", "python ")  # shown to people, not run here


def blocks():
    for path in DOCUMENTS:
        found = [(match[1], match[2]) for match in BLOCK.finditer(path.read_text(encoding="utf-8"))]
        for number, (kind, text) in enumerate(found):
            after = found[number + 1] if number + 1 < len(found) else ("", "")
            shown = after[1] if kind == "python" and after[0] == "text" else ""
            files = {line[0]: code for _, code in found if (line := FILE.findall(code))}
            marks = [pytest.mark.slow] if kind == "console" and SEARCHES.search(text) and path.parent != ROOT else []
            yield pytest.param(kind, text, shown, files, id=f"{path.relative_to(ROOT)}-{number}-{kind}", marks=marks)


NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?")


def matches(wanted, got, tolerance):
    """The same words, and numbers within a tolerance: other processors round differently, and training amplifies it."""
    if NUMBER.sub("#", wanted).split() != NUMBER.sub("#", got).split():
        return False
    pairs = zip(NUMBER.findall(wanted), NUMBER.findall(got), strict=True)
    return all(float(a) == pytest.approx(float(b), rel=tolerance, abs=2e-3) for a, b in pairs)


@contextlib.contextmanager
def in_folder_with(files, folder):
    """In a folder with the files of a document, of which programs are imported anew."""
    with pytest.MonkeyPatch.context() as patch, mock.patch.dict(os.environ):
        patch.chdir(folder)
        patch.syspath_prepend(folder)
        patch.setattr(sys, "argv", ["program"])
        for name, code in files.items():
            Path(name).write_text(code, encoding="utf-8")
            patch.delitem(sys.modules, name.removesuffix(".py"), raising=False)
        yield


def execute(program):
    """Run a program of a document, where the packages that it is about are there, and return its names."""
    names = {"__name__": "__main__"}
    try:
        exec(compile(program, "document", "exec"), names)
    except ModuleNotFoundError as error:
        if error.name not in ABSENT:
            raise
        pytest.skip(f"{error.name} is not installed")
    return names


QUIET = (  # of others, about what is meant so
    "ignore::lightning.pytorch.utilities.warnings.PossibleUserWarning",
    "ignore:.isinstance.treespec, LeafSpec:FutureWarning",
    "ignore:.torch.jit.(script|interface). is deprecated:DeprecationWarning",
    "ignore::jsonargparse._deprecated.JsonargparseDeprecationWarning",  # LightningCLI's calls
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning",
    "ignore:The 'mode.chained_assignment' option is deprecated",  # fastai's
)


@pytest.mark.filterwarnings(*QUIET)
@pytest.mark.parametrize(("kind", "text", "shown", "files"), list(blocks()))
def test_a_block_is_what_it_says(kind, text, shown, files, tmp_path):
    assert kind in {"python", "text", "console", "yaml", "json"}, "a kind of block that nothing checks"
    if kind == "python":
        printed = io.StringIO()
        with in_folder_with(files, tmp_path), contextlib.redirect_stdout(printed):
            execute(text)
        assert matches(shown, printed.getvalue(), tolerance=0.02), printed.getvalue()
    if kind == "console":
        for command, wanted in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
            if command.startswith(ELSEWHERE):
                continue
            printed = io.StringIO()
            with in_folder_with(files, tmp_path), contextlib.redirect_stdout(printed):
                words = shlex.split(command)
                assert words[0] == "stepsize", f"{command} is not run by this test"
                assert run(words[1:]) == 0
            # a search and its times come out differently elsewhere; what is said does not
            assert matches(wanted, printed.getvalue(), tolerance=math.inf), printed.getvalue()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_block_of_code_escapes_these_tests(path):
    """Every fence that opens says of what kind its block is, and the blocks of a kind are all found."""
    fences = re.findall(r"^```.*$", path.read_text(encoding="utf-8"), re.MULTILINE)
    opening = [fence.removeprefix("```") for fence in fences[::2]]
    assert all(fence == "```" for fence in fences[1::2])
    assert all(opening), "a block without a kind"
    found = BLOCK.findall(path.read_text(encoding="utf-8"))
    assert [kind for kind in opening if not kind.startswith("{")] == [kind for kind, _ in found]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_inside_the_project_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (path.parent / target).exists(), target


def test_what_the_page_of_conventions_says_of_our_texts_is_so():
    """The other packages' figures were measured by docs/conventions.py; ours beside them are computed again here."""
    from stepsize import Schedule

    rows = re.findall(r"^\| (\w+) \| .*", (ROOT / "docs" / "conventions.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert {"stepsize", "torch", "transformers", "optax", "timm", "fastai"} <= set(rows)
    checked = 0
    for line in (ROOT / "docs" / "conventions.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) != 10 or not cells[7].startswith("`"):
            continue
        schedule = Schedule.parse(cells[7].strip("`"))
        first, peak, last, past = (float(cell.split()[0]) for cell in cells[3:7])
        at = int(re.search(r"step (\d+)", cells[4])[1])
        for step, value in ((0, first), (at, peak), (99, last), (110, past)):
            assert schedule(step) == pytest.approx(value, rel=1e-5, abs=2e-7), line
        checked += 1
    assert checked >= 18


def test_the_page_of_schedules_is_what_its_script_writes():
    import runpy

    written = runpy.run_path(str(ROOT / "docs" / "generate.py"))["page"]()
    assert (ROOT / "docs" / "schedules.md").read_text(encoding="utf-8") == written, "run python docs/generate.py"
