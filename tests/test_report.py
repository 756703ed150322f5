"""The page of a run, a sweep, a finding, several: its figures are the record's, and nothing in it can do harm."""

import base64
import hashlib
import itertools
import json
import math
import re
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pages import read

from stepsize import Control, JsonLines, Record, Run, RunFolder, Sweep, cosine, diagnose, find, report, sweep
from stepsize.cli import run as command
from stepsize.engine import serial
from stepsize.pages._commands import command_line, repeats
from stepsize.pages._found_parts import cliff_of
from stepsize.pages._numbers import exact, text_of, ticks
from stepsize.record import RecordWarning
from stepsize.task import task_named
from stepsize.views import Scale, View, run_sheet, series

QUADRATIC = task_named("quadratic")


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def recorded(name="runs/a", steps=20, observed=True, **facts):
    """A folder with a run in it."""
    folder = RunFolder(name)
    folder.write(**{"task": "digits", "rate": 0.1, "steps": steps, "status": "finished", **facts})
    validation = f"{name}/validation.jsonl" if observed else None
    lines = JsonLines(f"{name}/metrics.jsonl", observed=validation)
    for step in range(steps):
        lines.on(Record(step, step, values={"loss": 1 / (step + 3), "rate": 0.1 * (1 - step / steps)}))
        if observed and step % 5 == 0:
            lines.on(Record(step, step, "observed", {"validation_loss": 1.5 / (step + 3), "accuracy": step / steps}))
    lines.close()
    return Path(name)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """A run of the command tune, with its page."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("tuned"))
        assert command(["tune", "linear-regression", "--steps", "60", "--seed", "3", "--out", "run"]) == 0
        return Path("run").absolute()


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("swept")
    return sweep(QUADRATIC, [0.01, 0.1, 3.0], 2, steps=20, folder=folder / "s", engine=serial, momentum=[0.0, 0.5, 0.9])


# figures in the page are those of the record


def test_the_page_of_a_run_says_what_run_json_says(tuned):
    page, facts = read(tuned / "report.html"), json.loads((tuned / "run.json").read_text())
    finding = json.loads((tuned / "finding.json").read_text())
    verdict = dict(page.headings)["h1"]
    assert text_of(facts["rate"], 3) in verdict
    assert text_of(finding["low"], 3) in verdict
    assert text_of(facts["metrics"]["validation_loss"]) in verdict
    assert page.facts["validation loss"] == text_of(facts["metrics"]["validation_loss"])
    assert page.facts["training loss"] == text_of(facts["metrics"]["loss"])
    assert page.facts["seed"] == "3"
    assert page.facts["torch"] == facts["versions"]["torch"]
    assert page.facts["started"] == facts["started"]
    assert "stepsize tune linear-regression --steps 60 --seed 3" in page.codes  # without the folder, which is taken
    assert facts["plan"] in page.codes


def test_the_numbers_behind_each_chart_are_those_of_the_record(tuned):
    page, run = read(tuned / "report.html"), Run.open(tuned)
    (loss,) = page.links["loss.csv"]
    head, *rows = loss
    kept = {int(row[0]): dict(zip(head, row, strict=True)) for row in rows}
    assert [float(kept[line["step"]]["training"]) for line in run.steps] == [line["loss"] for line in run.steps]
    seen = [line for line in run.observed if "validation_loss" in line]
    assert [float(kept[line["step"]]["validation"]) for line in seen] == [line["validation_loss"] for line in seen]
    table = page.table("step", "training", "validation")
    for row in table:  # the same, with the digits that can be read
        for name in ("training", "validation"):
            full = kept[int(row["step"])][name]
            assert (row[name] == "") == (full == "")
            assert not full or float(row[name]) == pytest.approx(float(full), rel=1e-5)


def test_every_short_run_is_in_the_page(tuned):
    trials = json.loads((tuned / "finding.json").read_text())["trials"]
    rows = read(tuned / "report.html").table("rate", "steps", "score")
    assert [float(row["rate"]) for row in rows] == [trial["rate"] for trial in trials]
    scores = [math.nan if row["score"] in ("", "\N{EN DASH}") else float(row["score"]) for row in rows]
    assert scores == pytest.approx([math.nan if t["score"] is None else t["score"] for t in trials], nan_ok=True)


def test_what_a_chart_draws_are_its_numbers(tuned):
    """A line's place in the field, turned back through the axes, is the value that stands in the table."""
    page = read(tuned / "report.html")
    figure = next(attributes for tag, attributes in page.tags if attributes.get("id") == "chart-1")
    assert "data-ylog" not in figure
    low, high = map(float, figure["data-y"].split())
    first, last = map(float, figure["data-x"].split())
    path = next(
        attributes["d"] for tag, attributes in page.tags[page.tags.index(("figure", figure)) :] if "d" in attributes
    )
    places = [tuple(map(float, each.split())) for each in re.findall(r"[\d.-]+ [\d.-]+", path)]
    run = Run.open(tuned)
    assert len(places) == len(run.steps)
    for (x, y), line in zip(places, run.steps, strict=True):
        assert first + x / 1e4 * (last - first) == pytest.approx(line["step"], abs=(last - first) / 1e4)
        assert high - y / 1e4 * (high - low) == pytest.approx(line["rate"], abs=(high - low) / 1e4)


