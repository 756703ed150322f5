"""Ask and tell over a search that is written as a generator: it yields the runs it wants, and returns its finding."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from stepsize import _check
from stepsize.search._finding import Finding, ShortRun, check_run

FORWARD = 1 / 3  # what a loss without its gradient costs, in steps

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Ask:
    """A short run that a race wants.

    Attributes:
        rate: to be trained at.
        steps: of the run, with the whole schedule squeezed into them; 0 where only the score before training is wanted.
        probe: how many batches to score it on, the same for all runs.
    """

    rate: float
    steps: int
    probe: int


Asking = Generator[list[Ask], None, Any]


class Open:
    """The runs that are asked for and not told of yet.

    Args:
        search: the generator.
        word: what a run is called.
    """

    def __init__(self, search: Generator[list[Ask], None, Finding], word: str) -> None:
        self._search, self._word = search, word
        self._open: list[Ask] = []
        self._finding: Finding | None = None

    def ask(self) -> tuple[Ask, ...]:
        """The next runs, those that were asked for and not told of yet first; none when there is a finding."""
        if not self._open and self._finding is None:
            try:
                self._open = list(next(self._search))
            except StopIteration as over:
                self._finding = over.value
        return tuple(self._open)

    def close(self, ask: Ask, run: ShortRun) -> None:
        """Take off what was asked for, once its run is there.

        Raises:
            TypeError: ask or run is none.
            ValueError: it was not asked for, has been told already, or run is of another rate or length.
        """
        if not isinstance(ask, Ask):
            raise TypeError(_check.message("ask", ask, "one of those that ask() gave"))
        if ask not in self._open:
            raise ValueError(
                f"no {self._word} at the rate {ask.rate:g} of {ask.steps} steps is asked for; tell what ask() gave"
            )
        check_run(ask.rate, ask.steps, run)
        self._open.remove(ask)

    @property
    def finding(self) -> Finding:
        """The answer.

        Raises:
            RuntimeError: runs are still asked for.
        """
        if self._finding is None:
            raise RuntimeError(f"the race is not over; go on until ask() gives no more {self._word}s")
        return self._finding
