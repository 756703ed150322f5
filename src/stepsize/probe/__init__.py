"""Rates lent to the user's own loop, everything put back: the search for a rate, and the range test."""

from stepsize.probe._loop_run import LoopRun as LoopRun
from stepsize.probe._range_test import range_test as range_test
from stepsize.probe._rate_search import RateSearch as RateSearch
from stepsize.probe._result import RangeResult as RangeResult
from stepsize.probe._suggest import Suggestion as Suggestion
from stepsize.probe._suggest import minimum_tenth as minimum_tenth
from stepsize.probe._suggest import probe_minimum_third as probe_minimum_third
from stepsize.probe._suggest import smooth as smooth
from stepsize.probe._suggest import steepest_by_log_rate as steepest_by_log_rate
from stepsize.probe._suggest import valley as valley
from stepsize.probe._under_way import RangeTest as RangeTest

__all__ = [
    "LoopRun",
    "RangeResult",
    "RangeTest",
    "RateSearch",
    "Suggestion",
    "minimum_tenth",
    "probe_minimum_third",
    "range_test",
    "smooth",
    "steepest_by_log_rate",
    "valley",
]
