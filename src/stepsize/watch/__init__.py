"""Observers of a run: curves, lines of a file, and a live view in the terminal."""

from typing import TYPE_CHECKING

from stepsize._lazy import lazily
from stepsize.record import Lines as Lines
from stepsize.record import RecordWarning as RecordWarning
from stepsize.record import RunFolder as RunFolder
from stepsize.record import environment as environment
from stepsize.record import read_lines as read_lines
from stepsize.record import read_object as read_object
from stepsize.record import to_json as to_json
from stepsize.watch._face import duration as duration
from stepsize.watch._painted import Painter as Painter

if TYPE_CHECKING:  # observers need torch, which a look from another process does not
    from stepsize.watch._diagnose import Diagnose as Diagnose
    from stepsize.watch._json_lines import JsonLines as JsonLines
    from stepsize.watch._json_lines import event_line as event_line
    from stepsize.watch._live import Live as Live
    from stepsize.watch._tensorboard import TensorBoard as TensorBoard
    from stepsize.watch._tracker import Tracker as Tracker

__getattr__, __dir__ = lazily(
    __name__,
    {
        "_diagnose": "Diagnose",
        "_json_lines": "JsonLines event_line",
        "_live": "Live",
        "_tensorboard": "TensorBoard",
        "_tracker": "Tracker",
    },
)

__all__ = [
    "Diagnose",
    "JsonLines",
    "Lines",
    "Live",
    "Painter",
    "RecordWarning",
    "RunFolder",
    "TensorBoard",
    "Tracker",
    "duration",
    "environment",
    "event_line",
    "read_lines",
    "read_object",
    "to_json",
]
