"""The benchmarks run, shortened, and say what they promise; full counts are `make bench`."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("imports", "import stepsize, after torch"),
        ("schedules", "times faster"),
        ("control", "300 groups"),
        ("fuzz", "nothing else"),
        ("digits", "validation accuracy"),
        ("feedback", "required of noisy_plateau"),
        ("kills", "identical to the one never stopped, nothing lost"),
        ("tasks", "digits"),
    ],
)
def test_a_shortened_benchmark_runs(name, said):
    command = [sys.executable, str(BENCHMARKS / f"{name}.py"), "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
    assert said in done.stdout


@pytest.mark.parametrize("path", sorted(BENCHMARKS.glob("[!_]*.py")), ids=lambda path: path.name)
def test_every_benchmark_has_its_log_and_its_place_in_make_bench(path):
    assert (BENCHMARKS / "logs" / f"{path.stem}.log").read_text().startswith(path.stem)
    assert f"benchmarks/{path.name}" in (BENCHMARKS.parent / "Makefile").read_text()
