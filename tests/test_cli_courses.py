"""The courses' comparisons from the command line, and the pictures of the courses' tasks."""

import json
import re
import signal
from pathlib import Path

import numpy as np
import pytest
from children import forked, once

from stepsize.cli import run
from stepsize.cli._topics import topics
from stepsize.pages._pictures import pictured, views_of_task
from stepsize.record import Run
from stepsize.views import Scale, View, _registry, moving_mean, run_sheet, series, view
from stepsize.views._thin import is_noisy

pytest.importorskip("gymnasium")


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def stepsize(capsys, *words):
    code = run(words)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_rates_on_a_bowl_beside_theory(capsys):
    words = ("course", "quadratic", "1", "100", "--momentum", "0.5", "--rates", "8", "--steps", "100")
    code, out, err = stepsize(capsys, *words, "--json")
    assert code == 0
    answer = json.loads(out)
    assert answer["course"] == "quadratic"
    assert answer["theory"]["converges_below"] == pytest.approx(0.03)
    assert answer["measured"]["converges_up_to"] == pytest.approx(0.03, rel=0.01)
    assert answer["measured"]["diverges_at"] == pytest.approx(0.03, rel=0.01)
    assert "measured  converges up to" in err
    folder = Path(answer["run"])
    assert folder == Path("runs/course-quadratic-0001")
    assert Path(answer["picture"]).read_bytes().startswith(b"\x89PNG")
    sweep = json.loads((folder / "sweep.json").read_text())
    assert answer["metrics"]["last_over_first_loss"] == min(sweep["last_over_first_loss"])
    facts = json.loads((folder / "run.json").read_text())
    assert (facts["status"], facts["said"]["eigenvalues"], facts["rate"]) == ("finished", [1, 100], answer["rate"])


def test_rates_are_given_with_commas_or_one_by_one(capsys):
    for number, rates in enumerate((["--lr", "0.1,0.9"], ["--lr", "0.1", "--lr", "0.9"])):
        words = ("course", "quadratic", *rates, "--rates", "2", "--steps", "3", "--out", f"{number}")
        assert stepsize(capsys, *words)[0] == 0
    assert Path("0/sweep.json").read_bytes() == Path("1/sweep.json").read_bytes()
    assert Path("0/picture.png").read_bytes() == Path("1/picture.png").read_bytes()
    for bad in ("0.1,a", "0.1,", ",", "-1", "nan"):
        code, _, err = stepsize(capsys, "course", "quadratic", f"--lr={bad}")
        assert code == 2
        assert re.fullmatch(r"stepsize: lr must be a (finite )?number > 0, got .*\n", err), err


def test_one_dimension_and_rates_of_ones_own(capsys):
    words = ("course", "quadratic", "4", "--lr", "0.25", "--lr", "0.6", "--rates", "4", "--steps", "5", "--out", "a")
    code, out, _ = stepsize(capsys, *words)
    assert code == 0
    assert "theory    converges below 0.5, which is 2 (1 + momentum) / 4" in out
    assert "picture  a/picture.png" in out
    code, _, err = stepsize(capsys, "train", "--resume", "a")
    assert (code, err) == (2, "stepsize: a is not a run that has begun to train; start it again\n")


def test_schedules_of_alpha_over_seeds(capsys):
    words = ("course", "frozenlake", "constant(value=0)", "linear(start=0.5, end=0.001)")
    code, out, _ = stepsize(capsys, *words, "--seeds", "3", "--seed", "5", "--episodes", "400", "--out", "a", "--json")
    assert code == 0
    answer = json.loads(out)
    nothing, decayed = answer["alphas"]
    assert [nothing["alpha"], decayed["alpha"]] == list(words[2:])
    assert (nothing["near"], len(nothing["gaps"])) == (0, 3)
    assert decayed["success"] > nothing["success"]
    assert np.mean(decayed["gaps"]) == pytest.approx(answer["optimum"] - decayed["success"])
    curves = json.loads(Path("a/curves.json").read_text())
    assert curves["episodes"][-1] == 400
    assert np.shape(curves["success"][decayed["alpha"]]) == (len(curves["episodes"]), 3)
    assert json.loads(Path("a/run.json").read_text())["said"]["seeds"] == [5, 6, 7]


def test_every_page_of_the_gallery_is_a_topic_with_its_claim_and_result(capsys):
    found = {topic.name: topic for topic in topics()}
    assert len(found) == len(list((Path(__file__).parents[1] / "examples" / "gallery").glob("[ab]*.py"))) >= 28
    listed = stepsize(capsys, "course")[1]
    for name, topic in found.items():
        assert f" {name} " in listed
        assert topic.course in ("A", "B")
        assert topic.claim
        assert re.match(r"(held|partly|not held)\b", topic.result)


