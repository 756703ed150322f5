"""Where a loss stands between its first value and its best, and whether it has lost too much of that for too long."""

import statistics
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from stepsize.control.guarding._guard import guard

NOISE = 5.0  # spreads of the losses within a check that are noise
LEAST = 0.05  # of the first loss's size: what is lost must be more
HEALTHY = 0.25  # of what would be a divergence: a state that has lost more is not kept
SPREADS = 10  # checks whose spreads are known
CHECKS = 3  # in a row, at least, that the loss must be lost
UNKNOWN = 100.0  # positions that are waited for where the run's length is not known


class Window(NamedTuple):
    """The losses between two checks, in short.

    Attributes:
        middle: their median.
        spread: the median distance from it.
    """

    middle: float
    spread: float


def window_of(losses: list[float]) -> Window:
    """Some losses in short.

    Args:
        losses: finite ones, at least one.
    """
    middle = statistics.median(losses)
    return Window(middle, statistics.median(abs(loss - middle) for loss in losses))


@dataclass(frozen=True)
class Level:
    """What is known of the loss so far.

    Attributes:
        first: the first loss; None before it.
        best: the lowest median of a check.
        spreads: of the last checks.
        lost_since: the position from which on it has been lost, or None.
        checks: for how many checks in a row it has been.
    """

    first: float | None = None
    best: float | None = None
    spreads: tuple[float, ...] = field(default=())
    lost_since: float | None = None
    checks: int = 0

    def margin(self, share: float) -> float:
        """How far above the best a loss is lost."""
        if self.first is None or self.best is None:
            return 0.0
        noise = NOISE * statistics.median(self.spreads) if self.spreads else 0.0
        size = abs(self.first)  # a loss that blows up at once brings spreads that are no noise
        return max(share * (self.first - self.best), min(noise, size), LEAST * size)

    def healthy(self, found: Window, share: float) -> bool:
        """Whether a state with such losses is worth going back to."""
        return self.best is not None and found.middle <= self.best + HEALTHY * self.margin(share)

    def after(self, found: Window, position: float, share: float) -> "Level":
        """The level once a check has seen its losses; ``first`` is known before.

        Args:
            found: the losses since the check before.
            position: the clock after them.
            share: ``lost`` of the guard.
        """
        best = (found.middle if self.first is None else self.first) if self.best is None else self.best
        spreads = self.spreads or (found.spread,)
        before = replace(self, best=best, spreads=spreads)
        if found.middle > best + before.margin(share):
            since = position if self.lost_since is None else self.lost_since
            return replace(before, spreads=self.spreads, lost_since=since, checks=self.checks + 1)
        spreads = (*self.spreads, found.spread)[-SPREADS:]
        return replace(before, best=min(best, found.middle), spreads=spreads, lost_since=None, checks=0)

    def is_diverged(self, position: float, patience: Any) -> bool:
        """Whether the loss has been lost for long enough.

        Args:
            position: the clock.
            patience: positions, or None.
        """
        if self.lost_since is None or self.checks < CHECKS:
            return False
        return position - self.lost_since >= (UNKNOWN if patience is None else patience) * (1 - 1e-9)

    def again(self) -> "Level":
        """The level of a state that was gone back to."""
        return replace(self, lost_since=None, checks=0)

    def lost_share(self, found: Window) -> str:
        """What has become of the loss, in words."""
        first, best = self.first or 0.0, self.best or 0.0
        if found.middle >= first or not first > best:
            return f"the loss rose to {found.middle:.4g} from {best:.4g}"
        share = (found.middle - best) / (first - best)
        gained = f"{share:.0%} of what it had gained, {first:.4g} to {best:.4g}"
        return f"the loss rose to {found.middle:.4g}, and lost {gained}"

    def state(self) -> dict[str, Any]:
        """Small plain data."""
        return {**vars(self), "spreads": list(self.spreads)}

    @staticmethod
    def of(state: dict[str, Any]) -> "Level":
        """The inverse of ``state``."""
        return Level(**{**state, "spreads": tuple(state["spreads"])})


def patience_of(plan: guard) -> float | None:
    """How long a loss must be lost, in positions; None where the run's length is not known."""
    return plan.patience if isinstance(plan.patience, float) else None
