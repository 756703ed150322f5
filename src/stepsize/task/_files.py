"""A run's state as a file that is whole or not there, with a checksum by which a flipped bit is noticed."""

import hashlib
import io
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from stepsize.state import read_regular, write_atomic
from stepsize.task._distributed import wait
from stepsize.task._ranks import leads

MARK = b"stepsize sha256 "
LENGTH = len(MARK) + 64
END = 22  # bytes of a zip file's end record, of which the last two are the length of the comment behind it


def save_state(path: Path | str, state: Mapping[str, Any]) -> None:
    """Write a run's state whole or not at all, for ``read_state`` or ``torch.load(path, weights_only=True)``.

    The file is a zip file, as ``torch.save`` writes it; its checksum stands in the comment at the end. Of processes
    that train together the first writes it, and the others wait until it is there.

    Args:
        path: the file.
        state: from ``Training.state()``.

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
        body = buffer.getvalue()[:-2] + struct.pack("<H", LENGTH)
        write_atomic(path, body + _seal(body))
    wait()


def read_state(path: Path | str) -> dict[str, Any]:
    """The content of a file of ``save_state``; nothing in the file is executed.

    Files of stepsize 0.1 have no checksum and are read without.

    Args:
        path: the file.

    Raises:
        ValueError: it is not such a file, or damaged.
        OSError: there is none, or it cannot be read.

    Example:
        >>> import tempfile
        >>> from stepsize.task import read_state, save_state
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_state(f"{folder}/last.pt", {"step": 3})
        ...     read_state(f"{folder}/last.pt")
        {'step': 3}
    """
    content = read_regular(path)
    body, seal = content[:-LENGTH], content[-LENGTH:]
    old = content[-END : 4 - END] == b"PK\x05\x06" and content.endswith(b"\0\0")
    if not old and seal != _seal(body):
        what = "its checksum is wrong" if MARK in seal else "it is cut off, or no checkpoint"
        raise ValueError(f"{path} cannot be read as a checkpoint: {what}")
    place = None if torch.cuda.is_available() else "cpu"
    try:
        state = torch.load(io.BytesIO(content), weights_only=True, map_location=place)
    except Exception as error:  # a crafted file may raise anything
        raise ValueError(f"{path} cannot be read as a checkpoint ({type(error).__name__}); is it complete?") from None
    if not isinstance(state, dict) or not all(isinstance(key, str) for key in state):
        raise ValueError(f"{path} is not a checkpoint: it holds {type(state).__name__} instead of fields by name")
    return state


def _seal(body: bytes) -> bytes:
    return MARK + hashlib.sha256(body).hexdigest().encode()
