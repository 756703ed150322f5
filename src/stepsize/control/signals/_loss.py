"""The loss of an update."""

from stepsize.control.signals._signal import Signal

loss = Signal("loss", lambda update: update.loss)
"""As it was handed to ``step`` or returned by a closure; missing where it was not."""
