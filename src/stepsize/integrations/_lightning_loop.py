"""Lightning's own loop over batches, handed those of a search."""

import copy
import itertools
import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn

from stepsize import _extras
from stepsize.integrations._apart import Apart
from stepsize.integrations._kept import Kept
from stepsize.integrations._searched import Windows


class Loop:
    """Lightning's own loop over batches, handed the batches of a search.

    Args:
        trainer: at its first batch, or at one that begins an update.
        probed: whether something else than the loss of its batches is the score.
        apart: the loaders beside the trainer's own, for a trainer in mid-epoch.

    Attributes:
        loaders: that give them, apart from the iterators the trainer has open.
        windows: of an epoch.
        listener: a callback that notes the losses.
    """

    def __init__(self, trainer: Any, probed: bool, apart: Apart | None = None) -> None:
        package = _extras.load("lightning.pytorch", "lightning", "find_in_module(...)")
        self.trainer, self.loop = trainer, trainer.fit_loop.epoch_loop
        self.module = trainer.lightning_module
        self.automatic = self.module.automatic_optimization
        self._size = trainer.accumulate_grad_batches if self.automatic else 1
        self._combined = copy.copy(trainer.fit_loop._combined_loader)
        self._apart, self._epoch = apart, trainer.current_epoch + 1
        self.loaders = [_apart(part) for part in self._combined.flattened] if apart is None else apart.loaders
        self._combined.flattened = self.loaders
        most = trainer.num_training_batches
        self.windows = Windows(math.ceil(most / self._size) if most < math.inf else None, partial(self._windows, most))
        self.started: Kept | None = None
        self._needs_loss = self.automatic or not probed
        self._outputs: Any = None
        noted = {"on_train_batch_end": lambda *given: self._note(given[3])}
        self.listener = type("Losses", (package.Callback,), noted)()
        self._batch: tuple[Any, int, int] = (None, 0, 0)
        self.done = False
        self.fetched = 0

    def _note(self, outputs: Any) -> None:
        self._outputs = outputs

    def __next__(self) -> tuple[Any, int, int]:
        """The next batch, as Lightning's fetchers give it."""
        return self._batch

    def _windows(self, most: float) -> Iterator[Any]:
        """The batches of each update, and whether they end the epoch."""
        if self._apart is not None:
            self._apart.begin(self._epoch)
        batches = iter(self._combined)
        batches = batches if most == math.inf else itertools.islice(batches, int(most))
        window = list(itertools.islice(batches, self._size))
        while window:
            following = list(itertools.islice(batches, self._size))
            yield window, not following
            window = following

    def begin(self) -> None:
        """Begin a short run."""
        if self.started is not None:
            self.started.restore_trainer()
        self._begin_epoch()

    def _begin_epoch(self) -> None:
        self.loop.batch_progress.reset_on_run()
        self.loop.batch_progress.is_last_batch = False

    def train(self, window: Any) -> Any:
        """One update of the trainer; its loss."""
        batches, is_last = window
        losses = []
        for place, batch in enumerate(batches, 1):
            self._batch, self.done = batch, is_last and place == len(batches)
            try:
                self.loop.advance(self)
            except StopIteration:
                raise RuntimeError(
                    "on_train_batch_start returned -1 in a short run, which skips the rest of the epoch; find the rate "
                    "without"
                ) from None
            losses.append(self._loss_in(self._outputs))
        if is_last:
            self._begin_epoch()
        return sum(losses)

    def loss(self, _: nn.Module, window: Any) -> Any:
        """The mean loss of the batches of an update, as they are, without a step."""
        losses = []
        with ExitStack() as stack:
            if not self.automatic:
                stack.enter_context(_without_steps(self.trainer.optimizers))
            for index, (batch, *_) in enumerate(window[0]):
                losses.append(self._loss_in(self._forward(batch, index)).detach())
        return sum(losses) / len(losses)

    def _forward(self, batch: Any, index: int) -> Any:
        """The output of ``training_step``, as Lightning's loops call it."""
        from lightning.pytorch.trainer import call

        trainer = self.trainer
        batch = trainer.precision_plugin.convert_input(batch)
        batch = self.module._on_before_batch_transfer(batch, dataloader_idx=0)
        batch = call._call_strategy_hook(trainer, "batch_to_device", batch, dataloader_idx=0)
        trainer._logger_connector.on_batch_start(batch)
        arguments = self.loop._build_kwargs(OrderedDict(), batch, index)
        return call._call_strategy_hook(trainer, "training_step", *arguments.values())

    def _loss_in(self, output: Any) -> Any:
        loss = output.get("loss") if isinstance(output, Mapping) else output
        if loss is None and self._needs_loss:
            raise ValueError(
                "training_step returned no loss, and that is what runs are compared by; return it, or under manual "
                "optimization give probe=, a function that returns the loss on held-out data"
            )
        return 0.0 if loss is None else loss


def _apart(loader: Any) -> Any:
    """A loader without the workers of the other's open iterator."""
    if isinstance(loader, torch.utils.data.DataLoader):
        loader = copy.copy(loader)
        loader._iterator = None
    return loader


@contextmanager
def _without_steps(optimizers: Iterable[Any]) -> Iterator[None]:
    """Let optimizers take no step for a block, though closures are run."""

    def nothing(closure: Callable[[], Any] | None = None, **_: Any) -> Any:
        return None if closure is None else closure()

    every = list(optimizers)
    before = [vars(loop).get("step") for loop in every]
    try:
        for loop in every:
            loop.step = nothing
        with torch.enable_grad():
            yield
    finally:
        for loop, step in zip(every, before, strict=True):
            del loop.step
            if step is not None:
                loop.step = step
