"""Ctrl-C and SIGTERM: the first stops a command, and those that follow at once do not tear what it writes down."""

import importlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

PATIENCE = 5.0  # seconds in which a command that stops is not stopped again
_outside: list[Any] = []  # what answered Ctrl-C before the command that is under way


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt for the first Ctrl-C within a block, and again only after ``PATIENCE`` seconds.

    Where Ctrl-C is ignored, as in the background of a shell, it stays so; outside the main thread nothing changes.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN or threading.current_thread() is not threading.main_thread():
        yield
        return
    raised: list[float] = []

    def interrupt(*_: Any) -> None:
        now = time.monotonic()
        if not raised or now - raised[-1] > PATIENCE:
            raised.append(now)
            raise KeyboardInterrupt

    _outside.append(before)
    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        _outside.pop()


def load_torch() -> None:
    """Import torch, which takes seconds; meanwhile Ctrl-C is answered as before the command.

    For ``python -m stepsize`` that is to end at once, since there is nothing to lose yet; an exception amid the import
    could be lost in it, or leave half of torch.
    """
    inside = signal.getsignal(signal.SIGINT)
    if "torch" in sys.modules or not _outside or threading.current_thread() is not threading.main_thread():
        return
    signal.signal(signal.SIGINT, _outside[-1])
    try:
        importlib.import_module("torch")
    finally:
        signal.signal(signal.SIGINT, inside)


@contextmanager
def terminable() -> Iterator[None]:
    """Answer SIGTERM, by which batch systems end a job, as Ctrl-C is answered.

    Where several processes train together it stays as it is: the one that began them ends those that are left.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL or int(os.environ.get("WORLD_SIZE", 1)) > 1:
        yield
        return

    def terminate(*received: Any) -> None:
        handler = signal.getsignal(signal.SIGINT)
        if not callable(handler):  # Ctrl-C is ignored, in the background of a shell
            raise KeyboardInterrupt
        handler(*received)

    signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let a short block come to its end before Ctrl-C is answered."""
    before = signal.getsignal(signal.SIGINT)
    if not callable(before) or threading.current_thread() is not threading.main_thread():
        yield
        return
    asked: list[tuple[Any, ...]] = []
    signal.signal(signal.SIGINT, lambda *received: asked.append(received))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if asked:
            before(*asked[0])
