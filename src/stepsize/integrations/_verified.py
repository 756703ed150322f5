"""Whether a trainer's rate is right, tried once on its way: short forks of the run itself, and all is put back."""

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch.optim import Optimizer

from stepsize import _check
from stepsize.control import Scheduler, levels
from stepsize.optim import read_value, write_value
from stepsize.search import CHECKED_AT, Finding, Recheck

APPLY = "apply"
Search = Callable[[dict[str, Any], int, dict[str, Any]], Finding]


def check_verify(verify: Any) -> bool | str:
    """A hook's ``verify``.

    Args:
        verify: True, False or "apply".
    """
    if isinstance(verify, bool) or (isinstance(verify, str) and verify == APPLY):
        return verify
    kind = ValueError if isinstance(verify, str) else TypeError
    raise kind(_check.message("verify", verify, f"True, False or {APPLY!r}, which also goes on at the rate found"))


class Verifier:
    """Has other rates tried once, at a quarter of a run.

    Args:
        verify: True, or "apply" to go on at the rate that is found.
        log: the name of the trainer's logger.

    Attributes:
        finding: what was found in this run, if anything was.
    """

    def __init__(self, verify: bool | str, log: str) -> None:
        self._apply, self._log = verify == APPLY, logging.getLogger(log)
        self.finding: Finding | None = None
        self._at: int | None = None

    def begin(self, total: float | None, done: int) -> bool:
        """A training begins, or goes on from a checkpoint; whether rates will be tried in it.

        Args:
            total: updates of the whole run; None where nobody knows them.
            done: updates that it has done; past the quarter, nothing is tried any more.

        Raises:
            ValueError: the run is too short, or its length is not known.
        """
        if total is None or not math.isfinite(total):
            raise ValueError("verify begins at a quarter of the run, and its length is not known; give its steps")
        at = math.ceil(CHECKED_AT * total)
        try:
            Recheck(1.0, round(total), max(1, round(total) - at))
        except ValueError as error:
            raise ValueError(f"verify: {error}; else leave verify out") from None
        self.finding, self._at = None, at if done <= at else None
        return self._at is not None

    def is_due(self, done: int) -> bool:
        """Whether rates are tried now; true once in a run.

        Args:
            done: updates so far.
        """
        due = done == self._at
        self._at = None if due else self._at
        return due

    def look(self, scheduler: Scheduler, optimizer: Optimizer, search: Search) -> Finding | None:
        """Try other rates than the one that a run has; None where that cannot be done, which is logged.

        Args:
            scheduler: of the run.
            optimizer: that it drives.
            search: (plan, total, options) -> the finding, with everything put back.
        """
        done, total = int(scheduler.position), round(scheduler.total or 0)
        try:
            with _without_schedule(scheduler, optimizer) as rate:
                self.finding = search({"lr": scheduler.plan}, total, {"around": rate, "position": done})
        except Exception as error:  # whatever a fork has met: all is put back, and the run itself goes on
            self._log.warning("the rate could not be verified: %s", _check.in_one_line(error, 300))
            return None
        self._log.info("verified after %d of %d updates: %s", done, total, self.finding)
        if self._apply and self.finding.rate not in (None, rate):
            scheduler.scale(self.finding.rate / rate, reason="forks of the run end lowest there")
        return self.finding


@contextmanager
def _without_schedule(scheduler: Scheduler, optimizer: Optimizer) -> Iterator[float]:
    """Write into the groups what their schedules multiply, for a block; the largest rate among them."""
    found = levels(scheduler)
    before = [
        (group, dict(group), {name: read_value(group, name) for name in driven})
        for group, driven in zip(optimizer.param_groups, found, strict=True)
    ]
    try:
        for (group, _, _), driven in zip(before, found, strict=True):
            for name, value in driven.items():
                write_value(group, name, value)
        yield max((driven["lr"] for driven in found if "lr" in driven), default=0.0)
    finally:
        for group, held, numbers in before:
            group.update(held)
            for name, value in numbers.items():
                if read_value(group, name) != value:  # a tensor, which stays the same one
                    write_value(group, name, value)
