"""What stands in a view: plans that raced, changes by hand, comparisons and their gaps, logs of others."""

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from stepsize import JsonLines, Record, Run, RunFolder, compare, sweep
from stepsize.cli import run
from stepsize.engine import serial
from stepsize.pages import comparison, picture
from stepsize.task import task_named
from stepsize.views import Band, Mark, Scale, Series, Sheet, View, compared, draw, run_sheet, series, sheet_figure

STEPS = 40


def loss_at(step, rate):
    return np.exp(-rate * np.asarray(step, float))


def write(folder, rate, seconds=10.0, events=(), **facts):
    """A run of known losses: e^(-rate t) in training, 0.1 more in validation."""
    made = RunFolder(folder)
    files = {"observed": made.path / "validation.jsonl", "events": made.path / "events.jsonl"}
    lines = JsonLines(made.path / "metrics.jsonl", **files)
    for step in range(STEPS):
        lines.on(Record(step, step, values={"loss": loss_at(step, rate), "rate": rate}))
        if step % 10 == 9:
            values = {"validation_loss": loss_at(step + 1, rate) + 0.1}
            lines.on(Record(step + 1, step + 1, "observed", values))
    for step, values, text in events:
        lines.on(Record(step, step, "event", values, text))
    lines.close()
    made.write(task="digits", rate=rate, steps=STEPS, done=STEPS, seconds=seconds, status="finished", **facts)
    return folder


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_gap_between_training_and_validation_is_shaded():
    gap = compared(compare(write("a", 0.01), write("b", 0.02)))["gap"]
    shaded = [line for line in gap.series if line.low]
    assert [line.name.split(":")[0] for line in shaded] == ["a", "b"]
    for line, rate in zip(shaded, (0.01, 0.02), strict=True):
        assert line.x == (10, 20, 30, 40)
        np.testing.assert_allclose(line.high, loss_at(line.x, rate) + 0.1)
        # training's mean over a twentieth, two steps, ends a step before the validation does
        np.testing.assert_allclose(line.low, loss_at(line.x, rate), rtol=0.05)


def test_of_many_runs_the_gaps_themselves_are_drawn():
    gap = compared(compare(*(write(f"r{number}", 0.01 * number) for number in range(1, 6))))["gap"]
    assert [mark.at for mark in gap.marks] == [0.0]
    assert len(gap.series) == 5
    for line in gap.series:
        np.testing.assert_allclose(line.y, 0.1, atol=0.05)


@pytest.mark.parametrize(("by", "last"), [("step", STEPS - 1), ("share", (STEPS - 1) / STEPS), ("time", None)])
def test_runs_lie_over_each_other_along_steps_time_or_share(by, last):
    write("a", 0.01), write("b", 0.02, seconds=30.0)
    sheet = compared(compare("a", "b", by=by))
    ends = [line.x[-1] for line in sheet["loss"].series]
    expected = [last, last] if last is not None else [10.0 * (STEPS - 1) / STEPS, 30.0 * (STEPS - 1) / STEPS]
    np.testing.assert_allclose(ends, expected)
    assert [line.name for line in sheet["loss"].series] == ["a: rate 0.01", "b: rate 0.02"]


def test_plot_and_compare_draw_runs_and_logs_of_others(capsys):
    write("a", 0.01)
    Path("log.jsonl").write_text("".join(json.dumps({"step": s, "train/loss": 1 / (s + 1)}) + "\n" for s in range(9)))
    assert run(["plot", "a", "log.jsonl", "--by", "share", "-o", "two.svg"]) == 0
    assert run(["compare", "a", "log.jsonl", "-o", "same.svg"]) == 0
    assert run(["plot", "log.jsonl"]) == 0
    assert capsys.readouterr().out.endswith("picture  same.svg\npicture  run.png\n")
    assert Path("run.png").read_bytes().startswith(b"\x89PNG")
    for name in ("two.svg", "same.svg"):
        drawn = Path(name).read_text()
        assert "log.jsonl" in drawn
        assert ("share of the run" in drawn) == (name == "two.svg")
    assert run(["plot", "cosine()", "--total", "9", "--by", "time"]) == 2
    assert "--by and --column are for runs" in capsys.readouterr().err
    with pytest.raises(ValueError, match=r"log\.jsonl is a log of others, beside which nothing is written"):
        picture("log.jsonl")


