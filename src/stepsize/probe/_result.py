"""The result of a range test: its curves, and a rule's suggestion."""

from dataclasses import dataclass
from functools import cached_property

from stepsize import _check
from stepsize.probe._suggest import Rule, Suggestion, probe_minimum_third, steepest_by_log_rate


@dataclass(frozen=True)
class RangeResult:
    """The curves of a range test and what a rule reads off them.

    Attributes:
        rates: the rates lent, rising.
        losses: the loss recorded at each, the mean over the processes; empty where a probe alone was measured.
        stopped: why the test ended.
        probed: the probe's loss after each rate's step, the mean over the processes; empty without a probe.
        skipped: steps that the gradient scaler left out; their rates were lent again.
        unrestored: names of what could not be put back, such as a stream's position; empty where all is as before.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    stopped: str
    probed: tuple[float, ...] = ()
    skipped: int = 0
    unrestored: tuple[str, ...] = ()

    @property
    def curve(self) -> tuple[float, ...]:
        """The losses that rules read: the probe's where there is a probe, else those recorded."""
        return self.probed or self.losses

    @cached_property
    def suggestion(self) -> Suggestion:
        """A rate, or none and why: by ``probe_minimum_third`` with a probe, else by ``steepest_by_log_rate``."""
        return self.suggest(probe_minimum_third if self.probed else steepest_by_log_rate)

    def suggest(self, rule: Rule) -> Suggestion:
        """Another rule's suggestion from ``curve``.

        Args:
            rule: ``probe_minimum_third``, ``steepest_by_log_rate``, ``valley``, ``minimum_tenth``, or any function of
                (rates, losses).

        Raises:
            TypeError: rule cannot be called.
        """
        if not callable(rule):
            raise TypeError(_check.message("rule", rule, "a function of (rates, losses)", "for example valley"))
        return rule(self.rates, self.curve)
