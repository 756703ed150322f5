"""What the questions share: sweeps that go on where they were stopped, a picture for the page, a log of the figures."""

import argparse
import math
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

from _common import conclude, progress  # noqa: E402

from stepsize import sweep  # noqa: E402
from stepsize.engine import Processes, serial  # noqa: E402
from stepsize.sweeps import Best, Curve, Sweep, logspace  # noqa: E402
from stepsize.task import Task, task_named  # noqa: E402

KEPT, PICTURES = ROOT / "sweeps" / "questions", ROOT / "docs" / "images" / "questions"
COLOURS = ("#1f5fa8", "#e0812a", "#3b8f5a", "#8250a0", "#b8232f", "#5a6472", "#2a9d9d", "#a0522d")
GREY = "#8a8f98"
SHORT = 12  # steps of a trial in a shortened run


@dataclass(frozen=True)
class Asked:
    """A question under way: its name, and how it was asked."""

    name: str
    quick: bool
    workers: int | None
    only: list[str] | None

    def of(self, tasks: dict[str, Any]) -> dict[str, Any]:
        """Those of the question's tasks that are asked about; of a shortened one the cheapest."""
        only = ["digits-mlp"] if self.quick else self.only
        return {name: said for name, said in tasks.items() if only is None or name in only}

    def constant_rates(self) -> Sweep:
        """The sweep that two of the questions look at."""
        recipe = {"optimizer": "sgd", "schedule": "constant()"}
        return self.sweep("digits-mlp-constant", task_named("digits-mlp"), logspace(1e-3, 10, 17), 3, 2_000, **recipe)

    def sweep(self, kept: str, task: Task, rates: Sequence[float], seeds: int, steps: int, **axes: Any) -> Sweep:
        """Trials kept under a name, so that the same question goes on with them; of a shortened one nothing is kept."""
        if self.quick:
            rates, seeds, steps = rates[::4], min(seeds, 2), min(steps, SHORT)
        return sweep(
            task,
            rates,
            seeds,
            folder=None if self.quick else KEPT / kept,
            steps=steps,
            engine=serial if self.workers == 1 or self.quick else Processes(self.workers),
            progress=lambda done, total, note: progress(f"{kept}: {done} of {total}  {note}"),
            **axes,
        )

    def conclude(self, sheet: Any, lines: list[str], data: dict[str, Any]) -> None:
        """Write the picture, print the figures, keep them."""
        with tempfile.TemporaryDirectory() as other:
            place = Path(other) if self.quick else PICTURES
            place.mkdir(parents=True, exist_ok=True)
            sheet.savefig(place / f"{self.name}.png", dpi=120)
        conclude(f"questions/{self.name}", lines, data, self.quick)


def asked(name: str, description: str) -> Asked:
    """How the question was asked on the command line."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few short trials, as CI runs it; keeps nothing")
    parser.add_argument("--workers", type=int, help="processes at once; one for each core if left out")
    parser.add_argument("--only", nargs="+", metavar="TASK", help="of the question's tasks these alone")
    options = parser.parse_args()
    return Asked(name, options.quick, options.workers, options.only)


def told(best: Best, value: str = "loss") -> str:
    """A best rate in words."""
    if best.rate is None:
        return "every rate diverged"
    between = "" if best.low is None else f" ({best.low:.3g} to {best.high:.3g})"
    border = ", at the border" if best.at_border else ""
    return f"best rate {best.rate:.3g}{between}{border}, {value} {best.value:.4g}"


def plain(best: Best) -> dict[str, Any]:
    """A best rate as JSON has it."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in vars(best).items()
    }


def band(ax: Any, curve: Curve, top: float, colour: str, label: str, style: str = "o-") -> None:
    """Mean over the seeds against the rate, lowest to highest seed around it; triangles where one diverged."""
    values = np.clip(curve.values, None, top)
    ax.plot(curve.rates, values.mean(1), style, color=colour, markersize=4, linewidth=1.6, label=label)
    ax.fill_between(curve.rates, values.min(1), values.max(1), color=colour, alpha=0.15, linewidth=0)
    broken = values.max(1) >= top
    ax.plot(curve.rates[broken], np.full(int(broken.sum()), top), "^", color=colour, markersize=6)


def star(ax: Any, best: Best, colour: str) -> None:
    """The best rate on its curve."""
    if best.rate is not None:
        ax.plot(best.rate, best.value, "*", color=colour, markersize=14, markeredgecolor="black", markeredgewidth=0.6)


def smooth(losses: np.ndarray, width: int) -> np.ndarray:
    """Means over so many points before, fewer at the start."""
    sums = np.cumsum(np.concatenate([[0.0], losses]))
    ends = np.arange(1, len(losses) + 1)
    firsts = np.maximum(ends - width, 0)
    return (sums[ends] - sums[firsts]) / (ends - firsts)
