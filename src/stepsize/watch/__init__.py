"""What is seen of a run: observers that write TensorBoard curves and JSON lines, and the folder of a run."""

from stepsize.watch._json_lines import JsonLines as JsonLines
from stepsize.watch._json_lines import event_line as event_line
from stepsize.watch._json_lines import to_json as to_json
from stepsize.watch._read import Lines as Lines
from stepsize.watch._read import RecordWarning as RecordWarning
from stepsize.watch._read import read_lines as read_lines
from stepsize.watch._read import read_object as read_object
from stepsize.watch._run_folder import RunFolder as RunFolder
from stepsize.watch._run_folder import environment as environment
from stepsize.watch._tensorboard import TensorBoard as TensorBoard

__all__ = [
    "JsonLines",
    "Lines",
    "RecordWarning",
    "RunFolder",
    "TensorBoard",
    "environment",
    "event_line",
    "read_lines",
    "read_object",
    "to_json",
]