def test_a_topic_runs_in_any_folder_and_keeps_its_pictures(capsys):
    code, out, _ = stepsize(capsys, "course", "clr-optimizer", "--out", "a")
    assert code == 0
    assert out.startswith("claim ")
    assert "largest difference over 300 steps" in out
    assert Path("a/picture.png").read_bytes().startswith(b"\x89PNG")
    facts = json.loads(Path("a/run.json").read_text())
    assert facts["status"] == "finished"
    assert facts["printed"][0] == "lr:"
    assert [path.name for path in Path().iterdir()] == ["a"]


def test_a_topic_answers_programs_with_one_object(capsys):
    code, out, err = stepsize(capsys, "course", "warmup-scheduler", "--json")
    answer = json.loads(out)
    assert code == 0
    assert "one schedule" in err
    assert (answer["course"], answer["run"]) == ("warmup-scheduler", "runs/course-warmup-scheduler-0001")
    assert any("x 1000," in line for line in answer["printed"])
    assert all(Path(picture).exists() for picture in answer["pictures"])


def test_a_topic_shows_its_program(capsys):
    code, out, _ = stepsize(capsys, "course", "warmup", "--show")
    (topic,) = (topic for topic in topics() if topic.name == "warmup")
    assert (code, out.rstrip("\n")) == (0, topic.path.read_text(encoding="utf-8").rstrip("\n"))
    answer = json.loads(stepsize(capsys, "course", "warmup", "--show", "--json")[1])
    assert answer["program"] == topic.path.read_text(encoding="utf-8")


BAD = [
    ("quadratic 1 2 3", "eigenvalues must be one or two numbers > 0"),
    ("quadratic 0", "eigenvalues[0] must be a finite number > 0, got 0"),
    ("quadratic steep", "steep"),
    ("quadratic 1e-300", "lr must be at most 1e+30"),
    ("quadratic --lr 0", "lr must be a finite number > 0, got 0"),
    ("quadratic --lr nan", "lr must be a finite number > 0, got nan"),
    ("quadratic --rates 1", "rates must be a whole number >= 2, got 1"),
    ("quadratic --steps 0", "steps must be a whole number >= 1, got 0"),
    ("quadratic --momentum 1", "momentum must be below 1, got 1"),
    ("quadratic --rotation inf", "rotation must be a finite number, got inf"),
    ("quadratic --out occupied", "something else is there"),
    ("frozenlake linaer()", "did you mean 'linear'"),
    ("frozenlake constant(value=2)", "a schedule of values 0 to 1"),
    ("frozenlake --seeds 0", "--seeds"),
    ("frozenlake --seed -1", "seed must be a whole number >= 0, got -1"),
    ("frozenlake --seed 4294967290", "seeds must be below 2**32"),
    ("frozenlake --episodes 0", "episodes must be a whole number >= 1, got 0"),
    ("quadrtic", "Did you mean 'quadratic'"),
    ("warm-up", "Did you mean 'warmup'"),
    ("warmup --out occupied", "something else is there"),
]


@pytest.mark.parametrize(("words", "said"), BAD, ids=[words for words, _ in BAD])
def test_bad_input_gets_one_clear_line_and_leaves_nothing_behind(capsys, words, said):
    Path("occupied").mkdir()
    Path("occupied/notes.txt").write_text("mine")
    code, out, err = stepsize(capsys, "course", *words.split())
    assert code == 2
    assert out == ""
    assert said in err
    assert len(err.strip().splitlines()) <= 2
    assert [path.name for path in Path().iterdir()] == ["occupied"]


def test_help_has_examples(capsys):
    for words in (("course",), ("course", "quadratic", "--help"), ("course", "frozenlake", "--help")):
        out = stepsize(capsys, *words)[1]
        assert "Example" in out


@pytest.mark.slow
def test_ctrl_c_is_one_line():
    command = ["-m", "stepsize", "course", "frozenlake", "--episodes", "200000", "--out", "run"]
    with forked(command) as process:
        once(Path("run/run.json").exists, process)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stepsize: stopped; nothing is kept but the settings, in run" in err
    assert "Traceback" not in err
    assert json.loads(Path("run/run.json").read_text())["status"] == "interrupted"


# pictures of runs


def drawn(folder):
    """The views of a run's picture, drawn: their titles, and the words in their legends."""
    from stepsize.views import draw

    run, titles = Run.open(folder), {}
    for seen in pictured(run_sheet(run, views_of_task(run))).views:
        ax = draw(seen)
        titles[ax.get_title()] = " ".join(ax.get_legend_handles_labels()[1]), ax
    return titles


