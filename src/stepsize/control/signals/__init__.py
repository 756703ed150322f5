"""Signals: what can be seen of an update, one file each. A signal of one's own is a value like these."""

from collections.abc import Mapping
from types import MappingProxyType

from stepsize.control.signals._applied_norm import applied_norm
from stepsize.control.signals._clipped import clipped
from stepsize.control.signals._curvature import curvature
from stepsize.control.signals._dead_share import dead_share
from stepsize.control.signals._decrease_ratio import decrease_ratio
from stepsize.control.signals._driven import driven
from stepsize.control.signals._gradient_cosine import gradient_cosine
from stepsize.control.signals._gradient_norm import gradient_norm
from stepsize.control.signals._loss import loss
from stepsize.control.signals._memory import memory
from stepsize.control.signals._noise_scale import Ratio as Ratio
from stepsize.control.signals._noise_scale import noise_scale
from stepsize.control.signals._rate import rate
from stepsize.control.signals._seconds_left import seconds_left
from stepsize.control.signals._sharpness import sharpness
from stepsize.control.signals._signal import Signal as Signal
from stepsize.control.signals._signal import Update as Update
from stepsize.control.signals._skipped import skipped
from stepsize.control.signals._smoothed_loss import smoothed_loss
from stepsize.control.signals._spike_score import spike_score
from stepsize.control.signals._throughput import throughput
from stepsize.control.signals._update_ratio import update_ratio
from stepsize.control.signals._wanted import Wanted as Wanted
from stepsize.control.signals._wanted import due as due
from stepsize.control.signals._wanted import fits as fits
from stepsize.control.signals._wanted import signals_in
from stepsize.control.signals._weight_norm import weight_norm

_ALL = (
    applied_norm,
    clipped,
    curvature,
    dead_share,
    decrease_ratio,
    driven,
    gradient_cosine,
    gradient_norm,
    loss,
    memory,
    noise_scale,
    rate,
    seconds_left,
    sharpness,
    skipped,
    smoothed_loss,
    spike_score,
    throughput,
    update_ratio,
    weight_norm,
)
SIGNALS: Mapping[str, Signal] = MappingProxyType({signal.name: signal for signal in _ALL})
"""The signals that are known by name."""

DEFAULT: tuple[str, ...] = (
    "loss",
    "rate",
    "rate/*",
    "gradient_norm",
    "clipped",
    "driven/*",
    "curvature@200",
    "decrease_ratio@200",
)
"""The signals that the library's observers want by default.

Nothing of it copies weights, but for the last two, where the loop hands its batch over for them.
"""


def signals_of(signals: Wanted) -> tuple[Signal, ...]:
    """The signals that names, patterns and signals of one's own stand for, each once.

    Args:
        signals: names, patterns such as ``"update_ratio/*"``, signals; ``"curvature@100"`` is a name that is wanted
            once in so many steps.

    Raises:
        TypeError, ValueError: something is no signal.

    Example:
        >>> from stepsize.control import signals_of
        >>> [(signal.name, signal.cost) for signal in signals_of(["rate", "update_ratio/*"])]
        [('rate', 'free'), ('update_ratio', 'copies')]
    """
    return signals_in(signals, SIGNALS)
