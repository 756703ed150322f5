"""Signals: what can be seen of an update, one file each. A signal of one's own is a value like these."""

from collections.abc import Mapping
from types import MappingProxyType

from stepsize.control.signals._curvature import curvature
from stepsize.control.signals._decrease_ratio import decrease_ratio
from stepsize.control.signals._gradient_norm import gradient_norm
from stepsize.control.signals._loss import loss
from stepsize.control.signals._rate import rate
from stepsize.control.signals._signal import Signal as Signal
from stepsize.control.signals._signal import Update as Update
from stepsize.control.signals._update_ratio import update_ratio
from stepsize.control.signals._wanted import Wanted as Wanted
from stepsize.control.signals._wanted import fits as fits
from stepsize.control.signals._wanted import signals_in

SIGNALS: Mapping[str, Signal] = MappingProxyType(
    {each.name: each for each in (curvature, decrease_ratio, gradient_norm, loss, rate, update_ratio)}
)
"""The signals that are known by name."""

DEFAULT = ("loss", "rate", "rate/*", "gradient_norm")
"""What observers of the library want unless they are told otherwise: what needs no copy of the weights."""


def signals_of(signals: Wanted) -> tuple[Signal, ...]:
    """The signals that names, patterns and signals of one's own stand for, each once.

    Args:
        signals: names, patterns such as ``"update_ratio/*"``, signals.

    Raises:
        TypeError, ValueError: something is no signal.

    Example:
        >>> from stepsize.control import signals_of
        >>> [(signal.name, signal.cost) for signal in signals_of(["rate", "update_ratio/*"])]
        [('rate', 'free'), ('update_ratio', 'copies')]
    """
    return signals_in(signals, SIGNALS)
