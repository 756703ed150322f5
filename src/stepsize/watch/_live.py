"""An observer that shows a run in the terminal while it trains."""

import os
import time
import weakref
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from stepsize import _check
from stepsize.control import DEFAULT, Record, Signal, due, signals_of
from stepsize.record import RUNNING, Run, standing_of
from stepsize.watch._painted import Painter

LAYERS = "update_ratio/*@200"
LONGEST = 4096  # lines kept: of more, every second one


class Live:
    """An observer that shows in the terminal where a run stands.

    Painted in place: loss, rate and its course to the end, norms, the layers with the largest updates, events, seconds
    to go. It writes to standard error, twice a second at most; where that is no terminal, a line now and then. What the
    loop prints stands above it. Of processes that train together the first one shows.

    Args:
        every: steps from one look to the next, >= 1.
        signals: what is shown: names, patterns, and signals of one's own; when left out loss, rates, gradient norm, and
            once in two hundred steps the update ratio of each layer, and what is along the update.
        refresh: seconds between two paintings at least, > 0.
        name: of the run.

    Raises:
        TypeError, ValueError: an argument is invalid.
        ImportError: Rich is not installed.

    Example:
        >>> import torch
        >>> from stepsize import Control, Live
        >>> weight = torch.ones(1, requires_grad=True)
        >>> control = Control(torch.optim.SGD([weight], lr=0.5), lr="linear()", total=4, watch=Live())
        >>> for _ in range(4):
        ...     loss = weight.square().sum()
        ...     loss.backward()
        ...     _ = control.step(loss)
        >>> control.detach()
    """

    def __init__(
        self,
        every: int = 10,
        signals: Collection[str | Signal] = (*DEFAULT, LAYERS),
        refresh: float = 0.5,
        name: str = "training",
    ) -> None:
        self.every = _check.whole("every", every, least=1)
        signals_of(signals)
        self.signals = tuple(signals)
        self.refresh = _check.number("refresh", refresh, above=0)
        if not isinstance(name, str) or not name.strip():
            raise TypeError(_check.message("name", name, "a text"))
        self._name, self._painter = name, Painter()
        self._shows = os.environ.get("RANK", "0") == "0"
        self._facts: dict[str, Any] = {}
        self._steps: list[dict[str, Any]] = []
        self._observed: list[dict[str, Any]] = []
        self._events: list[dict[str, Any]] = []
        self._began: tuple[float, float] | None = None
        self._painted = -float("inf")
        weakref.finalize(self, self._painter.stop)  # the terminal is given back also after an exception

    def wants(self, step: int) -> Collection[str | Signal]:
        """The signals, each ``every`` steps."""
        return due(self.signals, step, self.every) if step % self.every == 0 else ()

    def begin(self, facts: Mapping[str, Any]) -> None:
        """Keep plan and total, from which the course to come follows."""
        self._facts = {name: facts[name] for name in ("plan", "total", "task") if facts.get(name) is not None}
        self._facts["status"] = RUNNING

    def on(self, record: Record) -> None:
        """Keep it, and paint if it is time to."""
        kept = {"step": self._steps, "observed": self._observed, "event": self._events}[record.kind]
        kept.append(record.line())
        if len(kept) > LONGEST:
            del kept[1::2]
        if self._began is None:
            self._began = time.monotonic(), record.position
        if time.monotonic() - self._painted >= self.refresh:
            self._paint()

    def end(self, status: str) -> None:
        """Paint the end."""
        self._facts["status"] = status
        self._paint()
        self._painter.stop()

    def _paint(self) -> None:
        self._painted = time.monotonic()
        if self._shows:
            run = Run(Path(), self._facts, self._steps, self._observed, self._events)
            self._painter.show(standing_of(run, self._name, self._pace()))

    def _pace(self) -> float | None:
        """Positions a second since the beginning."""
        if self._began is None or not self._steps:
            return None
        began, first = self._began
        spent, moved = time.monotonic() - began, self._steps[-1]["position"] - first
        return moved / spent if moved > 0 and spent > 0 else None
