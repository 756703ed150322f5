"""A run's state as a file that is whole or not there."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from stepsize.state import write_atomic
from stepsize.task._distributed import leads, wait


def save_state(path: Path | str, state: Mapping[str, Any]) -> None:
    """Write a run's state whole or not at all, for ``torch.load(path, weights_only=True)``.

    Of processes that train together the first writes it, and the others wait until it is there.

    Args:
        path: the file.
        state: from ``Run.state()``.

    Raises:
        OSError: it cannot be written; a file that was there is untouched.

    Example:
        >>> import tempfile, torch
        >>> from stepsize.task import save_state
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_state(f"{folder}/last.pt", {"step": 3})
        ...     torch.load(f"{folder}/last.pt", weights_only=True)
        {'step': 3}
    """
    if leads():
        buffer = io.BytesIO()
        torch.save(dict(state), buffer)
        write_atomic(path, buffer.getvalue())
    wait()
