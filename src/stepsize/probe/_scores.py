"""Scores of short runs: by a function, held-out batches, or batches set aside from the loader."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from torch import nn

from stepsize import _check
from stepsize.probe._fixed_probe import FixedProbe
from stepsize.probe._loop_run import losses_on
from stepsize.probe._source import Source, alike, mark_of
from stepsize.search import FORWARD
from stepsize.state import Captured, can_capture, capture, is_generator, is_loader


class Scores:
    """How a run is scored.

    Attributes:
        aside: batches at the loader's start that are kept for scores.
        most: batches that there are to be scored on, as far as that is known.
        price: what one costs, in steps.
        looped: whether the loop itself takes the losses.
        modules: put into eval mode meanwhile.
    """

    def __init__(
        self,
        source: Source,
        probe: Any,
        loss: Callable[..., Any] | None,
        batches: int,
        model: nn.Module,
        also: Sequence[Any],
    ) -> None:
        if loss is not None and not callable(loss):
            raise TypeError(_check.message("loss", loss, "a function of (model, batch) that returns the loss"))
        self._call = probe if callable(probe) and not isinstance(probe, Iterable) else None
        if probe is not None and self._call is None and not isinstance(probe, Iterable):
            raise TypeError(_check.message("probe", probe, "a function that returns a loss, or batches"))
        if self._call is not None and loss is not None:
            raise ValueError(_check.message("loss", loss, "left out where probe returns the loss itself"))
        self._source = source if probe is None or self._call is not None else Source(probe, "probe")
        self._loss, self._model = loss, model
        self.modules = [model, *(part for part in also if isinstance(part, nn.Module))]
        self.looped = self._call is None and loss is None
        self.price = 1.0 if self.looped else FORWARD
        self.aside = source.aside(batches) if probe is None else 0
        self.most = 1 if self._call is not None else self.aside or self._source.length
        if self.most == 0:
            raise ValueError(_check.message(self._source.name, self._source.loader, "one batch or more"))
        data = [self._source.loader, *(part for part in also if is_loader(part) or is_generator(part))]
        self._data = [part for part in data if can_capture(part)]
        self._own = probe is None and self._source.length is not None
        self._kept: Captured | None = None
        self._fixed: FixedProbe | None = None

    def prepare(self) -> None:
        """Note where generators and loaders are, from which every score starts.

        A loader that shuffles gives batches of another shuffle, in which also shows what is learnt by heart. Of any
        other loader the first batches are set aside.
        """
        self._kept = capture(*self._data)
        if self._own:
            first = self._mark()
            following = capture(*self._data)
            if alike(first, self._mark()):
                self._kept.restore()
            else:
                self._kept, self.aside, self.most = following, 0, self._source.length
        self._fixed = None if self._call is None else FixedProbe(self._call, self.modules)

    def release(self) -> None:
        """Let go of what was noted."""
        self._kept = self._fixed = None

    def rewind(self) -> None:
        """Put generators and loaders back to the start, so that every run gets the same draws."""
        if self._kept is not None:
            self._kept.restore()

    def _mark(self) -> list[Any]:
        return mark_of(next(self._source.once(), None))

    def in_loop(self, count: int) -> Iterator[Any]:
        """Batches for the loop to take the losses of; none where it needs not."""
        return self._batches(count if self.looped else 0)

    def _batches(self, count: int) -> Iterator[Any]:
        if count:  # opened at the first batch, when the loader has been put back to its start
            batches = itertools.islice(self._source.once(), count)
            first = list(itertools.islice(batches, 1))
            if not first:
                name = self._source.name
                raise ValueError(f"{name} gave no batch, and runs are scored on some; hand over one with batches")
            yield from itertools.chain(first, batches)

    def taken(self, count: int) -> list[float]:
        """The losses of the model as it is."""
        if self._fixed is not None:
            return [self._fixed()]
        self.rewind()
        if self._loss is None:
            return []
        return losses_on(self._batches(count), self._loss, self._model, self.modules)
