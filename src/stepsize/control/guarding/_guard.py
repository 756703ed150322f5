"""What a guard is: when a run counts as diverged, and what is done then, as a value with a text."""

from dataclasses import dataclass, fields, replace
from typing import Any

from stepsize import _check
from stepsize.schedule import Length, constant, parse_call

# ruff: noqa: N801 - written in lower case, like feedback and schedules
FAR = 2.0**52  # positions
EVERY, PATIENCE = 0.02, 0.03  # shares of the run


@dataclass(frozen=True, kw_only=True)
class guard:
    """Goes back to the last good state where a run diverges, lowers the rate, and goes on with the next data.

    A run has diverged when a loss, or the weights, are not finite; or when the median loss of a check has been above

        best + max(lost (first - best), noise)

    for ``patience``, with the lowest median so far, the first loss, and as noise 5 times the spread of the losses
    within a check, but at least a 20th of the first loss. Weights, buffers, the optimizer, the scaler and Control's
    feedback are then what they were at the last good state, bit for bit; the rate is multiplied by ``factor``. The
    clock goes on, so that the schedule ends where it ends; random numbers and data do too, so that bad batches are
    skipped.

    The loss of every update is kept on its device and read back, with the norm of the weights, every ``check`` updates
    and at the run's end. An update that a scaler or ``nonfinite="skip"`` leaves out is no divergence, but 25 in a row
    are. With several processes all take one decision. A good state takes as much memory as weights and optimizer.

    Args:
        returns: how often it goes back, >= 0; at the next divergence it puts the last good state back and raises
            ``DivergedError``.
        factor: what the rate is multiplied by at each return, > 0 and <= 1.
        lost: the share of what the loss had gained that is lost in a divergence, > 0.
        patience: for how long: steps (positions), a share of the run (``"3%"``) or epochs, but three checks at least;
            3 % of the run when left out, or 100 steps where its length is not known.
        check: updates from one check to the next, >= 1.
        every: how much of the run lies between two good states: steps (positions), a share of the run or epochs, but
            25 updates at least; 2 % of the run when left out, or 100 steps.

    Raises:
        TypeError, ValueError: an argument is invalid.

    Example:
        >>> import torch
        >>> from stepsize import Control, guard
        >>> weight = torch.ones(1, requires_grad=True)
        >>> control = Control(torch.optim.SGD([weight], lr=0.5), guard=guard(check=1), remind=False)
        >>> for batch in [1.0, 1.0, float("nan"), 1.0]:
        ...     loss = (batch * weight).square().sum()
        ...     loss.backward()
        ...     _ = control.step(loss)
        >>> control.log[0].reason
        'the loss was nan; went back to step 0'
        >>> control.rates, bool(weight.isfinite())
        ({'group0': 0.25}, True)

    Source: Chowdhery et al. 2022, PaLM, section 5.1 (going back and skipping batches), which left the rate as it was.
    """

    returns: int = 5
    factor: float = 0.5
    lost: float = 0.75
    patience: Length = None
    check: int = 10
    every: Length = None

    def __post_init__(self) -> None:
        self._set("returns", _check.whole("returns of guard", self.returns, least=0))
        self._set("check", _check.whole("check of guard", self.check, least=1))
        self._set("factor", _check.number("factor of guard", self.factor, above=0))
        if self.factor > 1:
            raise ValueError(_check.message("factor of guard", self.factor, "at most 1"))
        self._set("lost", _check.number("lost of guard", self.lost, above=0))
        for name in ("patience", "every"):
            try:
                self._set(name, constant(getattr(self, name)).length)
            except (TypeError, ValueError) as error:
                raise type(error)(str(error).replace("length of constant", f"{name} of guard")) from None

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def over(self, total: float | None, per_epoch: float | None = None) -> "guard":
        """The same on a run of ``total`` positions: lengths become numbers of them.

        Args:
            total: the run's length, > 0, or None.
            per_epoch: positions in an epoch, > 0.

        Raises:
            ValueError: a length is relative, and the total is not known.
        """
        patience = self._over("patience", PATIENCE, total, per_epoch)
        return replace(self, patience=patience, every=self._over("every", EVERY, total, per_epoch))

    def _over(self, name: str, share: float, total: float | None, per_epoch: float | None) -> Length:
        length = getattr(self, name)
        if length is None:
            return None if total is None else share * total
        if not isinstance(length, str):
            return float(length)
        if total is None and length.endswith("%"):
            raise ValueError(f"{name}={length} of guard needs the run's length; give total=")
        far = total if total is not None and length.endswith("%") else max(total or FAR, FAR)
        return constant(length).over(far, per_epoch).length

    def __str__(self) -> str:
        shown = [(part.name, getattr(self, part.name), part.default) for part in fields(self)]
        parts = [f"{name}={value}" for name, value, default in shown if value != default]
        return f"guard({', '.join(parts)})"


Guard = guard  # its name where a parameter is called guard


def as_guard(text: Any) -> guard:
    """A guard, from itself or its text.

    Args:
        text: such as ``guard(returns=2)``, or the same as a text.

    Raises:
        TypeError, ValueError: it is neither.

    Example:
        >>> from stepsize.control import as_guard
        >>> as_guard("guard( returns = 2 )")
        guard(returns=2, factor=0.5, lost=0.75, patience=None, check=10, every=None)
    """
    if isinstance(text, str):
        return parse_call(text, {"guard": guard})  # type: ignore[no-any-return]
    if not isinstance(text, guard):
        raise TypeError(
            _check.message("guard", text, "a guard or its text", "write for example guard=guard(returns=3)")
        )
    return text