def test_the_page_of_a_sweep_says_its_best_rates_and_every_trial(swept):
    page = read(report(swept))
    assert report(swept.folder) == swept.folder / "report.html"
    rows = page.table("settings", "best rate", "loss", "sensitivity")
    bests, lost = swept.best(), swept.sensitivities()
    for row, best, sensitivity in zip(rows, bests, lost, strict=True):
        assert float(row["best rate"]) == best.rate
        assert float(row["loss"]) == best.value
        assert float(row["sensitivity"]) == sensitivity
        assert (float(row["from"]), float(row["to"])) == (best.low, best.high)
    trials = page.table("rate", "seed", "status")
    assert [(float(row["rate"]), int(row["seed"])) for row in trials] == [(o.rate, o.seed) for o in swept.outcomes]
    best = min((best for best in bests if best.rate), key=lambda best: best.value)
    assert text_of(best.rate, 3) in dict(page.headings)["h1"]
    maps = [table for table in page.tables if table["head"][0].startswith(("momentum", "variant"))]
    assert [len([row for row in table["rows"] if row]) for table in maps] == [len(bests)]


def test_the_command_of_a_sweep_asks_for_the_same_trials(swept, monkeypatch):
    line = next(code for code in read(report(swept)).codes if code.startswith("stepsize sweep"))
    assert command([*line.split()[1:], "--engine", "serial", "--out", "again", "--no-report"]) == 0
    again = Sweep.open("again")
    assert [outcome.key for outcome in again.outcomes] == [outcome.key for outcome in swept.outcomes]
    assert not Path("again/report.html").exists()


def test_several_runs_are_compared_by_what_differs():
    folders = [recorded(f"runs/{name}", seed=seed, rate=rate) for name, seed, rate in (("a", 0, 0.1), ("b", 1, 0.2))]
    page = read(report(folders))
    assert Path("report.html").exists()
    assert [(row["run"], float(row["rate"]), int(row["seed"])) for row in page.table("rate", "seed", "run")] == [
        ("a", 0.1, 0),
        ("b", 0.2, 1),
    ]
    ends = page.table("run", "validation loss", "gap")
    assert [float(row["validation loss"]) for row in ends] == [1.5 / 18] * 2
    assert "seed, rate" in dict(page.headings)["h1"]
    with pytest.raises(ValueError, match="two to 12"):
        report([folders[0]])


def test_a_finding_alone_has_a_page():
    found = find(QUADRATIC, steps=40, seed=0)
    page = read(report(found, "finding.html"))
    assert text_of(found.rate, 3) in dict(page.headings)["h1"]
    assert len(page.table("rate", "steps", "score")) == len(found.results)
    assert found.verdict[1:] in page.text


def test_the_cliff_is_the_lowest_broken_rate_above_the_chosen():
    trials = [
        {"rate": rate, "steps": 8, "score": score} for rate, score in ((0.1, 1.5), (1.0, 1.0), (3.0, None), (9, 7.0))
    ]
    assert cliff_of({"rate": 1.0, "initial": 2.0, "trials": trials}) == 3.0
    assert cliff_of({"rate": 1.0, "initial": 2.0, "trials": trials[:2]}) is None
    assert cliff_of({"rate": None, "initial": None, "trials": trials}) == 3.0


def test_validations_beside_training_give_the_gap():
    seen = run_sheet(Run.open(recorded()))["detail/gap"].series[0]
    losses = [1 / (step + 3) for step in range(20)]
    assert seen.x == (5.0, 10.0, 15.0)
    assert seen.y == pytest.approx([1.5 / (step + 3) - losses[step - 1] for step in (5, 10, 15)])


