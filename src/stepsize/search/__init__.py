"""The race for a rate as ask and tell: which short runs come next, and what they come to. Numbers in, numbers out."""

from stepsize.search._asking import FORWARD as FORWARD
from stepsize.search._asking import Ask as Ask
from stepsize.search._asking import Progress as Progress
from stepsize.search._broken import is_broken as is_broken
from stepsize.search._budget import Budget as Budget
from stepsize.search._budget import budget_of as budget_of
from stepsize.search._finding import Cost as Cost
from stepsize.search._finding import Finding as Finding
from stepsize.search._finding import ShortRun as ShortRun
from stepsize.search._finding import Stage as Stage
from stepsize.search._finding import Tried as Tried
from stepsize.search._judgement import Judgement as Judgement
from stepsize.search._race import Race as Race
from stepsize.search._recheck import CHECKED_AT as CHECKED_AT
from stepsize.search._recheck import Recheck as Recheck
from stepsize.search._recheck import check_share as check_share

__all__ = [
    "CHECKED_AT",
    "FORWARD",
    "Ask",
    "Budget",
    "Cost",
    "Finding",
    "Judgement",
    "Progress",
    "Race",
    "Recheck",
    "ShortRun",
    "Stage",
    "Tried",
    "budget_of",
    "check_share",
    "is_broken",
]
