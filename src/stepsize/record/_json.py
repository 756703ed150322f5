"""JSON read as a crash may have left it."""

import json
import math
from pathlib import Path
from typing import Any

from stepsize.state import read_regular


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
    """The value of a JSON text, None where it is not JSON; numbers that are not finite are None too."""
    try:
        return json.loads(text.decode("utf-8"), parse_constant=lambda _: None, parse_float=_number)
    except (ValueError, RecursionError):
        return None


def _number(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None
