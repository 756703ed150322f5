"""The gradients' norm."""

from stepsize.control.signals._signal import Signal

gradient_norm = Signal("gradient_norm", lambda update: update.norm, needs_norm=True)
"""The global norm before clipping."""
