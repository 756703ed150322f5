"""Loops of others find their rate in at most five lines, those marked ``# +``; without these they are as they were."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import stepsize

LOOPS = Path(__file__).parents[1] / "examples" / "loops"
MARK = "# +"
STEPS = {
    "dcgan": 69,
    "diffusion": 46,
    "lightning_automatic": 80,
    "lightning_manual": 80,
    "mnist": 69,
    "nanogpt": 40,
    "ppo": 48,
    "segmentation": 46,
    "timm_amp": 46,
    "transformers_trainer": 40,
    "word_language_model": 60,
}
RATES = {  # of the originals
    "dcgan": 2e-4,
    "diffusion": 1e-4,
    "lightning_automatic": 1e-3,
    "lightning_manual": 2e-4,
    "mnist": 1,
    "nanogpt": 6e-4,
    "ppo": 2.5e-4,
    "segmentation": 0.1,
    "timm_amp": 5e-4,
    "transformers_trainer": 5e-5,
    "word_language_model": 20,
}
LOUD = ["ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning"]  # what trainers say themselves


def parted(text):
    """A file's marked statements, and its text without them."""
    lines = text.splitlines(keepends=True)
    marked = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.stmt) and lines[node.lineno - 1].rstrip().endswith(MARK)
    ]
    dropped = set()
    for node in marked:
        inside = getattr(node, "body", [])
        assert all(each in marked for each in inside)
        dropped |= {node.lineno} if inside else set(range(node.lineno, node.end_lineno + 1))
    return marked, "".join(line for number, line in enumerate(lines, 1) if number not in dropped)


def said(capsys):
    """What a loop has printed: its rate, and its score before and after."""
    out = capsys.readouterr().out
    rate = re.search(r"^learning rate (\S+)$", out, re.MULTILINE)
    scores = re.search(r"^\w+ (\S+), after training (\S+)$", out, re.MULTILINE)
    return float(rate[1]), float(scores[1]), float(scores[2])


def test_every_loop_is_here_and_in_the_table():
    names = {path.stem for path in LOOPS.glob("*.py")} - {"loop_data"}
    assert names == set(STEPS)
    assert len(names) >= 10
    table = (LOOPS.parent / "README.md").read_text()
    for name in names:
        marked, _ = parted((LOOPS / f"{name}.py").read_text())
        row = next(line for line in table.splitlines() if f"(loops/{name}.py)" in line)
        assert row.split("|")[3].strip() == str(len(marked))


@pytest.mark.parametrize("name", list(STEPS))
def test_a_loop_is_adopted_in_at_most_five_lines(name):
    text = (LOOPS / f"{name}.py").read_text()
    marked, plain = parted(text)
    assert 2 <= len(marked) <= 5
    assert MARK not in plain
    assert "stepsize" not in plain.split("def main")[1]
    assert not re.search(r"^(from|import) stepsize", plain, re.MULTILINE)


def test_nothing_is_left_in_the_loops_that_only_the_search_needs(tmp_path):
    for name in STEPS:
        (tmp_path / f"{name}.py").write_text(parted((LOOPS / f"{name}.py").read_text())[1])
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F", str(tmp_path)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


LONG = {"dcgan", "diffusion", "nanogpt", "ppo", "segmentation", "timm_amp", "transformers_trainer"}


@pytest.mark.filterwarnings(*LOUD)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in LONG else name for name in STEPS]
)
def test_a_loop_finds_its_rate_and_learns(name, monkeypatch, capsys, tmp_path):
    monkeypatch.delenv("STEPSIZE_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(LOOPS)
    findings = []
    search_of = stepsize.RateSearch.finding.fget
    monkeypatch.setattr(
        stepsize.RateSearch, "finding", property(lambda self: findings.append(search_of(self)) or findings[-1])
    )
    importlib.import_module(name).main(STEPS[name])
    rate, before, after = said(capsys)
    assert findings[-1].rate == pytest.approx(rate, rel=0.01)
    assert findings[-1].results
    assert after < before


@pytest.mark.filterwarnings(*LOUD)
@pytest.mark.parametrize(("name", "rate"), RATES.items())
def test_a_loop_without_the_lines_is_the_loop_it_was(name, rate, monkeypatch, capsys, tmp_path):
    monkeypatch.delenv("STEPSIZE_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(LOOPS)
    space = {"__name__": name}
    exec(compile(parted((LOOPS / f"{name}.py").read_text())[1], name, "exec"), space)
    space["main"](10)
    used, before, after = said(capsys)
    assert used == rate
    assert after != before