def test_changes_by_hand_are_marks_that_say_what_changed():
    by_hand = [
        (12, {"value": 0.5, "before": 0.01, "after": 0.005}, {"what": "scale", "group": "*", "reason": "noisy"}),
        (20, {"value": 0.7}, {"what": "feedback", "group": "*"}),
        (30, {"value": 1.0, "before": 5.0, "after": 1.0}, {"what": "clip", "group": "head"}),
    ]
    sheet = run_sheet(Run.open(write("a", 0.01, events=by_hand)))
    marks = {mark.at: mark.name for mark in sheet["rate"].marks}
    assert marks == {
        12: "scale 0.5, step 12: 0.01 → 0.005",
        20: "feedback changes the rate",
        30: "clip 1 of head, step 30: 5 → 1",
    }
    assert sorted(mark.at for mark in sheet["loss"].marks) == [12, 20, 30]


def test_of_many_changes_by_hand_the_number_is_said():
    event = {"value": 0.9, "before": 1.0, "after": 0.9}, {"what": "scale", "group": "*"}
    rate = run_sheet(Run.open(write("a", 0.01, events=[(step, *event) for step in range(30)])))["rate"]
    assert len(rate.marks) == 30
    assert [mark.name for mark in rate.marks if mark.name][-1] == "… and 25 more changes"


PLANS = {
    "verdict": "loss 0.2 after 16 of 60 steps",
    "plans": [
        {"optimizer": "sgd", "schedule": None, "rate": 0.5, "scores": {"8": 0.6, "16": 0.2}, "verdict": "found"},
        {"optimizer": "adamw", "schedule": None, "rate": 0.04, "scores": {"8": 0.7, "16": 0.3}, "verdict": "found"},
        {"optimizer": "lion", "schedule": None, "rate": None, "scores": {}, "verdict": "nothing"},
    ],
}


def test_the_plans_that_raced_show_winner_and_losers():
    Path(write("a", 0.01), "plans.json").write_text(json.dumps(PLANS))
    seen = run_sheet(Run.open("a"))["plans"]
    assert [words for _, words in sorted(seen.y.ticks, reverse=True)] == [
        "sgd\nrate 0.5",
        "adamw\nrate 0.04",
        "lion\nno usable rate",
    ]
    (winner,) = [line for line in seen.series if line.name == "winner"]
    assert (winner.x, winner.y) == ((0.2,), (3.0,))
    assert {line.name: line.x for line in seen.series if line.name != "winner"} == {
        "after 8 steps": (0.6, 0.7),
        "after 16 steps": (0.2, 0.3),
    }
    assert seen.caption == "Winner: sgd, rate 0.5: loss 0.2 after 16 of 60 steps"


@pytest.mark.parametrize("bad", [{"plans": 3}, {"plans": [{"rate": 0.1, "scores": {"a": 1.0}}]}, {"plans": [{}]}, []])
def test_plans_that_are_damaged_are_left_out_and_said(bad):
    Path(write("a", 0.01), "plans.json").write_text(json.dumps(bad))
    with pytest.warns(UserWarning, match=r"plans\.json.* left out"):
        assert Run.open("a").plans is None


