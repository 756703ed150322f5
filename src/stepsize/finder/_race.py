"""A race driven by an engine: what it asks for becomes trials of a task."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from stepsize.engine import Engine, Leg, Result
from stepsize.search import Ask, Finding, Race
from stepsize.state import Captured
from stepsize.task import Startable, Trial, led, squeezed

LIVE = "the model is one live object, put back before each run"


def seconds() -> float:
    """The clock that processes which train together go by: the first one's."""
    return led(time.perf_counter)


@dataclass(frozen=True)
class Trials:
    """Trials of a task as the short runs of a race.

    Args:
        task: what is trained.
        settings: of every run, but for its rate.
        seed: of weights and data order.
        engine: how trials get done.
        live: of a model that is one live object, to be put back before each run.
        on_result: called with each result as it comes.
    """

    task: Startable
    settings: dict[str, Any]
    seed: int
    engine: Engine
    live: Captured | None = None
    on_result: Callable[[Result], None] | None = None

    def run(self, race: Race) -> Finding:
        """Train what the race asks for until it has an answer."""
        while asks := race.ask():
            of = {leg.trial.key: (ask, leg) for ask in asks for leg in [self.leg(ask, race.total)]}
            for result in self.done([leg for _, leg in of.values()]):
                ask, _ = of[result.trial.key]
                if ask.steps and self.on_result is not None:
                    self.on_result(result)
                race.tell(ask, result)
        return race.finding

    def leg(self, ask: Ask, total: int) -> Leg:
        """A run of a rate, with the whole schedule squeezed into it."""
        length = ask.steps or total
        settings = squeezed({**self.settings, "lr": ask.rate}, length / total)
        # validation decides nothing here, and would cost as much as the shortest runs
        return Leg(Trial.of(self.task, settings, self.seed, length), ask.steps, metrics=False, probe=ask.probe)

    def done(self, legs: list[Leg]) -> Iterator[Result]:
        """The engine's results; a model that is one live object is put back before each."""
        if self.live is None:
            yield from self.engine(self.task, legs)
            return
        try:
            for leg in legs:
                self.live.restore()
                yield from self.engine(self.task, [leg])
        finally:
            self.live.restore()
