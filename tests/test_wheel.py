"""What people install: the built wheel, in an environment of its own, without the source tree."""

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_wheel_works_without_the_source_tree(tmp_path):
    def ran(*words, **options):
        done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=300, **options)
        assert done.returncode == 0, done.stderr
        return done.stdout

    ran(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "dist", cwd=ROOT)
    (wheel,) = (tmp_path / "dist").iterdir()
    names = zipfile.ZipFile(wheel).namelist()
    assert all(name.startswith(("stepsize/", "stepsize-")) for name in names)
    assert {"stepsize/py.typed", "stepsize/cli/templates/classification.py.txt"} <= set(names)
    ran(sys.executable, "-m", "venv", tmp_path / "env")
    python = tmp_path / "env" / "bin" / "python"
    ran(python, "-m", "pip", "install", "--no-deps", "--no-index", "--quiet", wheel)
    # the packages that it needs, torch among them, are those of this environment
    there = {**os.environ, "PYTHONPATH": sysconfig.get_path("purelib")}
    place = ran(python, "-c", "import stepsize; print(stepsize.__file__)", env=there, cwd=tmp_path)
    assert Path(place.strip()).is_relative_to(tmp_path / "env")
    command = tmp_path / "env" / "bin" / "stepsize"
    said = ran(command, "tune", "linear-regression", "--steps", "20", "--json", env=there, cwd=tmp_path)
    assert 0 < json.loads(said)["rate"] < 100
    ran(command, "init", "train.py", env=there, cwd=tmp_path)
    # the topics of the courses come with it, and the logs that some of them read
    ran(command, "course", "q-learning", "--show", env=there, cwd=tmp_path)
    ran(command, "course", "lars", "--out", "lars", env=there, cwd=tmp_path)
