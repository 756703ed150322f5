"""The gallery's programs run, print and draw; and what they say of the slides' own programs is measured in them."""

import re
import runpy
import warnings
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pytest
import torch

matplotlib.use("Agg")
pytest.importorskip("sklearn")
FOLDER = Path(__file__).parents[1] / "examples" / "gallery"
QUICK = {  # about a second each
    "a01_trajectories", "a12_mnist", "a13_sentiment", "b01_by_hand", "b04_warmup_scheduler", "b05_clipping",
    "b07_range_test", "b08_clr_optimizer", "b10_cifar10", "b11_imdb", "b12_lars", "b13_tensorboard", "b14_combined",
}  # fmt: skip
PAGES = [
    pytest.param(path.stem, marks=() if path.stem in QUICK else pytest.mark.slow)
    for path in sorted(FOLDER.glob("[ab][0-9]*.py"))
]


@pytest.fixture
def run(monkeypatch, capsys):
    """A function that runs a program as the site does, and returns what it prints and how many figures it draws."""
    threads = torch.get_num_threads()
    monkeypatch.chdir(FOLDER)
    monkeypatch.delenv("STEPSIZE_DATA", raising=False)  # pages whose data may be missing say so

    def ran(name):
        torch.set_num_threads(1)
        torch.manual_seed(0)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*epoch parameter")  # torch's chained scheduler to its parts
            runpy.run_path(str(FOLDER / f"{name}.py"))
        return capsys.readouterr().out, len(plt.get_fignums())

    yield ran
    plt.close("all")
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_runs_prints_and_draws(run, name):
    printed, figures = run(name)
    assert printed.strip()
    assert figures >= 1
    assert "nan" not in printed or name in {
        "a01_trajectories",
        "a10_convergence",
        "a08_cyclical",
    }  # diverged, not reached


def test_slide_a2_reaches_nan_at_a_rate_of_a_tenth(run):
    printed, _ = run("a01_trajectories")
    assert re.search(r"diverges above 0\.0\d+", printed)
    assert "at a rate of 0.1 after 200 steps: weight nan" in printed


def test_slide_b5_warms_up_to_a_millionth_and_jumps_a_thousandfold(run):
    jumps = dict(
        re.findall(r"^(.+?) +first .*largest step up: x ([\d.]+)", run("b04_warmup_scheduler")[0], re.MULTILINE)
    )
    assert float(jumps["the slide's warm-up"]) == pytest.approx(1000)
    assert float(jumps["torch's SequentialLR"]) <= 2
    assert float(jumps["one schedule"]) <= 2


def test_slide_b8_sees_fewer_images_since_it_restarts_its_iterator(run):
    seen = [int(number) for number in re.findall(r"(\d+) different images", run("b07_range_test")[0])]
    assert seen[0] < 1300  # of 29 * 64 = 1,856 draws with replacement from 1,797
    assert seen[1] == 1797


def test_slide_b13_loses_accuracy_by_its_lack_of_momentum(run):
    rows = re.findall(r"^momentum ([\d.]+): (.*)$", run("b12_lars")[0], re.MULTILINE)
    best = {momentum: max(float(share) for share in re.findall(r"([\d.]+)%", row)) for momentum, row in rows}
    assert best["0.0"] < best["0.9"]


def test_slide_b15_stops_at_the_cosine_of_a_float(run):
    assert "must be Tensor, not float" in run("b14_combined")[0]