def test_what_the_diagnosis_finds_is_in_the_page():
    losses = [math.exp(-step / 50) for step in range(120)]
    run = lonely([{"step": step, "loss": loss, "rate": 0.1} for step, loss in enumerate([*losses, *[None] * 40])])
    found = diagnose(run)
    assert [symptom.name for symptom in found][:1] == ["not-finite"]
    page = read(report(run, "page.html"))
    assert dict(page.headings)["h1"].endswith("The diagnosis found an error: not finite at step 120.")
    rows = page.table("severity", "symptom", "what to do")
    assert [row["what to do"] for row in rows] == [symptom.remedy for symptom in found]
    assert [row["severity"] for row in rows] == [symptom.severity for symptom in found]
    assert [row["step"] for row in rows][:1] == ["120"]


# commands


def test_what_was_begun_by_a_command_is_repeated_by_it():
    said_of = {"task": "my task.py", "seed": 1, "steps": 9, "amp": False, "threads": 2, "set": {"width": 64}}
    line = "stepsize train 'my task.py' --lr 0.25 --seed 1 --steps 9 --threads 2 --set width=64"
    assert repeats({"command": "train", "rate": 0.25, "said": said_of}) == line
    assert repeats({"command": "tune", "rate": 0.25, "said": said_of, "line": "stepsize tune a --out 'x y' --amp"}) == (
        "stepsize tune a --amp"
    )
    assert repeats({"task": "digits"}) is None
    assert (
        command_line("train", {"task": "a; rm -rf /", "data": "$(x)"}) == "stepsize train 'a; rm -rf /' --data '$(x)'"
    )


def test_a_run_that_was_stopped_says_how_it_goes_on():
    said_of = {"task": "digits", "seed": 0, "steps": 20}
    folder = recorded(status="interrupted", done=7, command="train", said=said_of, seed=0)
    page = read(report(folder))
    assert "stepsize train --resume runs/a" in page.codes
    assert "stopped after 7 of 20 steps" in dict(page.headings)["h1"]
    wider = recorded("runs/b", status="no usable rate: all broke", command="tune", said=said_of, rate=None)
    page = read(report(wider))
    assert "No usable learning rate was found for digits: all broke." in dict(page.headings)["h1"]
    assert any("--low 1e-08 --high 10000" in code for code in page.codes)


