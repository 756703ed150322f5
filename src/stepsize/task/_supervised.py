"""The supervised builder: a task from plain callables, trained with Control as any user would."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from stepsize import _check
from stepsize.control import Control, Observer, Plan
from stepsize.schedule import Schedule
from stepsize.state import RandomState, evaluating, own_randomness
from stepsize.task._contract import Run, Trial


@dataclass(frozen=True)
class Task:
    """A supervised task from plain callables. The same trial gives the same run, bit for bit, on one machine.

    Args:
        name: what it is called.
        model: makes the model; called under the trial's seed.
        batches: makes an endless iterator of training batches from a seeded ``torch.Generator``.
        loss: (model, batch) -> the batch's training loss, a tensor of one element.
        optimizer: (parameters, lr) -> the optimizer; groups keep their ratios.
        score: model in eval mode -> loss on a fixed large set of training data, lower is better. Rates are compared
            by it.
        metrics: model in eval mode -> validation figures by name, such as ``validation_loss`` and ``accuracy``.
        steps: how many steps a whole run has, >= 1.
        schedule: the text of the schedule of a whole run, unless a trial says otherwise; squeezed into shorter ones.
        clip: the clipping threshold, unless a trial says otherwise.
        per_epoch: steps in an epoch, > 0, for lengths such as ``"3ep"``.
        example: makes an input of the model, for its graph in TensorBoard.
        about: one line for people.

    Raises:
        TypeError, ValueError: an argument is not what is said above.

    Example:
        >>> import itertools, torch
        >>> from stepsize import Task, Trial
        >>> x = torch.linspace(-1, 1, 32).unsqueeze(1)
        >>> line = Task(
        ...     name="line",
        ...     model=lambda: torch.nn.Linear(1, 1),
        ...     batches=lambda generator: itertools.repeat((x, 3 * x)),
        ...     loss=lambda model, batch: (model(batch[0]) - batch[1]).square().mean(),
        ...     optimizer=lambda parameters, lr: torch.optim.SGD(parameters, lr=lr),
        ...     score=lambda model: float((model(x) - 3 * x).square().mean()),
        ...     metrics=lambda model: {},
        ...     steps=100,
        ... )
        >>> run = line.start(Trial("line", {"lr": 0.5}, seed=0, steps=100))
        >>> losses = run.advance(100)
        >>> run.score() < 1e-3 < losses[0]
        True
    """

    name: str
    model: Callable[[], nn.Module]
    batches: Callable[[torch.Generator], Iterator[Any]]
    loss: Callable[[nn.Module, Any], Tensor]
    optimizer: Callable[[Iterable[Tensor], float], Optimizer]
    score: Callable[[nn.Module], float]
    metrics: Callable[[nn.Module], Mapping[str, float]]
    steps: int
    schedule: str = "warmup(5%) >> cosine()"
    clip: float | None = None
    per_epoch: float | None = None
    example: Callable[[], Any] | None = None
    about: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise TypeError(_check.message("name", self.name, "a name"))
        for part in ("model", "batches", "loss", "optimizer", "score", "metrics"):
            if not callable(getattr(self, part)):
                raise TypeError(_check.message(part, getattr(self, part), "a function"))
        if self.example is not None and not callable(self.example):
            raise TypeError(_check.message("example", self.example, "a function"))
        if not isinstance(self.about, str):
            raise TypeError(_check.message("about", self.about, "a line of text"))
        _check.whole("steps", self.steps, least=1)
        if self.per_epoch is not None:
            _check.number("per_epoch", self.per_epoch, above=0)
        plan = Plan(self.schedule, clip=self.clip)
        object.__setattr__(self, "schedule", str(plan.lr))

    def start(self, trial: Trial, watch: Iterable[Observer] = ()) -> Run:
        """A run at its first step.

        Args:
            trial: of this task; its settings need ``lr``.
            watch: observers of its control.

        Raises:
            ValueError: the trial is of another task, has no rate, or its schedule does not fit its steps.
        """
        return _SupervisedRun(self, trial, watch)


class _SupervisedRun:
    def __init__(self, task: Task, trial: Trial, watch: Iterable[Observer]) -> None:
        if trial.task != task.name:
            raise ValueError(_check.message("trial", trial.task, f"one of the task {task.name!r}"))
        if "lr" not in trial.settings:
            raise ValueError(_check.message("settings", trial.settings, "with a rate", 'add {"lr": ...}'))
        self.task = task
        schedule = trial.settings.get("schedule") or Schedule.parse(task.schedule).stretch(trial.steps / task.steps)
        plan = Plan(schedule, clip=trial.settings.get("clip", task.clip))
        plan.over(trial.steps, task.per_epoch)  # a plan that does not fit is refused before anything is built
        with own_randomness(RandomState.seeded(trial.seed)) as ended:
            self.model = task.model()
            self.optimizer = task.optimizer(self.model.parameters(), trial.settings["lr"])
            self.batches = iter(task.batches(torch.Generator().manual_seed(trial.seed)))
        self._random = ended[0]
        self.control = Control(
            self.optimizer,
            lr=plan.lr,
            clip=plan.clip,
            total=trial.steps,
            per_epoch=task.per_epoch,
            watch=watch,
            remind=False,
        )

    def advance(self, steps: int) -> list[float]:
        losses: list[float] = []
        with own_randomness(self._random) as ended:
            self.model.train()
            for _ in range(steps):
                loss = self.task.loss(self.model, self._next_batch())
                loss.backward()  # type: ignore[no-untyped-call]
                self.control.step(loss.detach())
                losses.append(loss.detach())  # type: ignore[arg-type]
        self._random = ended[0]
        numbers: list[float] = torch.stack(losses).tolist() if losses else []  # type: ignore[arg-type]
        broken = next((index for index, loss in enumerate(numbers, 1) if not math.isfinite(loss)), len(numbers))
        return numbers[:broken]

    def _next_batch(self) -> Any:
        try:
            return next(self.batches)
        except StopIteration:
            raise ValueError(
                f"batches of the task {self.task.name!r} ran out; it must make an endless iterator, epoch after epoch"
            ) from None

    def score(self) -> float:
        return float(self._measure(self.task.score))

    def metrics(self) -> dict[str, float]:
        return {name: float(value) for name, value in self._measure(self.task.metrics).items()}

    def observe(self, **values: float) -> None:
        self.control.observe(**values)

    def state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "control": self.control.state_dict(),
        }

    def _measure(self, function: Callable[[nn.Module], Any]) -> Any:
        # what a measurement draws is drawn again at the next one, and leaves training as it would have been
        with own_randomness(self._random), evaluating(self.model), torch.no_grad():
            return function(self.model)
