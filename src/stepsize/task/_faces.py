"""Optional parts of tasks and trainings beside the contract, as protocols instead of probing by name.

A task of one's own has of these what it wants; what it leaves out is what the functions below answer then.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn
from torch.optim import Optimizer

from stepsize.control import Control, Plan
from stepsize.state import RandomState
from stepsize.task._contract import Training, Trial


@runtime_checkable
class Placed(Protocol):
    """A task whose model and batches are somewhere else than on the CPU, or may be: engines ask."""

    device: str


@runtime_checkable
class Prepared(Protocol):
    """A task that can load its data and packages before anything else is done: the command line asks."""

    def prepare(self) -> Any:
        """Load them, or raise an error that says what is missing."""


@runtime_checkable
class Counted(Protocol):
    """A task that knows how many training examples it has: the command line asks before anything is made."""

    def examples(self) -> int:
        """How many."""


@runtime_checkable
class Paced(Protocol):
    """A task that says how often a run is validated: ``train`` asks."""

    def pause(self, steps: int, batch_size: int | None = None) -> int:
        """Steps from one validation to the next, >= 1."""


@runtime_checkable
class Probed(Protocol):
    """A training that can be scored on fresh batches, which costs less than its score: ``find`` asks."""

    def probe(self, batches: int) -> tuple[float, ...]:
        """The loss on each of so many batches, in eval mode, the same ones for every trial of a seed."""


class Supervised(Protocol):
    """The parts of a task that a supervised training needs: those of ``Task``."""

    @property
    def name(self) -> str:
        """Its display name."""

    @property
    def steps(self) -> int:
        """Of a whole run."""

    @property
    def loss(self) -> Callable[[nn.Module, Any], Tensor]:
        """Of a batch."""

    @property
    def score(self) -> Callable[[nn.Module], float] | None:
        """Of a model, on training data."""

    @property
    def metrics(self) -> Callable[[nn.Module], Mapping[str, float]] | None:
        """Validation figures of a model."""

    @property
    def test(self) -> Callable[[nn.Module], Mapping[str, float]] | None:
        """Figures on data that nothing is chosen by."""

    @property
    def recipe(self) -> Plan:
        """The plan of a whole run."""

    @property
    def device(self) -> str:
        """The device of model and batches."""

    @property
    def amp(self) -> bool:
        """Whether the loss is computed in bfloat16."""

    @property
    def accumulate(self) -> int:
        """Batches to one update."""

    @property
    def batch_size(self) -> int | None:
        """Examples in a batch."""

    @property
    def axes(self) -> Mapping[str, Any]:
        """Of its own."""

    def epoch(self, batch_size: int | None = None) -> float | None:
        """Steps in an epoch, if that is known."""


@runtime_checkable
class Optimized(Protocol):
    """A training that shows its optimizer: a checkpoint keeps of what kind it is."""

    optimizer: Optimizer


@runtime_checkable
class Controlled(Protocol):
    """A training that shows its control: ``train`` asks whether feedback looks at validations."""

    control: Control


@runtime_checkable
class Batchable(Training, Protocol):
    """A training whose steps can be taken together with those of others: what the batched engine asks for.

    It draws its own batches and keeps its own weights; only the arithmetic of its steps is done elsewhere.
    """

    task: Supervised
    trial: Trial
    model: nn.Module
    optimizers: Mapping[str, Optimizer]
    control: Control
    size: int | None
    """Examples in a batch, where that is known."""
    device: Any

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer, or the first of several."""

    @property
    def done(self) -> int:
        """Steps so far."""

    @property
    def random(self) -> RandomState:
        """The iterator it draws from next."""

    @property
    def why_not_batched(self) -> str:
        """Why its steps are its own; empty where they can be taken together."""

    def drawn(self, count: int) -> list[Any]:
        """Its next batches, on its device; its random state moves past them."""

    def fresh(self, count: int) -> list[Any]:
        """Its first batches, drawn beside those that it trains on."""

    def catch_up(self, leader: Any, done: int, clock: bool) -> None:
        """Be where steps done elsewhere have led: its batches where a leader's are, its clock too if asked."""


@runtime_checkable
class Guarded(Protocol):
    """A training that goes on after a divergence: whoever advances it asks when it has ended."""

    is_guarded: bool
    """Whether it has a guard, so that a loss that is not finite is no end."""
    ended: str
    """Why its guard gave it up; empty while it has not."""


def has_ended(training: Any, losses: Sequence[float]) -> bool:
    """Whether a training has diverged for good: at its last loss, or where its guard gave it up.

    Args:
        training: any.
        losses: of its steps so far.

    Example:
        >>> from stepsize.task import has_ended
        >>> has_ended(None, [1.0, float("nan")])
        True
    """
    if isinstance(training, Guarded) and training.is_guarded:
        return bool(training.ended)
    return bool(losses) and not math.isfinite(losses[-1])


def device_of(task: Any) -> str:
    """The device of a task's model and batches: ``"cpu"`` by default.

    Args:
        task: any.

    Example:
        >>> from stepsize.task import device_of, task_named
        >>> device_of(task_named("digits")), device_of(task_named("frozenlake"))
        ('cpu', 'cpu')
    """
    return str(task.device) if isinstance(task, Placed) else "cpu"


def prepare(task: Any) -> None:
    """Ask a task for its data and packages, before anything is made or done.

    Args:
        task: any; one that is neither ``Counted`` nor ``Prepared`` has nothing to be asked for.

    Example:
        >>> from stepsize.task import prepare, task_named
        >>> prepare(task_named("digits"))
    """
    if isinstance(task, Counted) and callable(task.examples):
        task.examples()
    if isinstance(task, Prepared):
        task.prepare()


def optimizer_of_training(training: Any) -> Optimizer | None:
    """The optimizer of a training; None where it shows none."""
    found = training.optimizer if isinstance(training, Optimized) else None
    return found if isinstance(found, Optimizer) else None


def feedback_of(training: Any) -> Any:
    """The feedback of a training's control; None where it shows none."""
    control = training.control if isinstance(training, Controlled) else None
    return control.plan.feedback if isinstance(control, Control) else None
