"""Which rate? A race of short real runs, and an answer with its evidence."""

from stepsize.find._finding import Cost as Cost
from stepsize.find._finding import Finding as Finding
from stepsize.find._race import check_range as check_range
from stepsize.find._race import find as find

__all__ = ["Cost", "Finding", "check_range", "find"]
