"""One hyperparameter at work: from the position to the values in the groups.

    value = clip(base * schedule(position) * feedback * manual, floor, cap)

with ``feedback`` the product of all that look at the loss: feedback and the guard. Everything that is not the position
changes seldom, and is multiplied once when it does.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stepsize.control._cells import Cells
from stepsize.schedule import Schedule


@dataclass
class Share:
    """What one group has of its own for one hyperparameter."""

    base: float
    taken: float  # the base as it was taken over, before any rebase
    manual: float = 1.0
    held: float | None = None


@dataclass
class Line:
    """One driven hyperparameter: what each driven group has of its own, and what is derived from it."""

    name: str
    members: list[int]  # the places of the driven groups among all; a plan may leave groups alone
    shares: list[Share]
    schedules: list[Schedule]
    bounds: list[list[Schedule | None]]  # floor and cap of each group
    cells: Cells
    values: list[float]  # what was written last, or is there
    feedback: float = 1.0

    def __post_init__(self) -> None:
        self.distinct = list({id(schedule): schedule for schedule in self.schedules}.values())
        places = {id(schedule): place for place, schedule in enumerate(self.distinct)}
        self.which = [places[id(schedule)] for schedule in self.schedules]
        self.at = [schedule.compiled() for schedule in self.distinct]
        self.bounded = any(bound != [None, None] for bound in self.bounds)
        self.refresh()

    def refresh(self) -> None:
        """Multiply anew what does not depend on the position."""
        self.effective = [
            (1.0 if schedule.is_absolute else share.base) * share.manual * self.feedback
            for share, schedule in zip(self.shares, self.schedules, strict=True)
        ]
        self.special = self.bounded or any(share.held is not None for share in self.shares)

    def write(self, position: float) -> None:
        """Derive the value of each group and write it: the one place that writes."""
        at = self.at
        if len(at) == 1:
            factor = at[0](position)
            values = [effective * factor for effective in self.effective]
        else:
            factors = [schedule(position) for schedule in at]
            values = [effective * factors[place] for effective, place in zip(self.effective, self.which, strict=True)]
        if self.special:
            values = [self._special(index, value, position) for index, value in enumerate(values)]
        self.values = values
        self.cells.write(values)

    def curve(self, index: int, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """The values of one driven group at many positions, as things stand now."""
        share, (floor, cap) = self.shares[index], self.bounds[index]
        if share.held is not None:
            return np.full_like(positions, share.held)
        values = self.effective[index] * self.schedules[index](positions)
        if self.stays_zero(index):
            return values
        low = -np.inf if floor is None else floor(positions)
        return np.minimum(np.maximum(values, low), np.inf if cap is None else cap(positions))

    def stays_zero(self, index: int) -> bool:
        """Whether a group's base is 0, which no factor moves."""
        return self.shares[index].base == 0 and not self.schedules[index].is_absolute

    def _special(self, index: int, value: float, position: float) -> float:
        share, (floor, cap) = self.shares[index], self.bounds[index]
        if share.held is not None:
            return share.held
        if self.stays_zero(index):
            return value
        if floor is not None:
            value = max(value, floor(position))
        return value if cap is None else min(value, cap(position))
