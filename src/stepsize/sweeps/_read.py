"""A sweep as it can be read: its outcomes, curves of loss against rate, the answers, and exports."""

import csv
import math
from collections.abc import Iterable, Mapping
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from stepsize import _check, _extras
from stepsize.sweeps._answers import Array, Best, best_rate, divergence_threshold, rate_sensitivity
from stepsize.sweeps._database import COPY, SweepFileError, connected, explained, path_of
from stepsize.sweeps._outcome import Curve, Outcome, outcome_of
from stepsize.sweeps._schema import POINTS, facts_in, rows


class Sweep:
    """A sweep in a folder, read when it was opened; ``Sweep.open`` again sees what was added since.

    Attributes:
        folder: where it is.
        facts: what all trials share: ``task``, ``steps`` and the task's recipe.
        outcomes: of all trials, in the order they were asked for.
        initial: the mean score before any training; NaN where it is not known.
        left_out: what is wrong with each damaged row; empty unless it was opened with ``partial=True``.

    Example:
        >>> import tempfile
        >>> from stepsize import Sweep, sweep
        >>> from stepsize.engine import serial
        >>> from stepsize.task import task_named
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = sweep(task_named("quadratic"), [0.01, 0.1], 1, folder=folder, steps=20, engine=serial)
        ...     Sweep.open(folder).best()[0].rate
        0.1
    """

    def __init__(
        self,
        folder: Path,
        facts: Mapping[str, Any],
        outcomes: Iterable[Outcome],
        starts: Mapping[int, float],
        left_out: Iterable[str] = (),
    ) -> None:
        self.folder = folder
        self.facts = dict(facts)
        self.outcomes = tuple(outcomes)
        with np.errstate(over="ignore"):
            self.initial = float(np.mean(list(starts.values()))) if starts else math.nan
        self.left_out = tuple(left_out)

    def __repr__(self) -> str:
        finished = sum(outcome.status != "open" for outcome in self.outcomes)
        return f"Sweep({str(self.folder)!r}, {self.facts['task']}: {finished} of {len(self.outcomes)} trials)"

    @staticmethod
    def open(folder: Path | str, *, partial: bool = False) -> "Sweep":
        """The sweep in a folder.

        Args:
            folder: where ``sweep`` or ``stepsize sweep`` kept it.
            partial: whether to read a damaged file as far as its rows are whole; ``left_out`` then holds the others.

        Raises:
            TypeError: an argument is of another type.
            SweepFileError: there is no sweep, it cannot be read, or it is damaged.
        """
        if not isinstance(folder, Path | str):
            raise TypeError(_check.message("folder", folder, "a folder's path"))
        if not isinstance(partial, bool):
            raise TypeError(_check.message("partial", partial, "True or False"))
        path = path_of(folder)
        with explained(path), closing(connected(folder, writing=False)) as db:
            facts, fault = facts_in(db)
            if fault:
                raise SweepFileError(f"{path} is damaged: {fault}; {COPY}")
            if not facts:
                raise SweepFileError(f"{folder} holds no sweep: nothing is in its {path.name} yet")
            trials, starts = list(rows(db, "trials", facts)), list(rows(db, "starts"))
        faults = [fault for _, fault in (*trials, *starts) if fault]
        if faults and not partial:
            others = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
            raise SweepFileError(f"{path} is damaged: {faults[0]}{others}; {COPY}, or open it with partial=True")
        outcomes = [outcome_of(row) for row, fault in trials if not fault]
        return Sweep(
            Path(folder), facts, outcomes, {row["seed"]: row["score"] for row, fault in starts if not fault}, faults
        )

    @cached_property
    def variants(self) -> tuple[tuple[tuple[str, Any], ...], ...]:
        """The combinations of the axes but for the rate, in the order they were asked for."""
        return tuple(self._by_variant)

    @cached_property
    def _by_variant(self) -> dict[tuple[tuple[str, Any], ...], list[Outcome]]:
        groups: dict[tuple[tuple[str, Any], ...], list[Outcome]] = {}
        for outcome in self.outcomes:
            groups.setdefault(outcome.variant, []).append(outcome)
        return groups

    @cached_property
    def measures(self) -> tuple[str, ...]:
        """The measures: ``loss`` and the validation figures."""
        return ("loss", *dict.fromkeys(name for outcome in self.outcomes for name in outcome.metrics))

    def curves(self, measure: str = "loss") -> list[Curve]:
        """A measure against the rate, for every variant.

        Args:
            measure: one of ``measures``.

        Raises:
            ValueError: there is none of that name.
        """
        if measure not in self.measures:
            raise ValueError(f"there is no measure {measure!r}; {_check.closest(str(measure), self.measures)}")
        return [self._curve(variant, measure) for variant in self.variants]

    def best(self, measure: str = "loss") -> list[Best]:
        """The best rate of every variant, with its interval over the seeds.

        Args:
            measure: ``loss`` or a validation figure of which less is better.

        Raises:
            ValueError: there is none of that name.
        """
        return [best_rate(curve.rates, curve.values) for curve in self.curves(measure)]

    def thresholds(self) -> list[tuple[float, float]]:
        """Of every variant between which two rates training stops to get anywhere; see ``divergence_threshold``."""
        return [divergence_threshold(curve.rates, curve.values, self.initial) for curve in self.curves()]

    def sensitivities(self) -> list[float]:
        """Of every variant how much is lost by not knowing its best rate; see ``rate_sensitivity``."""
        return [rate_sensitivity(curve.rates, curve.values, self.initial) for curve in self.curves()]

    def training_curves(self, variant: tuple[tuple[str, Any], ...]) -> dict[float, tuple[Array, Array]]:
        """By rate the steps [points] and the training losses [points], the mean over the seeds that came furthest.

        Args:
            variant: one of ``variants``.
        """
        chosen = {outcome.key: outcome for outcome in self._by_variant.get(variant, [])}
        with explained(path_of(self.folder)), closing(connected(self.folder, writing=False)) as db:
            kept = db.execute("SELECT key, done, losses FROM trials WHERE losses IS NOT NULL").fetchall()
        by_rate: dict[float, list[tuple[int, Array]]] = {}
        for key, done, blob in kept:
            if key in chosen and done == chosen[key].done > 0:  # not what has gone on since it was opened
                by_rate.setdefault(chosen[key].rate, []).append((chosen[key].done, np.frombuffer(blob)))
        return {rate: _mean_curve(by_rate[rate]) for rate in sorted(by_rate)}

    def rows(self) -> list[dict[str, Any]]:
        """One flat mapping for each trial, all with the same names."""
        names = list(dict.fromkeys(name for outcome in self.outcomes for name in outcome.row()))
        return [{name: row.get(name) for name in names} for row in (outcome.row() for outcome in self.outcomes)]

    def to_csv(self, path: Path | str) -> None:
        """Write the rows as CSV.

        Args:
            path: the file.
        """
        rows = self.rows()
        with Path(path).open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, list(rows[0]) if rows else [])
            table.writeheader()
            table.writerows(rows)

    def to_pandas(self) -> Any:
        """The rows as a ``pandas.DataFrame``.

        Raises:
            ImportError: pandas is not installed.
        """
        return _extras.load("pandas", "tasks", "to_pandas").DataFrame(self.rows())

    def to_parquet(self, path: Path | str) -> None:
        """Write the rows as Parquet.

        Args:
            path: the file.

        Raises:
            ImportError: pandas or pyarrow is not installed.
        """
        _extras.load("pyarrow", "tasks", "to_parquet")
        self.to_pandas().to_parquet(path, index=False)

    def _curve(self, variant: tuple[tuple[str, Any], ...], measure: str) -> Curve:
        outcomes = self._by_variant[variant]
        rates, seeds = sorted({outcome.rate for outcome in outcomes}), sorted({outcome.seed for outcome in outcomes})
        values = np.full((len(rates), len(seeds)), np.nan)
        row, column = {rate: i for i, rate in enumerate(rates)}, {seed: i for i, seed in enumerate(seeds)}
        for outcome in outcomes:
            if outcome.status in ("finished", "diverged"):
                values[row[outcome.rate], column[outcome.seed]] = outcome.value(measure)
        return Curve(variant, np.asarray(rates), values, tuple(seeds))


def _mean_curve(curves: list[tuple[int, Array]]) -> tuple[Array, Array]:
    furthest = max(done for done, _ in curves)
    stride = max(1, math.ceil(furthest / POINTS))
    with np.errstate(over="ignore", invalid="ignore"):
        mean = np.mean([losses for done, losses in curves if done == furthest], axis=0)
    return stride * np.arange(len(mean), dtype=np.float64) + (stride - 1) / 2, np.asarray(mean, dtype=np.float64)
