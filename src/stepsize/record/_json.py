"""Strict JSON, written and read as a crash may have left it."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stepsize.state import read_regular


def to_json(value: Any, indent: int | None = None) -> str:
    """Strict JSON: numbers that are not finite become ``null``.

    Args:
        value: mappings, sequences, texts, numbers, None.
        indent: as in ``json.dumps``.

    Example:
        >>> from stepsize.record import to_json
        >>> to_json({"loss": float("nan")})
        '{"loss": null}'
    """
    return json.dumps(_finite(value), indent=indent, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_object(path: Path | str) -> dict[str, Any] | None:
    """The JSON object in a file; None if what is there is none.

    Args:
        path: the file.

    Raises:
        ValueError: something else than a file is there.
        OSError: there is none, or it cannot be read.

    Example:
        >>> from pathlib import Path
        >>> from stepsize.record import read_object
        >>> _ = Path("finding.json").write_text('{"rate": 0.1')
        >>> print(read_object("finding.json"))
        None
    """
    found = parsed(read_regular(path))
    return found if isinstance(found, dict) else None


def parsed(text: bytes) -> Any:
    """What JSON says, or None where it is none; what is not finite is None too."""
    try:
        return json.loads(text.decode("utf-8"), parse_constant=lambda _: None, parse_float=_number)
    except (ValueError, RecursionError):
        return None


def _number(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None
