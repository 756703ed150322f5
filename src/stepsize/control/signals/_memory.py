"""The most memory in use so far, in bytes: of the weights' device, or of the process where that is the CPU.

Formula: ``torch.cuda.max_memory_allocated``, or the largest resident set that the system has seen. Cost: free; nothing
is read back. Missing where neither can be asked.
"""

import sys

import torch

from stepsize.control.signals._signal import Signal, Update


def _after(update: Update) -> float | None:
    device = next((parameter.device for parameter in update.parameters.values()), torch.device("cpu"))
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device))
    try:
        import resource
    except ImportError:  # as on Windows
        return None
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(largest if sys.platform == "darwin" else 1024 * largest)


memory = Signal("memory", _after, cost="free")
"""Bytes."""
