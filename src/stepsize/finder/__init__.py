"""Which rate? A race of short real runs, and an answer with its evidence."""

from stepsize.finder._find import check_range as check_range
from stepsize.finder._find import find as find
from stepsize.finder._plans import PlanEntry as PlanEntry
from stepsize.finder._plans import PlanFinding as PlanFinding
from stepsize.finder._plans import find_plan as find_plan
from stepsize.finder._verification import Fork as Fork
from stepsize.finder._verification import Verification as Verification
from stepsize.finder._verify import verify as verify
from stepsize.search import Budget as Budget
from stepsize.search import Cost as Cost
from stepsize.search import Finding as Finding
from stepsize.search import Stage as Stage
from stepsize.search import budget_of as budget_of

__all__ = [
    "Budget",
    "Cost",
    "Finding",
    "Fork",
    "PlanEntry",
    "PlanFinding",
    "Stage",
    "Verification",
    "budget_of",
    "check_range",
    "find",
    "find_plan",
    "verify",
]
