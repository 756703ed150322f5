"""The real updates of an optimizer, heard by hooks around the steps of whatever it has inside."""

import sys
import warnings
import weakref
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.optim import Optimizer

from stepsize.control._hooks import hook_steps, inner_optimizers, moves_nothing, unhook, was_update
from stepsize.state import on_loan, optimizers_in

Listener = TypeVar("Listener", bound=Callable[..., None])
TWICE = 2  # updates beside Control.step, each followed by it, that are no accident
FORGOTTEN = 20  # updates without any Control.step that are no warm-up
OURS = {"stepsize", "torch"}


class Updates:
    """Counts the updates of an optimizer, and calls back before each; what it calls is held weakly.

    Args:
        optimizer: an optimizer, or what wraps one. With several inside, an update is a step of each.
        before: a bound method, called with the optimizer about to step; it returns whether the step may move weights.
        after: a bound method, called after each update.
    """

    def __init__(self, optimizer: Any, before: Callable[[Any], bool], after: Callable[[], None]) -> None:
        self._before, self._after = weakref.WeakMethod(before), weakref.WeakMethod(after)
        leaves = inner_optimizers(optimizer)
        self._rounds: list[list[bool | Tensor]] = []  # since the last call of take, what each update's steps were
        self._done = {id(leaf): 0 for leaf in leaves}  # steps of each in these rounds
        self._compiled: list[bool | Tensor] = []
        self._outermost: dict[int, FrameType] = {}
        self._counts = True
        self.handles = [handle for leaf in leaves for handle in hook_steps(leaf, self._enter, self._leave)]
        for inner in optimizers_in(optimizer):
            if id(inner) not in self._done:  # it may hand its rates on to those inside before they step
                self.handles += hook_steps(inner, self._enter_wrapper, None)
        weakref.finalize(before.__self__, unhook, self.handles)  # type: ignore[attr-defined]

    def take(self) -> int:
        """How many there were since the last call; reads back from the device only after fused steps under a scaler."""
        rounds, self._rounds = self._rounds, []
        compiled, self._compiled = self._compiled, []
        self._done = dict.fromkeys(self._done, 0)
        return sum(any(map(bool, calls)) for calls in rounds) + sum(map(bool, compiled))

    def _enter_wrapper(self, optimizer: Optimizer, *_: Any) -> None:
        before = self._before()
        if before is not None and not torch.compiler.is_compiling() and not on_loan(optimizer):
            before(optimizer)

    def _enter(self, optimizer: Optimizer, *_: Any) -> None:
        if torch.compiler.is_compiling():
            return
        outermost = self._outermost.get(id(optimizer))
        if outermost is not None and _is_running(outermost):
            return  # a step that calls the step of its base class runs the hooks once more
        self._outermost[id(optimizer)] = sys._getframe(1)
        if self._done[id(optimizer)] < len(self._rounds):
            return  # another one inside has begun this update
        before = self._before()
        self._counts = before is not None and not on_loan(optimizer) and before(optimizer)

    def _leave(self, optimizer: Optimizer, *_: Any) -> None:
        if torch.compiler.is_compiling():  # what changes from step to step would be compiled anew
            self._compiled.append(was_update(optimizer))
            return
        if self._outermost.get(id(optimizer)) is not sys._getframe(1):
            return
        del self._outermost[id(optimizer)]
        if self._counts:
            place = self._done[id(optimizer)]
            self._done[id(optimizer)] += 1
            if place == len(self._rounds):
                self._rounds.append([])
            self._rounds[place].append(was_update(optimizer))
            after = self._after()
            if after is not None and min(self._done.values()) == len(self._rounds):
                after()


def _is_running(wanted: FrameType) -> bool:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame is not wanted:
        frame = frame.f_back
    return frame is not None


def _only_listens(hook: Listener) -> Listener:
    """Mark a hook that an engine may leave out where it does the steps itself."""
    hook.only_listens = True  # type: ignore[attr-defined]
    return hook


class Beside:
    """Hears the steps of Control's optimizers: whether wrappers really stepped, and steps that were not Control's.

    Attributes:
        inside: whether ``Control.step`` is at work.
        stepped: whether it ever was.
        wraps: whether an optimizer may leave its step out by itself.
        seen: real steps since ``Control.step`` began, where optimizers are wrapped.
        clip: what is to be done to the gradients just before the first real step.
        outside: steps since ``Control.step`` was called last that were not its own.
    """

    def __init__(self, optimizers: Iterable[Any]) -> None:
        self.inside = False
        self.seen: list[bool | Tensor] = []
        self.clip: Callable[[], None] | None = None
        self.outside = self._twice = 0
        self.stepped = self._said = False
        self._place = ("", 0)
        leaves = [(optimizer, leaf) for optimizer in optimizers for leaf in inner_optimizers(optimizer)]
        self.wraps = any(leaf is not own for own, leaf in leaves)
        self._leaves = [leaf for _, leaf in leaves]

    def listen(self) -> list[Any]:
        """Begin; the handles that end it."""
        before = self._enter if self.wraps else None
        return [handle for leaf in self._leaves for handle in hook_steps(leaf, before, self._leave)]

    def begin(self) -> None:
        """``Control.step`` is called after a step that was not its own."""
        self.outside = 0
        self._twice += 1
        if self._twice >= TWICE:
            self._say(
                "updates beside control.step(), which updates too, so each batch is applied twice; delete that line"
            )

    def _enter(self, optimizer: Optimizer, *_: Any) -> None:
        if self.inside and self.clip is not None:
            clip, self.clip = self.clip, None
            clip()

    @_only_listens
    def _leave(self, optimizer: Optimizer, *_: Any) -> None:
        if self.inside:
            if self.wraps:
                self.seen.append(was_update(optimizer))
            return
        if self._said or torch.compiler.is_compiling() or optimizer is not self._leaves[0]:
            return
        if on_loan(optimizer) or moves_nothing(optimizer):
            return
        self.outside += 1
        self._place = caller()
        if not self.stepped and self.outside >= FORGOTTEN:
            self._say(
                f"was called {self.outside} times and control.step() never, so that the clock stands still and the "
                "rate stays at its first value; write control.step(loss) instead"
            )

    def _say(self, what: str) -> None:
        if not self._said:
            self._said = True
            file, line = self._place
            warnings.warn_explicit(f"optimizer.step() in line {line} {what} (shown once)", UserWarning, file, line)


def is_called_by(package: str) -> bool:
    """Whether a module of a package is among the callers."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and not f"{frame.f_globals.get('__name__', '')}.".startswith(f"{package}."):
        frame = frame.f_back
    return frame is not None


def caller() -> tuple[str, int]:
    """File and line, outside torch and this package, of the call that is running."""
    frame: FrameType = sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in OURS:
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno
