"""Names of a room that are loaded when they are first used: those that need torch, beside those that do not."""

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def lazily(room: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """The ``__getattr__`` of a room (PEP 562), which loads a file of it when a name of that file is first used.

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

    return load
