"""Every optional package absent, for every command: named with its extra before there is any work, or done without."""

import importlib.metadata
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from stepsize import _extras
from stepsize.cli import run
from stepsize.task.built_in import _digits, _frozenlake_world, _small

pytestmark = pytest.mark.usefixtures("blank_pictures")

TRAIN = "train quadratic --lr 0.1 --steps 20 --out o"
COMMANDS = {
    TRAIN: {"matplotlib", "PIL", "tensorboard"},
    "train digits --lr 0.1 --steps 4 --out o": {"sklearn", "scipy", "matplotlib", "PIL", "tensorboard"},
    "tune digits --steps 20 --budget 0.5x --out o": {"sklearn", "scipy", "matplotlib", "PIL", "tensorboard"},
    "find digits --steps 20 --budget 0.5x --out o": {"sklearn", "scipy", "matplotlib", "PIL"},
    "sweep digits --lr 0.1 --seeds 1 --steps 4 --engine serial --out o": {"sklearn", "scipy", "matplotlib", "PIL"},
    "sweep linear-regression --lr 0.1 --seeds 1 --steps 4 --out o": {"sklearn", "scipy"},
    "sweep quadratic --lr 0.1 --seeds 1 --steps 4 --engine ray --out o": {"ray"},
    "train frozenlake --lr 0.1 --steps 10 --out o": {"gymnasium", "matplotlib", "PIL", "tensorboard"},
    "course frozenlake --seeds 1 --episodes 20 --out o": {"gymnasium", "matplotlib", "PIL"},
    "course quadratic --rates 3 --out o": {"matplotlib", "PIL"},
    "train mnist --lr 0.1 --steps 2 --out o": {"datasets"},
    "tune imdb --steps 2 --out o": {"datasets"},
    "sweep shakespeare --lr 0.1 --steps 2 --out o": {"datasets"},
    "plot cosine() --total 10 -o o.png": {"matplotlib", "PIL"},
    "schedules cosine -o o.png": {"matplotlib", "PIL"},
}
EXTRA = {"matplotlib": "plot", "PIL": "plot", "tensorboard": "tensorboard", "ray": "ray"}  # the others come with tasks
SHOWS = {"matplotlib", "PIL", "tensorboard"}  # without which a command does its work, unless a picture is all of it
CASES = [(command, package) for command, needed in COMMANDS.items() for package in sorted(needed)]


BUILT_ON = {"scipy": {"sklearn"}, "PIL": {"matplotlib"}}  # what cannot be imported without it


@pytest.fixture
def absent():
    """Hides a package, and what was made with it before; what is imported meanwhile may be half of a package."""
    before, hidden = dict(sys.modules), set()

    def forget():
        for name in [each for each in sys.modules if each.partition(".")[0] in hidden]:
            del sys.modules[name]
        for kept in (_digits.data, _small.diabetes, _frozenlake_world.world):
            kept.cache_clear()

    def hide(package):
        hidden.update({package}, BUILT_ON.get(package, ()))
        forget()
        sys.modules[package] = None

    yield hide
    forget()
    sys.modules.update({name: module for name, module in before.items() if name.partition(".")[0] in hidden})


@pytest.mark.parametrize(("command", "package"), CASES)
def test_a_missing_package_is_named_before_the_work_or_done_without(
    command, package, absent, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    absent(package)
    code = run(command.split())
    out, err = capsys.readouterr()
    said = [line for line in (out + err).splitlines() if "needs" in line]
    assert len(said) == 1, out + err
    drawn_only = command.startswith("plot")
    if package in SHOWS and not drawn_only:
        assert code == 0
        if (tmp_path / "o" / "run.json").exists():
            assert json.loads((tmp_path / "o" / "run.json").read_text())["status"] == "finished"
    else:
        assert code == 2
        assert list(tmp_path.iterdir()) == []
    assert f"needs {package}, which is not here" in said[0]
    assert f"pip install 'stepsize[{EXTRA.get(package, 'tasks')}]'" in said[0]


def test_every_extra_that_is_named_is_one(monkeypatch):
    known = set(importlib.metadata.metadata("stepsize").get_all("Provides-Extra"))
    for path in Path(_extras.__file__).parent.rglob("*.py"):
        named = re.findall(r'_extras\.load\(\s*"[\w.]+", "(\w+)"', path.read_text())
        assert set(named) <= known, path


def test_a_package_that_is_damaged_or_set_up_wrongly_is_said_in_a_line(tmp_path, monkeypatch):
    for number, broken in enumerate(["raise ValueError('damaged')", "raise OSError('no library')", "import nowhere"]):
        (tmp_path / f"damaged{number}.py").write_text(broken)
        monkeypatch.syspath_prepend(str(tmp_path))
        with pytest.raises(_extras.MissingExtraError) as caught:
            _extras.load(f"damaged{number}", "plot", "drawing")
        said = str(caught.value)
        assert f"drawing needs damaged{number}, which " in said
        assert ("cannot be loaded" in said) == (number < 2)
        assert ("which needs nowhere, which is not here" in said) == (number == 2)
        assert len(said.splitlines()) == 1


@pytest.mark.slow
def test_a_backend_that_is_none_costs_the_picture_only(tmp_path):
    words = [sys.executable, "-m", "stepsize", *TRAIN.split()]
    environment = {**os.environ, "MPLBACKEND": "nonsense"}
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode == 0
    assert "picture  none: drawing needs matplotlib, which cannot be loaded" in done.stdout
    assert "unset MPLBACKEND" in done.stdout
    assert json.loads((tmp_path / "o" / "run.json").read_text())["status"] == "finished"
