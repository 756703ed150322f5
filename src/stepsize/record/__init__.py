"""The folder of a run: what its files are called and how they look, writing its facts, reading all of it."""

from stepsize._json import to_json as to_json
from stepsize.record._comparison import Comparison as Comparison
from stepsize.record._comparison import compare as compare
from stepsize.record._course import Course as Course
from stepsize.record._course import course_of as course_of
from stepsize.record._entry import BY as BY
from stepsize.record._entry import Entry as Entry
from stepsize.record._entry import entry_of as entry_of
from stepsize.record._folder import RunFolder as RunFolder
from stepsize.record._folder import environment as environment
from stepsize.record._json import read_object as read_object
from stepsize.record._layout import BEST as BEST
from stepsize.record._layout import EVENTS as EVENTS
from stepsize.record._layout import FINDING as FINDING
from stepsize.record._layout import FORMAT as FORMAT
from stepsize.record._layout import LAST as LAST
from stepsize.record._layout import METRICS as METRICS
from stepsize.record._layout import PICTURE as PICTURE
from stepsize.record._layout import PLANS as PLANS
from stepsize.record._layout import REPORT as REPORT
from stepsize.record._layout import RUN as RUN
from stepsize.record._layout import RUNNING as RUNNING
from stepsize.record._layout import TRIALS as TRIALS
from stepsize.record._layout import VALIDATION as VALIDATION
from stepsize.record._lines import Lines as Lines
from stepsize.record._lines import RecordWarning as RecordWarning
from stepsize.record._lines import read_lines as read_lines
from stepsize.record._run import Run as Run
from stepsize.record._standing import Standing as Standing
from stepsize.record._standing import event_text as event_text
from stepsize.record._standing import standing_of as standing_of

__all__ = [
    "BEST",
    "BY",
    "EVENTS",
    "FINDING",
    "FORMAT",
    "LAST",
    "METRICS",
    "PICTURE",
    "PLANS",
    "REPORT",
    "RUN",
    "RUNNING",
    "TRIALS",
    "VALIDATION",
    "Comparison",
    "Course",
    "Entry",
    "Lines",
    "RecordWarning",
    "Run",
    "RunFolder",
    "Standing",
    "compare",
    "course_of",
    "entry_of",
    "environment",
    "event_text",
    "read_lines",
    "read_object",
    "standing_of",
    "to_json",
]