def test_a_descent_is_shown_on_its_contours_beside_theory(capsys):
    assert stepsize(capsys, "train", "quadratic", "--lr", "0.15", "--steps", "30", "--out", "a")[0] == 0
    panels = drawn("a")
    path, directions, rate, loss = panels
    assert path == "The path, 30 steps, on the bowl's contours"
    assert "theory, curvature 1 along curvature 1 theory, curvature 10 along curvature 10" in panels[directions][0]
    assert "theory: converges below 2 / λ = 0.2" in panels[rate][0]
    assert panels[rate][1].get_ylim()[1] > 0.2  # the line is in the picture
    (line,) = [line for line in panels[path][1].lines if line.get_label() == "path"]
    assert len(line.get_xdata()) == 31  # every step's point
    np.testing.assert_allclose(line.get_xdata(), 0.85 ** np.arange(31))
    np.testing.assert_allclose(line.get_ydata(), (-0.5) ** np.arange(31.0), atol=1e-15)
    theory, measured = panels[directions][1].lines[:2]
    np.testing.assert_allclose(theory.get_ydata(), measured.get_ydata())
    assert loss == "Loss"


def test_the_evidence_of_a_bowl_has_theorys_line_and_other_optimizers_have_none(capsys):
    assert stepsize(capsys, "find", "quadratic", "--steps", "40", "--out", "a")[0] == 0
    (evidence,) = drawn("a").values()
    assert "theory: converges below 2 / λ = 0.2" in evidence[0]
    facts = json.loads(Path("a/run.json").read_text())
    for other in ({**facts, "said": {**facts["said"], "optimizer": "adam"}}, {**facts, "task": "digits"}):
        Path("a/run.json").write_text(json.dumps(other))
        (evidence,) = drawn("a").values()
        assert "theory" not in evidence[0]


def test_frozenlake_begins_with_success_and_shows_no_noise_of_single_episodes(capsys):
    assert stepsize(capsys, "tune", "frozenlake", "--steps", "800", "--out", "a")[0] == 0
    panels = drawn("a")
    first, evidence, _, loss = panels
    assert first.startswith("Success, ")
    assert "mean of 10 looks best policy: 0.740" in panels[first][0]
    assert panels[evidence][1].get_yscale() == "linear"  # what is missed may be nothing
    assert panels[evidence][1].get_ylabel() == "missed of the best success after a short run"
    assert panels[loss][0].startswith("training, mean of ")
    assert len(panels[loss][1].lines) == 1
    run = Run.open("a")
    assert "success " in run_sheet(run, views_of_task(run)).title


def test_figures_of_a_tasks_own_are_shown(capsys):
    assert stepsize(capsys, "train", "linear-regression", "--lr", "0.05", "--steps", "100", "--out", "a")[0] == 0
    panels = drawn("a")
    assert list(panels)[-1] == "R2"
    assert "training training, mean of 5 recorded steps validation" in panels["Loss"][0]


def test_a_view_of_ones_own_is_one_function_and_stands_in_picture_and_page(capsys, monkeypatch):
    monkeypatch.setattr(_registry, "_REGISTERED", {kind: [*known] for kind, known in _registry._REGISTERED.items()})

    @view(Run, place=25)
    def halves(run):
        steps, losses = zip(*((line["step"], line["loss"] / 2) for line in run.steps), strict=True)
        return View("halves", "Half the loss", Scale("step"), Scale("half"), (series(steps, losses),))

    assert stepsize(capsys, "train", "linear-regression", "--lr", "0.05", "--steps", "20", "--out", "a")[0] == 0
    panels = drawn("a")
    assert list(panels).index("Half the loss") == list(panels).index("Loss") - 1
    (line,) = panels["Half the loss"][1].lines
    np.testing.assert_allclose(2 * line.get_ydata(), [step["loss"] for step in Run.open("a").steps])
    assert json.loads(json.dumps(halves(Run.open("a")).plain(), allow_nan=False))["title"] == "Half the loss"
    assert Path("a/report.html").read_text().count("Half the loss</h3>") == 1


def test_a_moving_mean_is_the_mean_of_what_is_around():
    values = np.random.default_rng(0).normal(size=30)
    for width in (1, 2, 5, 40):
        expected = [values[max(0, at - width // 2) : at + width - width // 2].mean() for at in range(30)]
        np.testing.assert_allclose(moving_mean(values, width), expected)
    assert is_noisy(values)
    assert not is_noisy(np.linspace(1, 0, 30))
    assert not is_noisy(np.array([1.0]))
