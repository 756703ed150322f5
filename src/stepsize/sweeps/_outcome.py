"""Results of a sweep's trials, one by one and as curves over the rate."""

import math
from dataclasses import dataclass
from typing import Any

from stepsize.sweeps._answers import Array
from stepsize.sweeps._schema import Row
from stepsize.task import AXES


@dataclass(frozen=True)
class Outcome:
    """The result of one trial.

    Attributes:
        settings: by axis.
        seed: of the trial.
        status: ``finished``, ``diverged``, ``stopped`` (early) or ``open`` (not yet trained, or under way).
        done: steps done.
        loss: the score, on the task's fixed set of training data; infinite when it diverged, NaN while there is none.
        metrics: validation figures by name.
        seconds: wall-clock time.
        engine: what did it.
        key: of the trial.
    """

    settings: dict[str, Any]
    seed: int
    status: str
    done: int
    loss: float
    metrics: dict[str, float]
    seconds: float
    engine: str
    key: str

    @property
    def rate(self) -> float:
        """The learning rate."""
        return float(self.settings["lr"])

    @property
    def variant(self) -> tuple[tuple[str, Any], ...]:
        """The settings but for the rate."""
        return tuple(sorted((axis, value) for axis, value in self.settings.items() if axis != "lr"))

    def value(self, measure: str) -> float:
        """``loss`` or a validation figure; infinite where the trial diverged, NaN where it has none.

        Args:
            measure: its name.
        """
        if self.status == "diverged":
            return math.inf
        return self.loss if measure == "loss" else self.metrics.get(measure, math.nan)

    def row(self) -> dict[str, Any]:
        """Everything as one flat mapping, for tables."""
        settings = {axis: value for axis, value in self.settings.items() if axis != "lr"}
        facts = {"status": self.status, "steps": self.done, "loss": self.loss}
        spent = {"seconds": self.seconds, "engine": self.engine}
        taken = {
            "rate",
            *AXES,
            *settings,
            "seed",
            *facts,
            *spent,
        }  # a task may call a figure of its own by one of these names
        metrics = {f"metrics.{name}" if name in taken else name: value for name, value in self.metrics.items()}
        return {"rate": self.rate, **settings, "seed": self.seed, **facts, **metrics, **spent}


@dataclass(frozen=True)
class Curve:
    """A measure against the rate, for one combination of the other axes.

    Attributes:
        variant: the settings but for the rate.
        rates: rising, [count].
        values: [count, seeds]; infinite where a trial diverged, NaN where it was stopped or is not done.
        seeds: [seeds].
    """

    variant: tuple[tuple[str, Any], ...]
    rates: Array
    values: Array
    seeds: tuple[int, ...]

    @property
    def name(self) -> str:
        """The variant in words; empty where the rate is all that differs."""
        return ", ".join(
            shown(value) if axis in AXES and AXES[axis].is_text else f"{axis} {shown(value)}"
            for axis, value in self.variant
        )


def shown(value: Any) -> str:
    """A setting in words."""
    return str(value) if isinstance(value, str | bool) else format(value, "g")


def outcome_of(row: Row) -> Outcome:
    """The content of a trial's row.

    Args:
        row: that keeps to its rules.
    """
    loss = row["score"] if row["score"] is not None else math.inf if row["status"] == "diverged" else math.nan
    spent = {"seconds": row["seconds"] or 0.0, "engine": row["engine"] or "", "key": row["key"]}
    return Outcome(row["settings"], row["seed"], row["status"], row["done"], float(loss), row["metrics"] or {}, **spent)
