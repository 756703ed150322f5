"""How many updates were left out so far because gradients were not finite.

Formula: a count. Cost: free. Under a gradient scaler with a fused optimizer only the device knows of the last update,
which is counted a step later.

What is healthy: with float16 a scaler that grows every 2,000 steps leaves one out each time it has grown too far; many
in a row mean that the gradients themselves are not finite (PyTorch's ``torch.amp.GradScaler``, ``growth_interval``).
"""

from stepsize.control.signals._signal import Signal

skipped = Signal("skipped", lambda update: update.skipped, cost="free")
"""A whole number."""
