"""Pictures and pages at the end of a command, without which everything else stays as it is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from stepsize import _check, _extras
from stepsize.cli._screen import Screen

DONE, DOES = {"picture": "drawn", "report": "written"}, {"picture": "draws", "report": "writes"}


def drawn(screen: Screen, draw: Callable[[], Any], shown: Path, again: str, what: str = "picture") -> Path | None:
    """Show a picture's path and return it; where there can be none, show why and return None.

    Args:
        screen: shows it.
        draw: makes the picture.
        shown: the picture's file, as it is shown.
        again: what draws it later.
        what: a picture, or a report.
    """
    try:
        draw()
    except _extras.MissingExtraError as error:
        why = str(error)
    except KeyboardInterrupt:
        why = f"stopped while it was {DONE[what]}"
    except Exception as error:  # the work is done and written down, whatever becomes of its picture
        why = _check.with_class(error, 300)
    else:
        screen.say(f"{what:<8} {shown}")
        return shown
    screen.say(f"{what:<8} none: {why}; all else is there, and `{again}` {DOES[what]} it later")
    return None
