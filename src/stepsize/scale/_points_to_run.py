"""Which small runs are to be trained for a target: the points, from the cheapest one on, within a budget."""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stepsize import _check
from stepsize.search import budget_of
from stepsize.task import Startable, Task, Trial, table_of

LENGTHS = ("steps", "epochs")
RUNS = 4  # rates at a point, about
BESIDE, LEAST = 5, 1 / 32  # halvings between the target and the largest point, at most; the smallest part of a target
VALUES = {1: 4, 2: 3}  # of an axis where they are left out, by the number of axes
Place = dict[str, float]


@dataclass(frozen=True)
class Runnable:
    """A point that can be trained.

    Attributes:
        place: by axis.
        settings: of its trials, without the rate.
        steps: of each.
        price: of one of them, in runs at the target.
    """

    place: Place
    settings: dict[str, Any]
    steps: int
    price: float

    def trial(self, task: Startable, rate: float, seed: int) -> Trial:
        """Its trial at a rate.

        Args:
            task: whose.
            rate: the learning rate.
            seed: of the trial.
        """
        return Trial.of(task, {**self.settings, "lr": rate}, seed, self.steps)


class Planner:
    """Makes points of a task runnable.

    Args:
        task: a built-in task or your own.
        settings: of all trials.
        steps: of each, where no axis says it.
        at: the target, by axis.
        epochs: of each, instead of steps.

    Raises:
        TypeError, ValueError: the target is none.
    """

    def __init__(
        self, task: Startable, settings: Mapping[str, Any], steps: int, at: Mapping[str, Any], epochs: float | None
    ) -> None:
        self.task, self.settings, self.steps, self.epochs = task, dict(settings), steps, epochs
        if not isinstance(at, Mapping) or not at:
            raise TypeError(_check.message("at", at, 'a number for each axis, such as {"batch_size": 128}'))
        if {*LENGTHS} <= {*at}:
            raise ValueError("at has steps and epochs, which both say how long a run is; give one of them")
        self.target = self.runnable(at, "at")

    def runnable(self, place: Mapping[str, Any], name: str) -> Runnable:
        """A point of these values, or an error that calls it by a name.

        Args:
            place: a number for each axis.
            name: of the argument that holds it.
        """
        self.check_axes(place, name)
        numbers = {axis: _check.number(f"{axis} of {name}", value, above=0) for axis, value in place.items()}
        own = {axis: _own(value) for axis, value in numbers.items() if axis not in LENGTHS}
        settings = {**self.settings, **own}
        settings = dict(Trial.of(self.task, settings, 0, 1).settings)
        size = settings.get("batch_size", getattr(self.task, "batch_size", None))
        self._check_size(name, place, size)
        steps = self._steps(numbers, size, name)
        price = steps * (size or 1)
        return Runnable(numbers, settings, steps, price / self.target.price if hasattr(self, "target") else price)

    def _check_size(self, name: str, place: Mapping[str, Any], size: int | None) -> None:
        if "batch_size" not in place or not isinstance(self.task, Task) or size is None:
            return
        count = None if self.task.examples is None else self.task.examples()
        if count is not None and size > count:
            raise ValueError(_check.message(f"batch_size of {name}", size, f"at most the data's {count} examples"))

    def check_axes(self, axes: Iterable[Any], name: str) -> None:
        """Raise ValueError, with those there are, unless these are axes.

        Args:
            axes: their names.
            name: of the argument that holds them.
        """
        known = [*LENGTHS, *(axis for axis in table_of(self.task) if axis != "lr")]
        for axis in axes:
            if axis not in known:
                raise ValueError(f"{name} has {axis!r}, which is no axis; {_check.closest(str(axis), known)}")

    def _steps(self, numbers: Mapping[str, float], size: int | None, name: str) -> int:
        if "steps" in numbers:
            return _check.whole(f"steps of {name}", numbers["steps"], least=1)
        epochs = numbers.get("epochs", self.epochs)
        if epochs is None:
            return self.steps
        epoch = self.task.epoch(size) if isinstance(self.task, Task) else None
        if epoch is None:
            raise ValueError(f"the length of an epoch of {self.task.name!r} is not known; give steps instead of epochs")
        return max(1, round(epochs * epoch))


def _own(value: float) -> float:
    return int(value) if value == int(value) else value


def planned(planner: Planner, over: Mapping[str, Sequence[Any] | None], budget: str | int | None) -> list[Runnable]:
    """The points, from the cheapest one on.

    Args:
        planner: of the task and the target.
        over: by axis its values, None for values to be chosen: halves of the target's.
        budget: for all, as ``budget_of`` takes it, of the target's steps; where values are chosen one target run.

    Raises:
        TypeError, ValueError: the axes are not those of the target, a value is none, or the budget is too small.
    """
    if not isinstance(over, Mapping) or not over:
        raise TypeError(_check.message("over", over, 'values by axis, such as {"batch_size": [8, 16, 32]}'))
    at = planner.target.place
    planner.check_axes(over, "over")
    if missing := [axis for axis in over if axis not in at]:
        raise ValueError(_check.message("at", at, f"a number for each of {', '.join(over)}", f"add {missing[0]}"))
    if more := [axis for axis in at if axis not in over]:
        raise ValueError(f"at has {more[0]!r}, which is not among over: {', '.join(over)}")
    for axis, values in over.items():
        if values is not None and (isinstance(values, str) or not isinstance(values, Sequence) or len(values) < 2):
            rule = "two or more values, or None for chosen ones"
            raise ValueError(_check.message(f"{axis} of over", values, rule))
    allowed = budget_of("1x" if budget is None else budget, planner.target.steps).steps / planner.target.steps
    chosen = any(values is None for values in over.values())
    cheapest = math.inf
    for beside in range(1, BESIDE + 1) if chosen else (0,):
        points = list(_points(planner, over, beside))
        price = RUNS * sum(point.price for point in points)
        if price <= allowed or (budget is None and not chosen):
            return sorted(points, key=lambda point: point.price)
        cheapest = min(cheapest, price)
    raise ValueError(
        _check.message("budget", "1x" if budget is None else budget, f"at least {cheapest:.2g}x for these axes")
    )


def _points(planner: Planner, over: Mapping[str, Sequence[Any] | None], beside: int) -> Iterator[Runnable]:
    count, values = VALUES.get(len(over), 2), {}
    for axis, given in over.items():
        whole = axis != "epochs" and planner.target.place[axis] == int(planner.target.place[axis])
        ladder = [planner.target.place[axis] / 2 ** (beside + step) for step in range(count)]
        found = [max(1.0, round(rung)) if whole else rung for rung in ladder] if given is None else given
        values[axis] = list(dict.fromkeys(found))
    for place in itertools.product(*values.values()):
        yield planner.runnable(dict(zip(values, place, strict=True)), "over")
