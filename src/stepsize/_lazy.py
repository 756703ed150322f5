"""Names of a room that are loaded when they are first used: those that need torch, beside those that do not."""

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def lazily(room: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The ``__getattr__`` and ``__dir__`` of a room (PEP 562): a file is loaded when a name of it is first used.

    Args:
        room: its full name.
        homes: the names in each file, with blanks between.
    """
    home = {name: file for file, names in homes.items() for name in names.split()}

    def load(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{room}.{home[name]}"), name)
        setattr(sys.modules[room], name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[room]), *home})

    return load, names
