"""A run that became not finite and stayed so has no final value, wherever one is shown, and wins no comparison."""

import json
import math

import numpy as np
import pytest

from stepsize import Run, RunFolder, compare, report
from stepsize.cli import run
from stepsize.record import course_of, entry_of, standing_of
from stepsize.views import run_sheet

STEPS, BROKE = 300, 150


def log(path, broke=None, text="nan", lowest=0.2):
    """A log whose loss falls to ``lowest`` and is not a number from one step on."""
    rows = [
        f"{step},{text if broke is not None and step >= broke else lowest + 2 * 0.98**step},0.1"
        for step in range(STEPS)
    ]
    path.write_text("\n".join(["step,train_loss,lr", *rows, ""]))
    return str(path)


@pytest.fixture
def logs(tmp_path):
    return log(tmp_path / "good.csv"), log(tmp_path / "broken.csv", BROKE, lowest=0.01)


@pytest.fixture
def folder(tmp_path):
    """A run folder whose losses are ``null`` from step 100 on, as ``JsonLines`` writes what is not finite."""
    made = RunFolder(tmp_path / "run")
    made.write(task="digits", rate=0.1, steps=200, done=200, status="finished", metrics={"loss": None})
    lines = [{"step": step, "loss": 1.0 - step / 200 if step < 100 else None, "rate": 0.1} for step in range(200)]
    seen = [{"step": step, "validation_loss": 2.0 - step / 100 if step < 100 else None} for step in range(10, 201, 10)]
    for name, each in (("metrics", lines), ("validation", seen)):
        (made.path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in each))
    return str(made.path)


@pytest.mark.parametrize(
    ("values", "broken", "last"),
    [
        ([3.0, 2.0], None, 2.0),
        ([3.0, None, 2.0], None, 2.0),  # it came back
        ([3.0, None, 2.0, None, math.nan], 3.0, math.nan),
        ([math.inf, None], 0.0, math.nan),
    ],
)
def test_the_last_value_of_a_course_is_none_where_it_stayed_not_finite(values, broken, last):
    course = course_of([{"step": step, "loss": value} for step, value in enumerate(values)] + [{"step": 9}], "loss")
    assert course.broken == broken
    np.testing.assert_equal(course.last, last)
    assert np.isfinite(course.values).all()
    assert course_of([{"step": 9}], "loss") is None


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "NaN"])
def test_a_log_that_is_not_finite_at_its_end_is_not_the_lowest(tmp_path, text, capsys):
    good, broken = log(tmp_path / "good.csv"), log(tmp_path / "broken.csv", BROKE, text, lowest=0.01)
    found = compare(good, broken)
    ended = found.figures["training loss"]
    assert ended[0] == pytest.approx(0.2, abs=0.02)
    assert math.isnan(ended[1])
    assert found.notes == (f"{broken}: the training loss is not finite from step {BROKE} on",)
    assert found.broken("loss") == {broken: BROKE}
    assert compare(good, broken, by="share").broken("loss") == {broken: BROKE / STEPS}
    plain = json.loads(json.dumps(found.plain(), allow_nan=False))
    assert plain["figures"]["training loss"][1] is None
    assert plain["not_finite_from"] == {broken: {"loss": BROKE}}
    assert run(["compare", good, broken]) == 0
    out, notes = capsys.readouterr()
    assert "not finite" in out
    assert f"not finite from step {BROKE} on" in notes
    page = report([good, broken], tmp_path / "page.html").read_text(encoding="utf-8")
    assert "good.csv ended at the lowest training loss of 2 runs" in page
    assert "that of broken.csv was not finite at the end" in page
    assert "broken.csv ended" not in page


def test_of_runs_that_all_broke_none_is_the_lowest(tmp_path):
    both = [log(tmp_path / f"{name}.csv", BROKE) for name in "ab"]
    page = report(both, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "No training loss of 2 runs was finite at the end" in page


def test_a_run_folder_ends_at_no_number_and_keeps_its_best(folder, capsys):
    figures = entry_of(Run.open(folder), "a").figures
    assert all(math.isnan(figures[name]) for name in ("training loss", "validation loss", "gap"))
    assert (figures["best validation loss"], figures["at step"]) == (pytest.approx(1.1), 90)
    standing = standing_of(Run.open(folder), "a")
    assert math.isnan(standing.loss.last)
    assert standing.seen["validation_loss"].broken == 100
    assert run(["watch", "--once", folder]) == 0
    shown = capsys.readouterr().out
    assert "val loss not finite, lowest 1.1 at 90" in shown
    assert run(["watch", "--once", folder, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["loss"] is None
    assert answer["validation"] == {"validation_loss": None}
    assert run(["runs", folder]) == 0
    assert "loss not" in capsys.readouterr().out


def test_a_page_says_from_which_step_on_and_its_axis_reaches_the_end(tmp_path, logs):
    page = report(logs[1], tmp_path / "page.html").read_text(encoding="utf-8")
    assert f"not finite from step {BROKE} on" in page
    (band,) = run_sheet(Run.open(logs[1]))["loss"].bands
    assert (band.low, band.high) == (BROKE, STEPS - 1)
    assert not run_sheet(Run.open(logs[0]))["loss"].bands


def test_a_figure_of_a_validation_is_not_said_to_be_its_last_number(folder):
    lines = [{"step": step, "score": 1.0 if step < 3 else None} for step in range(5)]
    seen = Run(".", {}, [{"step": 0, "loss": 1.0}], lines)
    view = run_sheet(Run(Run.open(folder).folder, {}, seen.steps, seen.observed))["figure/score"]
    assert not view.notes
    assert "not finite at the last" in view.about


def test_a_loss_that_never_was_finite_has_a_line(tmp_path, capsys):
    never = log(tmp_path / "never.csv", 0)
    assert run(["watch", "--once", never]) == 0
    assert any(line.split() == ["loss", "not", "finite"] for line in capsys.readouterr().out.splitlines())
    good = log(tmp_path / "good.csv")
    assert math.isnan(compare(good, never).figures["training loss"][1])


def test_what_fills_the_steps_without_a_validation_is_no_broken_run(tmp_path):
    rows = [f"{step},{1 / (step + 1)},{2 / (step + 1) if step % 10 == 0 else 'nan'}" for step in range(95)]
    (tmp_path / "log.csv").write_text("\n".join(["step,loss,val_loss", *rows, ""]))
    entry = entry_of(Run.open(tmp_path / "log.csv"), "a")
    assert entry.figures["validation loss"] == 2 / 91
    assert not entry.broken
