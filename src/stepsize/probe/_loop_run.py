"""One short run of a search, in the loop of its user."""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from stepsize import _check
from stepsize.control import Step
from stepsize.probe._drive import Drive
from stepsize.probe._own_steps import OwnSteps
from stepsize.probe._ranks import mean_of_each
from stepsize.state import evaluating

CHUNK = 25  # updates between two looks at whether the loss is still finite, as engines do
PATIENCE = 100  # updates left out in a row, by a scaler that never finds its scale, until a run counts as broken


class LoopRun:
    """A short run: give its batches to the loop, and take a step for each.

    Attributes:
        rate: that is tried; what the group with the largest rate gets, before the schedule.
        steps: updates of this run; 0 for one that only measures the loss before training.
    """

    def __init__(
        self,
        rate: float,
        steps: int,
        drive: Drive | OwnSteps,
        batches: Iterator[Any],
        accumulate: int,
        scored: Iterable[Any],
        modules: Iterable[nn.Module],
        rewind: Callable[[], None],
        loader: Any = None,
    ) -> None:
        self.rate, self.steps = rate, steps
        self._drive, self._stream, self._accumulate = drive, batches, accumulate
        self._scored, self._modules, self._rewind = scored, tuple(modules), rewind
        self._loader = loader
        self._given = 0  # batches of the training
        self._window: list[Any] = []  # losses of an update that is not complete
        self._pending: list[Any] = []  # those of updates, not read back yet
        self._open = False  # whether a batch was given that no step has answered yet
        self._scoring = False
        self.over = False  # whether all batches were given and answered
        self.first: Any = None
        self.losses: list[float] = []
        self.probed: list[float] = []

    def __repr__(self) -> str:
        return f"<short run at the rate {self.rate:.3g}, {self.steps} steps>"

    def batches(self) -> "Batches":
        """The batches of this run, the same for every run of a search; call ``step`` once after each.

        After those that are trained on may come some that the loop only measures the loss of: then the modules are in
        eval mode, and ``step`` changes nothing. They stand in for the loader: ``len`` says how many are to be trained
        on, and what else is asked of them, such as ``batches.dataset``, the loader answers.

        Raises:
            RuntimeError: ``step`` was not called for a batch, or this was iterated before.
        """
        return Batches(self._batches(), self.steps * self._accumulate, self._loader)

    def _batches(self) -> Iterator[Any]:
        if self._given or self.probed or self.over:
            raise RuntimeError("the batches of this short run were given before; iterate over run.batches() once")
        yield from self._training()
        if self.alive:
            yield from self._measuring()
        self.over = True

    @property
    def alive(self) -> bool:
        """Whether the loss is finite so far, as far as it has been read back."""
        return not self.losses or math.isfinite(self.losses[-1])

    @property
    def taken(self) -> int:
        """Batches that the loop has taken."""
        return self._given + len(self.probed)

    def _training(self) -> Iterator[Any]:
        updates = idle = 0
        while updates < self.steps and idle < PATIENCE and self.alive:
            for place in range(self._accumulate):
                batch = next(self._stream)
                if self.first is None:
                    self.first = batch
                self._given += 1
                self._drive.begin(fresh=place == 0)
                yield from self._answered(batch)
            moved = self._drive.position
            updates, idle = (int(moved), 0) if moved > updates else (updates, idle + 1)
            if len(self._pending) >= CHUNK:
                self._read()
        self._read()
        if self.alive:
            self._drive.check()
        if idle == PATIENCE:
            if isinstance(self._drive, OwnSteps) and not updates:
                raise RuntimeError(
                    f"no optimizer was stepped in {self._given} batches of a short run, and with own_steps the loop "
                    "does that; call the step of the optimizer that the search was given, or leave own_steps out"
                )
            self.losses.append(math.nan)

    def _measuring(self) -> Iterator[Any]:
        with ExitStack() as modes:
            self._scoring = True
            self._rewind()
            for module in self._modules:
                modes.enter_context(evaluating(module))
                for part in module.modules():  # cuDNN has no backward pass for these in eval mode
                    if isinstance(part, nn.RNNBase) and any(p.is_cuda for p in part.parameters(recurse=False)):
                        part.train()
            for batch in self._scored:
                self._drive.begin(fresh=True)
                yield from self._answered(batch)
                self._drive.zero_grad()

    def _answered(self, batch: Any) -> Iterator[Any]:
        self._open = True
        yield batch
        if self._open and isinstance(self._drive, OwnSteps):
            self._drive.settle()
        elif self._open:
            raise RuntimeError(
                "run.step was not called for a batch; call run.step(loss) after each backward pass, also while "
                "accumulate= sums up gradients"
            )

    def step(self, loss: Tensor | float | Callable[[], Any], of: str | None = None) -> Step:
        """The same as ``Control.step``: clip, update, zero the gradients, move the schedule on.

        Args:
            loss: of this batch, a number or a tensor of one element; with ``accumulate`` its part of the update's. For
                optimizers such as LBFGS, the closure that computes gradients and returns the loss.
            of: the name of the optimizer that is stepped, where the search has several by name that are stepped one by
                one, each at most once for a batch; all of them when left out.

        Raises:
            TypeError, ValueError: loss is not one number; there is no optimizer of that name.
            RuntimeError: the call is out of place: no batch was taken, or it has been answered already.
        """
        if not callable(loss):
            _check.one_number("loss", loss)
        self._drive.check_name(of)
        if self.over or not (self._given or self._scoring):
            what = "this short run is over" if self.over else "no batch was taken yet"
            raise RuntimeError(f"run.step was called, and {what}; call it once for each batch of run.batches()")
        if self._scoring:
            return self._measured(loss, of)
        updates = (self._given - 1) // self._accumulate + 1
        first, self._open = self._open, False
        done = self._drive.step(_returning(loss) if callable(loss) else loss, of, updates)
        if first:
            self._window.append(done.loss)
            if self._given % self._accumulate == 0:
                self._pending.append(self._window[-1])
                self._window = []
        return done

    def _measured(self, loss: Any, of: str | None) -> Step:
        if of is not None or self._drive.apart:
            raise RuntimeError(
                "where optimizers are stepped by name no single loss is the score; give the search a probe= that "
                "returns one"
            )
        if not self._open:
            raise RuntimeError("run.step was called more than once for a batch; call it once for each of run.batches()")
        loss = _returning(loss)() if callable(loss) else loss
        _check.one_number("loss", loss)
        self._open = False
        self.probed.append(number(loss))
        return Step(float(self.steps), done=False, loss=loss.detach() if isinstance(loss, Tensor) else loss)

    def _read(self) -> None:
        """Read losses back; of several processes the means, and all go on or stop as one."""
        read = mean_of_each([number(loss) for loss in self._pending])
        self._pending = []
        broken = next((index for index, loss in enumerate(read, 1) if not math.isfinite(loss)), len(read))
        self.losses += read[:broken]


