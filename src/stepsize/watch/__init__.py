"""What is seen of a run: observers that write TensorBoard curves and JSON lines; folders are the room ``record``."""

from stepsize.record import Lines as Lines
from stepsize.record import RecordWarning as RecordWarning
from stepsize.record import RunFolder as RunFolder
from stepsize.record import environment as environment
from stepsize.record import read_lines as read_lines
from stepsize.record import read_object as read_object
from stepsize.record import to_json as to_json
from stepsize.watch._diagnose import Diagnose as Diagnose
from stepsize.watch._json_lines import JsonLines as JsonLines
from stepsize.watch._json_lines import event_line as event_line
from stepsize.watch._tensorboard import TensorBoard as TensorBoard
from stepsize.watch._tracker import Tracker as Tracker

__all__ = [
    "Diagnose",
    "JsonLines",
    "Lines",
    "RecordWarning",
    "RunFolder",
    "TensorBoard",
    "Tracker",
    "environment",
    "event_line",
    "read_lines",
    "read_object",
    "to_json",
]