def test_commands_write_a_page_unless_they_are_told_not_to(capsys):
    words = ["train", "linear-regression", "--lr", "0.05", "--steps", "10"]
    assert command([*words, "--out", "a"]) == 0
    assert "report   a/report.html" in capsys.readouterr().out.splitlines()
    assert read(Path("a/report.html")).facts["steps"] == "10"
    assert command([*words, "--out", "b", "--no-report", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["report"] is None
    assert not Path("b/report.html").exists()
    assert command(["report", "a", "b", "-o", "both.html", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"report": "both.html"}
    assert (
        command(
            ["sweep", "quadratic", "--lr", "0.1", "--seeds", "1", "--steps", "5", "--engine", "serial", "--out", "s"]
        )
        == 0
    )
    assert "report   s/report.html" in capsys.readouterr().out.splitlines()
    for bad, told in ((["nowhere"], "RUN must be"), (["a", "-o", "page.pdf"], "out must be a file ending in .html")):
        assert command(["report", *bad]) == 2
        assert told in capsys.readouterr().err


def test_where_no_page_can_be_written_the_work_is_kept(capsys, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("stepsize.pages._report.write_atomic", refuse)
    assert command(["train", "linear-regression", "--lr", "0.05", "--steps", "10", "--out", "a"]) == 0
    told = capsys.readouterr().out
    assert "report   none: OSError: [Errno 28] No space left on device" in told
    assert "`stepsize report a` writes it later" in told


# what a page may do


def pages_of(tuned, swept):
    return [tuned / "report.html", report(swept), report([recorded("runs/c"), recorded("runs/d")], "several.html")]


def test_a_page_asks_nothing_of_the_network_and_runs_its_own_script_alone(tuned, swept):
    for path in pages_of(tuned, swept):
        page = read(path)
        (policy,) = [a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
        rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
        assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
        for kind in ("style", "script"):
            digest = base64.b64encode(hashlib.sha256(getattr(page, kind).encode()).digest()).decode()
            assert rules[f"{kind}-src"] == f"'sha256-{digest}'"
        assert sum(tag == "script" for tag, _ in page.tags) == sum(tag == "style" for tag, _ in page.tags) == 1
        for tag, attributes in page.tags:
            assert not [name for name in attributes if name.startswith("on") or name == "style"], (tag, attributes)
            for name in ("href", "src", "xlink:href", "action"):
                assert attributes.get(name, "#").startswith(("#", "data:text/csv", "data:,")), (tag, attributes)
        assert not re.search(
            r"url\(|@import|fetch\(|XMLHttp|https?://(?!www\.w3\.org/2000/svg)", page.style + page.script
        )


def test_a_page_is_in_order_for_those_who_do_not_see_it(tuned, swept):
    for path in pages_of(tuned, swept):
        page = read(path)
        levels = [int(name[1]) for name, _ in page.headings]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
        images = [attributes for tag, attributes in page.tags if attributes.get("role") == "img"]
        assert images
        assert all(len(attributes["aria-label"]) > 20 for attributes in images)
        ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
        assert len(ids) == len({*ids})
        anchors = {
            attributes["href"][1:] for tag, attributes in page.tags if attributes.get("href", "").startswith("#")
        }
        assert anchors <= {*ids}


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'); alert(1); ('",
    "]]>--><!-- </style></script></title></svg>",
    "{{ 7 * 7 }} {% raw %}",
    "javascript:alert(1)",
    "\N{RIGHT-TO-LEFT OVERRIDE}\N{HEBREW LETTER ALEF}\N{HEBREW LETTER BET} \N{FIRE}\N{ZERO WIDTH JOINER}",
    "bell\x07 null\x01 \x1b[31m",
    "=HYPERLINK(1)",
    "x" * 10_000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_what_others_wrote_is_shown_as_text(text):
    facts = {
        "plan": f"lr: {text}",
        "about_task": {text: text},
        "git": {"commit": text},
        "started": text,
        "command": "tune",
    }
    said_of = {"task": text, "data": text, "set": {text: text}}
    folder = recorded(task=text, said=said_of, status=f"failed: {text}", done=3, made_of={text: text}, **facts)
    trials = [{"rate": 0.1, "steps": 8, "score": 1.0, text: text}, {"rate": 1.0, "steps": 8, "score": None}]
    found = {"rate": 0.1, "low": 0.05, "high": 0.2, "initial": 2.0, "verdict": text, "doubts": [text], "remedy": text}
    found |= {"stages": [{"length": 8, "rates": [0.1], "concluded": text}], "trials": trials, "scored": text}
    (folder / "finding.json").write_text(json.dumps(found))
    with (folder / "events.jsonl").open("w") as file:
        file.write(json.dumps({"step": 3, "what": text, "group": text, "reason": text}) + "\n")
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 21, "loss": 0.1, f"detail {text}": 2.0, f"ratio/{text}": 2.0}) + "\n")
    plain = read(report(recorded("runs/plain"), "plain.html"))
    path = report(folder)
    page = read(path)
    kinds = {tag for tag, _ in page.tags}
    assert kinds <= {tag for tag, _ in plain.tags} | {"rect", "details", "summary", "pre", "code"}
    assert sum(tag == "script" for tag, _ in page.tags) == 1
    assert all(name not in attributes for _, attributes in page.tags for name in ("onerror", "src"))
    assert not set(map(chr, [*range(9), 11, 12, *range(14, 32)])) & set(path.read_text(encoding="utf-8"))
    words = re.sub(r"[^\w]+", "", text)[:30]
    assert words in re.sub(r"[^\w]+", "", page.text)
    for tables in page.links.values():
        for table in tables:
            assert not [cell for row in table for cell in row if cell.startswith(("=", "@"))]


def lonely(steps, observed=(), **facts):
    return Run(Path("runs/lonely"), {"task": "digits", **facts}, steps, observed)


def test_runs_with_little_in_them_have_a_page():
    nothing = {"loss": None, "rate": None, "gradient_norm": None}
    cases = {
        "one step": lonely([{"step": 0, "loss": 2.0, "rate": 0.1}]),
        "no step": lonely([]),
        "no number": lonely([{"step": step, **nothing} for step in range(9)], [{"step": 3, "validation_loss": None}]),
        "constant": lonely([{"step": step, "loss": 1.0, "rate": 0.0} for step in range(9)]),
        "huge": lonely([{"step": step, "loss": 10.0 ** (30 * step), "rate": 1e-300} for step in range(4)]),
        "negative": lonely([{"step": step, "loss": -1.0 - step, "rate": 0.1} for step in range(9)]),
        "infinite": lonely([{"step": step, "loss": math.inf, "rate": math.nan} for step in range(9)]),
    }
    for name, run in cases.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RecordWarning)  # of what is beyond all pictures
            page = read(report(run, "page.html"))
        assert "digits" in dict(page.headings)["h1"], name
        drawn = [attributes["d"] for _, attributes in page.tags if "d" in attributes]
        assert not [path for path in drawn if "nan" in path or "inf" in path], name
        assert "nan" not in page.text.lower().replace("finance", ""), name


@pytest.mark.parametrize("count", [100_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_long_runs_are_thinned_and_keep_their_spikes(count):
    losses = np.full(count, 0.5)
    losses[count // 3], losses[2 * count // 3] = 9.0, 0.01
    run = lonely([{"step": step, "loss": loss, "rate": 0.1} for step, loss in enumerate(losses.tolist())])
    path = report(run, "page.html")
    assert path.stat().st_size < 300_000
    rows = read(path).links["loss.csv"][0][1:]
    kept = {int(step): float(loss) for step, loss, *_ in rows}
    assert len(kept) <= 1_000
    assert (kept[count // 3], kept[2 * count // 3]) == (9.0, 0.01)
    assert {0, count - 1} <= set(kept)


def test_a_view_of_a_tasks_own_stands_in_the_page():
    def views(run, sheet):
        path = series([0, 1, 0.5], [0, 1, 2], "there and back")
        return replace(
            sheet, views=(*sheet.views, View("own", "My own", Scale("x"), Scale("y"), (path,), about="A path."))
        )

    assert callable(views)
    page = read(report(recorded(), views=views))
    assert ("h3", "My own") in page.headings
    assert page.links["own.csv"][0][1:] == [["there and back", x, y] for x, y in (("0", "0"), ("1", "1"), ("0.5", "2"))]


# notebooks


def test_notebooks_show_charts_and_figures_without_a_script(swept):
    import torch

    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    control = Control(optimizer, lr="warmup(10%) >> cosine()", total=100)
    assert str(control).splitlines() == [
        "Control at position 0 of 100; rates: group0 0.04545",
        "lr: warmup(10) >> cosine(90)",
    ]
    run = Run.open(recorded())
    for value, words in (
        (control, "warmup(10)"),
        (cosine(100), "cosine(100)"),
        (run, "digits"),
        (swept, "momentum 0.5"),
    ):
        text = value._repr_html_()
        assert "<svg" in text
        assert "<script" not in text
        assert words in text.replace("&#39;", "'")
    assert cosine()._repr_html_() is None


# numbers


def test_numbers_are_said_with_the_digits_that_count():
    texts = {
        0.154: "0.154",
        1234.5678: "1,235",
        0: "0",
        12: "12",
        99.169: "99.17",
        1e-5: "10⁻⁵",
        3.2e7: "3.2 \N{MULTIPLICATION SIGN} 10⁷",
        400.0: "400",
    }
    assert {number: text_of(number) for number in texts} == texts
    assert text_of(123456.0) == "123,456"
    assert text_of(-0.5) == "\N{MINUS SIGN}0.5"
    assert text_of(None) == "\N{EN DASH}"
    for number in (0.1, 1 / 3, 1e-17, 12.0, 123456789.0, 2**60):
        assert float(exact(number)) == number


def test_ticks_are_round_lie_inside_and_rise():
    draws = np.random.default_rng(0)
    for low, wide in zip(
        draws.normal(size=200) * 10.0 ** draws.integers(-8, 8, 200), 10.0 ** draws.uniform(-6, 6, 200), strict=True
    ):
        found = ticks(low, low + wide, log=False)
        assert 2 <= len(found) <= 12
        assert all(a < b for a, b in itertools.pairwise(found))
        assert found[0] >= low - 1e-6 * wide
        assert found[-1] <= low + wide * (1 + 1e-6)
        low = abs(low) + 1e-9
        found = ticks(low, low * (1 + wide), log=True)
        assert 1 <= len(found) <= 13
        assert all(low * 0.999 <= tick <= low * (1 + wide) * 1.001 for tick in found)
