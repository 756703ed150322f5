"""What rules look at: columns of numbers by step, and what is known of the run; of any log, or of a live run."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stepsize import _check
from stepsize.record import Run

Array = NDArray[np.float64]
Entries = Iterable[Mapping[str, Any]]
BESIDE = ("step", "position", "what", "group", "reason", "value")


class Series(NamedTuple):
    """One column: the steps at which it was written, and its values; NaN is what was not finite.

    Attributes:
        steps: shape (n,), rising unless a run went back in its log.
        values: shape (n,).

    Example:
        >>> import numpy as np
        >>> from stepsize.diagnosis import Series
        >>> Series(np.arange(3.0), np.array([2.0, np.nan, 1.0])).finite.steps.tolist()
        [0.0, 2.0]
    """

    steps: Array
    values: Array

    @property
    def finite(self) -> "Series":
        """Without what is not finite."""
        keep = np.isfinite(self.values)
        return Series(self.steps[keep], self.values[keep])

    def __bool__(self) -> bool:
        return bool(self.steps.size)


EMPTY = Series(np.empty(0), np.empty(0))


@dataclass(frozen=True)
class Seen:
    """A run as rules see it.

    Attributes:
        columns: signals of steps by name.
        observed: validations and what else was observed by name.
        events: each with ``step``, ``what`` and more.
        facts: what is known beside: ``plan`` as text, ``steps`` of the run as it was meant, ``done``, ``status``.

    Raises:
        TypeError: an argument is invalid.

    Example:
        >>> from stepsize.diagnosis import Seen
        >>> seen = Seen.of_lines([{"step": 0, "loss": 2.0, "rate": 0.1}, {"step": 10, "loss": 1.0, "rate": 0.1}])
        >>> seen.length, seen["loss"].values.tolist(), bool(seen["curvature"])
        (11.0, [2.0, 1.0], False)
    """

    columns: Mapping[str, Series]
    observed: Mapping[str, Series] = field(default_factory=dict)
    events: Sequence[Mapping[str, Any]] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, columns in (("columns", self.columns), ("observed", self.observed)):
            if not isinstance(columns, Mapping) or not all(map(_is_series, columns.values())):
                raise TypeError(_check.message(name, columns, "a mapping from names to Series of equally long arrays"))
        if isinstance(self.events, str) or not isinstance(self.events, Sequence):
            raise TypeError(_check.message("events", self.events, "a sequence of mappings"))
        if not isinstance(self.facts, Mapping):
            raise TypeError(_check.message("facts", self.facts, "a mapping"))

    @staticmethod
    def of(run: Run) -> "Seen":
        """A run folder or another's log.

        Args:
            run: as it was read.
        """
        return Seen.of_lines(run.steps, () if run.observed is run.steps else run.observed, run.events, run.facts)

    @staticmethod
    def of_lines(
        steps: Entries, observed: Entries = (), events: Entries = (), facts: Mapping[str, Any] | None = None
    ) -> "Seen":
        """A run from its lines; what is called a validation among those of steps is one.

        Args:
            steps: lines with ``step`` and signals by name; None is a value that was not finite.
            observed: lines with ``step`` and what was observed.
            events: lines with ``step`` and ``what``.
            facts: what is known beside.
        """
        columns = _columns(steps)
        among = {name: series for name, series in columns.items() if _is_validation(name)}
        rest = {name: series for name, series in columns.items() if name not in among}
        return Seen(rest, {**among, **_columns(observed)}, tuple(events), dict(facts or {}))

    def __getitem__(self, name: str) -> Series:
        """A signal; empty if the log has none."""
        return self.columns.get(name, EMPTY)

    @property
    def length(self) -> float:
        """Steps of the run as far as it came."""
        ends = [series.steps[-1] + 1 for series in self.columns.values() if series]
        return float(max(ends, default=0.0))

    @property
    def is_early(self) -> bool:
        """Whether the run goes on and has not come to its middle, so that nothing can be said of the whole of it."""
        total = self.facts.get("steps") or self.facts.get("total")
        return self.facts.get("status") == "running" and (not total or self.length < 0.5 * float(total))

    def family(self, name: str) -> dict[str, Series]:
        """The columns ``name/key`` by key, such as the update ratio of single parameters.

        Args:
            name: before the slash.
        """
        start = f"{name}/"
        return {key.removeprefix(start): each for key, each in self.columns.items() if key.startswith(start)}


def _is_series(value: Any) -> bool:
    """Whether something is a column as rules need it."""
    return isinstance(value, Series) and np.ndim(value.steps) == 1 and np.shape(value.steps) == np.shape(value.values)


def _is_validation(name: str) -> bool:
    """Whether a column is a validation's."""
    return name.startswith(("validation", "val_", "val/", "eval_", "eval/", "test"))


def _columns(entries: Entries) -> dict[str, Series]:
    """Columns from lines: each name with the steps of those lines that have it."""
    found: dict[str, tuple[list[float], list[float]]] = {}
    for entry in entries:
        for name, value in entry.items():
            if name not in BESIDE and not isinstance(value, str):
                steps, values = found.setdefault(name, ([], []))
                steps.append(entry["step"])
                values.append(math.nan if value is None else float(value))
    return {name: Series(np.array(steps, float), np.array(values, float)) for name, (steps, values) in found.items()}
