"""Which rate? A race of short real runs, and an answer with its evidence."""

from stepsize.find._budget import Budget as Budget
from stepsize.find._budget import budget_of as budget_of
from stepsize.find._find import check_range as check_range
from stepsize.find._find import find as find
from stepsize.find._finding import Cost as Cost
from stepsize.find._finding import Finding as Finding
from stepsize.find._finding import Stage as Stage
from stepsize.find._plans import CANDIDATES as CANDIDATES
from stepsize.find._plans import PlanEntry as PlanEntry
from stepsize.find._plans import PlanFinding as PlanFinding
from stepsize.find._plans import find_plan as find_plan

__all__ = [
    "CANDIDATES",
    "Budget",
    "Cost",
    "Finding",
    "PlanEntry",
    "PlanFinding",
    "Stage",
    "budget_of",
    "check_range",
    "find",
    "find_plan",
]