def test_the_verdict_stands_below_the_evidence():
    trials = [{"rate": rate, "steps": 8, "score": rate} for rate in (0.1, 0.2)]
    found = {"rate": 0.1, "low": 0.05, "high": 0.2, "initial": 1.0, "trials": trials, "verdict": "lowest loss at 0.1"}
    Path(write("a", 0.01), "finding.json").write_text(json.dumps(found))
    seen = run_sheet(Run.open("a"))["finding"]
    assert seen.caption == "Rate 0.1, good between 0.05 and 0.2: lowest loss at 0.1"
    (words,) = [text for text in draw(seen).texts if "lowest" in text.get_text()]
    figure = words.axes.figure
    figure.savefig(io.BytesIO())  # lays it out
    edge = words.axes.xaxis.label.get_window_extent().y0
    assert 0 < words.get_window_extent().y0 < words.get_window_extent().y1 < edge
    legend = [text.get_text() for text in words.axes.get_legend().get_texts()]
    assert {"good: 0.05 to 0.2", "chosen: 0.1", "before training", "8 steps"} == set(legend)


def test_markers_and_bands_of_a_sweep_are_explained():
    from stepsize.sweeps import sweep_sheet

    swept = sweep(task_named("quadratic"), [0.01, 0.1, 1.0], 2, steps=20, folder="s", engine=serial)
    seen = sweep_sheet(swept)["loss"]
    assert "shaded: lowest to highest seed" in seen.title
    names = {line.marker: line.name for line in seen.series if line.name and not line.width}
    assert names == {"*": "best rate", "^": "a seed diverged, or ended higher"}


def test_the_table_of_a_sweep_fits_80_columns():
    from stepsize.cli._swept import best_table

    axes = {"optimizer": ["sgd(momentum=0.9)", "adamw"], "schedule": ["warmup(5%) >> cosine()", "linear()"]}
    task = task_named("linear-regression")
    swept = sweep(task, [1e-3, 1e-2], 2, steps=10, folder="s", engine=serial, **axes)
    screen = Console(width=80, file=io.StringIO())
    screen.print(best_table(swept))
    lines = screen.file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    heads = "settings best rate between loss validation breaks above"
    assert set(heads.split()) <= set(" ".join(lines[:3]).split())
    assert "sgd(momentum=0.9)," in screen.file.getvalue()


def test_a_piece_is_explained_without_writing_a_file(capsys):
    assert run(["schedules", "cosine"]) == 0
    assert "picture" not in capsys.readouterr().out
    assert [*Path().iterdir()] == []


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda: series([1], [2], colour="pink"), "colour must be"),
        (lambda: Series((1.0,), (1.0, 2.0)), "equally long"),
        (lambda: series([1], [2], marker="x"), "marker must be one of"),
        (lambda: series([1], [2], low=[1, 2], high=[1, 2]), "low"),
        (lambda: Band("z", 0, 1), "axis must be one of 'x', 'y'"),
        (lambda: Mark("x", 0, style="wavy"), "style must be one of"),
        (lambda: sheet_figure(Sheet("", ())), "one with views"),
        (lambda: comparison(["a"], "b.png"), "two to 12"),
    ],
)
def test_what_cannot_be_drawn_is_refused_where_it_is_given(make, rule):
    with pytest.raises((TypeError, ValueError, IndexError), match=rule):
        make()


def test_a_view_is_plain_data_that_json_takes():
    view = View("a", "A", Scale("x"), Scale("y"), (series([1, 2], [float("nan"), 3]),))
    assert json.loads(json.dumps(view.plain(), allow_nan=False))["series"][0]["y"] == [None, 3.0]


def test_the_picture_in_readme_is_of_the_run_that_its_text_shows():
    root = Path(__file__).parents[1]
    about = json.loads((root / "docs/images/digits.json").read_text())
    for name, digest in about["pictures"].items():
        picture = (root / "docs/images" / name).read_bytes()
        assert hashlib.sha256(picture).hexdigest() == digest, "run python docs/pictures.py"
    readme = (root / "README.md").read_text()
    assert "docs/images/report-summary.png" in readme
    assert "\n".join([f"$ {about['command']}", *about["lines"]]) in readme
