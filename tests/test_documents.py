"""Every program in README and docs runs and prints what stands below it; every command does what is shown."""

import contextlib
import doctest
import io
import re
import shlex
from pathlib import Path

import pytest

from stepsize.cli import run

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md"), ROOT / "CONTRIBUTING.md"])
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ELSEWHERE = ("pip ", "make ", "git ", "tensorboard ", "python ")  # shown to people, not run here


def blocks():
    for path in DOCUMENTS:
        found = [(match[1], match[2]) for match in BLOCK.finditer(path.read_text(encoding="utf-8"))]
        for number, (kind, text) in enumerate(found):
            after = found[number + 1] if number + 1 < len(found) else ("", "")
            shown = after[1] if kind == "python" and after[0] == "text" else ""
            yield pytest.param(kind, text, shown, id=f"{path.relative_to(ROOT)}-{number}-{kind}")


def matches(wanted, got):
    return doctest.OutputChecker().check_output(wanted, got, doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)


@pytest.mark.parametrize(("kind", "text", "shown"), list(blocks()))
def test_a_block_is_what_it_says(kind, text, shown, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert kind in {"python", "text", "console", "yaml", "json"}, "a kind of block that nothing checks"
    if kind == "python":
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(text, "document", "exec"), {"__name__": "__main__"})
        assert matches(shown, printed.getvalue()), printed.getvalue()
    if kind == "console":
        for command, wanted in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
            if command.startswith(ELSEWHERE):
                continue
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                words = shlex.split(command)
                assert words[0] == "stepsize", f"{command} is not run by this test"
                assert run(words[1:]) == 0
            assert matches(wanted, printed.getvalue()), printed.getvalue()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_inside_the_project_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (path.parent / target).exists(), target


def test_the_page_of_schedules_is_what_its_script_writes():
    import runpy

    written = runpy.run_path(str(ROOT / "docs" / "generate.py"))["page"]()
    assert (ROOT / "docs" / "schedules.md").read_text(encoding="utf-8") == written, "run python docs/generate.py"
