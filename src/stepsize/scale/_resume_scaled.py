"""Going on with a run at another batch, as on more or fewer processes: a rule scales its rate, and says so."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from stepsize import _check
from stepsize.control import Control
from stepsize.scale._rules import Rescaled, linear_rule, square_root_rule

RULES = {"linear": linear_rule, "sqrt": square_root_rule}
SHARE = 0.05  # of the run, over which the linear rule's rate is reached; five of ninety epochs in its source


def resume_scaled(
    control: Control,
    state: Mapping[str, Any],
    *,
    batch: float,
    to: float,
    rule: str,
    warmup: float | None = None,
    noise_scale: float | None = None,
    base: str | None = None,
    plan: str | None = None,
    extend: str | None = None,
) -> Rescaled:
    """Load the state of a run, and go on at another batch with the rate that a rule gives.

    Formula:
        rate · factor,  factor = k of "linear", √k of "sqrt",  k = to / batch
        reached in a straight line over ``warmup`` positions from here on

    Nothing else changes: betas, eps and weight decay stay. The change stands in ``control.log`` with its reason, and in
    the state that is saved next; loading that one by ``load_state_dict`` does not scale again.

    Args:
        control: built over the optimizer as it was.
        state: of ``control.state_dict()``.
        batch: the old batch in examples, over all accumulation and processes, > 0.
        to: the new one, > 0; on 16 instead of 8 processes twice as much.
        rule: ``"linear"`` for SGD or ``"sqrt"`` for Adam's kin.
        warmup: positions of the control's clock, >= 0; when left out, 5 % of the run where the linear rule raises the
            rate, else 0.
        noise_scale: in examples, > 0, where it is known, to say where the rule ends.
        base: ``"saved"`` or ``"new"``: what is to hold where it differs, as for ``Control.load_state_dict``.
        plan: ``"saved"`` or ``"new"``, likewise.
        extend: ``"keep"``, ``"stretch"`` or ``"cooldown"``, likewise.

    Returns:
        The rule's values, for the first group, and what is to be doubted.

    Raises:
        TypeError, ValueError: an argument is invalid, or run and state differ and no choice was made.

    Example:
        >>> import torch
        >>> from stepsize import Control
        >>> from stepsize.scale import resume_scaled
        >>> def begin():
        ...     return Control(torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=0.1), total=64_000)
        >>> state = begin().state_dict()  # on 8 processes; the clock counts examples
        >>> control = begin()  # on 16
        >>> new = resume_scaled(control, state, batch=256, to=512, rule="linear", warmup=0)
        >>> control.rates, new.factor, control.log[-1].reason
        ({'group0': 0.2}, 2.0, 'linear rule, batch 256 to 512')

    Source: Goyal et al. 2017 (arXiv 1706.02677), sections 2.1 and 2.2; Malladi et al. 2022 (arXiv 2205.10287).
    """
    if not isinstance(control, Control):
        raise TypeError(_check.message("control", control, "a Control"))
    if not isinstance(rule, str) or rule not in RULES:
        raise ValueError(_check.message("rule", rule, "'linear' or 'sqrt'"))
    factor = RULES[rule](1.0, batch=batch, to=to, noise_scale=noise_scale).factor
    if warmup is not None:
        warmup = _check.number("warmup", warmup, least=0)
    control.load_state_dict(state, base=base, plan=plan, extend=extend)
    gradual = SHARE * (control.total or 0.0) if rule == "linear" and factor > 1 else 0.0
    over = gradual if warmup is None else warmup
    lr = state["shares"]["lr"][0][0]
    found = RULES[rule](lr, batch=batch, to=to, noise_scale=noise_scale) if lr > 0 else Rescaled(rule, factor)
    control.scale(factor, reason=f"{found.rule} rule, batch {batch:g} to {to:g}", over=over)
    doubts = [doubt for doubt in found.doubts if not (over > 0 and "warm up" in doubt)]
    return replace(found, doubts=(*doubts, *_of_clock(control, state, to / batch, extend)))


def _of_clock(control: Control, state: Mapping[str, Any], ratio: float, extend: str | None) -> list[str]:
    """What is to be said where the clock counts steps: as many as were left now see more examples, or fewer."""
    at, total = float(state["position"]), control.total
    if ratio == 1 or total is None or not at or at != state["steps"] or extend is not None:
        return []
    end = at + (total - at) / ratio
    return [
        (
            f"the clock counts steps, each of {ratio:.3g} times the examples from here on: for equal epochs build the "
            f"control with total={end:.6g} and add extend='stretch', or let it count examples by step(advance=batch)"
        )
    ]
