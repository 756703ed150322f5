"""Strict JSON: what is not finite is ``null``, since JSON has no word for it."""

import json
import math
from collections.abc import Mapping
from typing import Any


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
    return json.dumps(finite_or_none(value), indent=indent, allow_nan=False)


def finite_or_none(value: Any) -> Any:
    """Plain data with None in the place of each number that is not finite; tuples become lists."""
    if isinstance(value, Mapping):
        return {key: finite_or_none(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite_or_none(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def no_constant(text: str) -> Any:
    """Refuse the constants that Python's reader takes beside JSON; its ``parse_constant``."""
    raise ValueError(f"{text} is not a JSON number")