class Batches(Iterator[Any]):
    """The batches of a short run, in place of the loader."""

    def __init__(self, batches: Iterator[Any], length: int, loader: Any) -> None:
        self._batches, self._length, self._loader = batches, length, loader

    def __next__(self) -> Any:
        return next(self._batches)

    def __len__(self) -> int:
        return self._length

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._loader, name)


def _returning(closure: Callable[[], Any]) -> Callable[[], Any]:
    """A closure that raises unless it returns a loss: optimizers that do not look at it would take anything."""

    def checked() -> Any:
        loss = closure()
        _check.one_number("what the closure returns", loss)
        return loss

    return checked


def number(loss: Any) -> float:
    """A loss as a number, read back from its device.

    Args:
        loss: one number, or a tensor of one element.
    """
    return float(loss.item() if isinstance(loss, Tensor) else loss)


def finite_mean(losses: Iterable[float]) -> float:
    """The mean of losses; infinite where it is not finite.

    Args:
        losses: one or more.
    """
    values = list(losses)
    mean = sum(values) / len(values) if values else math.inf
    return mean if math.isfinite(mean) else math.inf


def losses_on(
    batches: Iterable[Any], loss: Callable[..., Any], model: nn.Module, every: Iterable[nn.Module]
) -> list[float]:
    """The loss on each batch, in eval mode and without gradients.

    Args:
        batches: to be scored on.
        loss: (model, batch) -> one number.
        model: that is scored.
        every: modules that are put into eval mode meanwhile.
    """
    with ExitStack() as modes, torch.no_grad():
        for module in every:
            modes.enter_context(evaluating(module))
        found = []
        for batch in batches:
            value = loss(model, batch)
            _check.one_number("loss(...)", value)
            found.append(number(value))
    return found
