"""A range test under way: lends a rate, takes what was measured at it, decides whether to go on."""

import itertools
import math
import statistics
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from stepsize import _check
from stepsize.optim import parameters
from stepsize.probe._fixed_probe import FixedProbe, Probe
from stepsize.probe._loan import Loan
from stepsize.probe._ranks import Outcome, Verdict, agreed
from stepsize.probe._result import RangeResult
from stepsize.state import capture, is_optimizer, lent

BREAKS = 3.0  # how far above the best loss, in units of the first, a run counts as broken
NOISE = 5.0  # median differences of neighbouring losses in such a unit, at least
PATIENCE = 20  # steps left out in a row at one rate; a scale of 2**16 has found its place long before


class RangeTest:
    """A range test under way; made by ``range_test``, used by ``with`` and ``for``."""

    def __init__(
        self,
        optimizers: Sequence[Optimizer],
        things: Sequence[Any],
        rates: Sequence[float],
        *,
        scaled: bool = False,
        probe: Probe | None = None,
    ) -> None:
        self._optimizers = optimizers
        self._things = things
        self._plan = rates
        self._scaled = scaled
        self._call = probe
        self._lent: list[float] = []
        self._losses: list[float] = []
        self._probed: list[float] = []
        self._recorded: float | None = None
        self._skipped = 0
        self._stopped = ""
        self._inside = False

    def __enter__(self) -> "RangeTest":
        if self._lent or self._inside or self._stopped:
            raise RuntimeError("this range test was used before; make a new one with range_test(...)")
        self._loan = Loan(self._optimizers)
        self._captured = capture(*self._things)
        modules = [thing for thing in self._things if isinstance(thing, nn.Module)]
        self._probe = None if self._call is None else FixedProbe(self._call, modules)
        first = next((parameter for optimizer in self._optimizers for parameter in parameters(optimizer)), None)
        self._device = torch.device("cpu") if first is None else first.device
        if self._scaled:
            self._loan.count()
        self._marks = ExitStack()
        self._marks.enter_context(lent(filter(is_optimizer, self._things)))
        self._inside = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._inside = False
        try:
            if kind is None and not self._stopped:  # an exception ends the process, which the others notice by it
                self._keep(agreed(Outcome(Verdict.LEFT, self._recorded), self._device))
        finally:
            self._stopped = self._stopped or ("the loop raised" if kind else "the loop ended early")
            self._loan.uncount()
            try:
                self._captured.restore()
            finally:
                self._marks.close()

    def __iter__(self) -> Iterator[float]:
        """Lend each rate in turn: written to the groups (their ratios kept), the largest group getting the rate.

        A rate whose step the gradient scaler left out is lent again. With several processes, each goes on or stops
        as all do.
        """
        if not self._inside:
            raise RuntimeError("a range test gives rates only inside its with block: with range_test(...) as test:")
        if self._lent:
            raise RuntimeError("this range test was iterated before; make a new one with range_test(...)")
        for rate in self._plan:
            self._lent.append(rate)
            for _ in range(PATIENCE):
                self._recorded, before = None, self._loan.steps
                self._loan.lend(rate)
                yield rate
                outcome = agreed(
                    self._outcome(self._scaled and self._loan.counts and self._loan.steps == before), self._device
                )
                self._recorded = None
                if outcome.verdict is not Verdict.SKIPPED or not _finite(outcome):
                    break
                self._skipped += 1
            else:
                self._stopped = f"the scaler left out {PATIENCE} steps in a row at the rate {rate:.3g}"
                return
            self._keep(outcome)
            if outcome.verdict is Verdict.MISSING:
                raise RuntimeError(f"no loss was recorded at the rate {rate:g}; call test.record(loss) in the loop")
            self._stopped = self._broken()
            if outcome.verdict is Verdict.LEFT:
                self._stopped = self._stopped or "another process left its loop"
            if self._stopped:
                return
        self._stopped = "all rates were tried"

    def record(self, loss: Tensor | float) -> None:
        """Note the loss at the rate last lent; reads it back from the device.

        When gradients are accumulated, call it once, with the mean of the losses that one update was made of. With a
        probe it may be left out. With several processes, each records its own, and the mean counts.

        Args:
            loss: one number, or a tensor of one element.

        Raises:
            TypeError, ValueError: it is not one number.
            RuntimeError: outside the loop, twice at one rate, or something else has written the rate meanwhile.
        """
        place = self._inside and self._recorded is None and len(self._losses) == len(self._lent) - 1
        if not place:
            raise RuntimeError("record(loss) belongs into the loop over the range test, once at each rate")
        _check.one_number("loss", loss)
        self._loan.check(self._lent[-1])
        self._recorded = float(loss.item() if isinstance(loss, Tensor) else loss)

    @property
    def result(self) -> RangeResult:
        """The curves so far, and the suggestion by rule.

        Raises:
            RuntimeError: the with block has not ended.
        """
        if self._inside or not self._stopped:
            raise RuntimeError("the result is there after the with block")
        losses, probed = tuple(self._losses), tuple(self._probed)
        count = min(len(curve) for curve in (losses, probed) if curve) if losses or probed else 0
        lent, unrestored = tuple(self._lent[:count]), self._captured.unrestored
        return RangeResult(lent, losses[:count], self._stopped, probed[:count], self._skipped, unrestored)

    def _outcome(self, skipped: bool) -> Outcome:
        """This process's outcome at the rate last lent."""
        if self._recorded is None:
            if self._probe is None or self._losses:
                return Outcome(Verdict.MISSING)
            self._loan.check(self._lent[-1])
        probed = None if self._probe is None else self._probe()
        return Outcome(Verdict.SKIPPED if skipped else Verdict.DONE, self._recorded, probed)

    def _keep(self, outcome: Outcome) -> None:
        """Lengthen the curves by what all processes have measured."""
        if outcome.loss is not None:
            self._losses.append(outcome.loss)
        if outcome.probed is not None:
            self._probed.append(outcome.probed)

    def _broken(self) -> str:
        """Why the curves say that the test is over; empty while they do not."""
        for name, losses in (("loss", self._losses), ("probe's loss", self._probed)):
            if not losses:
                continue
            if not math.isfinite(losses[-1]):
                return f"the {name} became {losses[-1]} at the rate {self._lent[-1]:.3g}"
            if _blew_up(losses):
                return f"the {name} blew up to {losses[-1]:.3g} at the rate {self._lent[-1]:.3g}"
        return ""


def _blew_up(losses: Sequence[float]) -> bool:
    """Whether the last loss is far above the best: by the size of the first, the progress, and the noise before it.

    A loss that may be negative can begin near zero, where its size alone says nothing.
    """
    first, best, before = losses[0], min(losses), losses[:-1]
    if len(before) < 2:
        return False
    noise = statistics.median(abs(one - other) for one, other in itertools.pairwise(before))
    return losses[-1] - best > BREAKS * max(abs(first), first - best, NOISE * noise)


def _finite(outcome: Outcome) -> bool:
    return all(value is None or math.isfinite(value) for value in (outcome.loss, outcome.probed))
