"""The supervised builder: a task from plain callables, trained with Control as any user would."""

import copy
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
from stepsize.task._contract import Resumable, Run, Trial


@dataclass(frozen=True)
class Task:
    """A supervised task from plain callables. The same trial gives the same run, bit for bit, on one machine.

    Args:
        name: what it is called.
        model: makes the model; called under the trial's seed.
        batches: makes an endless iterator of training batches from a seeded ``torch.Generator``, and the batch size
            where ``batch_size`` is given. One that is ``Resumable`` goes on at once when a run is resumed; another is
            drawn from again up to where it was.
        loss: (model, batch) -> the batch's training loss, a tensor of one element.
        optimizer: (parameters, lr) -> the optimizer; groups keep their ratios.
        score: model in eval mode -> loss on a fixed large set of training data, lower is better. Rates are compared
            by it.
        metrics: model in eval mode -> validation figures by name, such as ``validation_loss`` and ``accuracy``.
        steps: how many steps a whole run has, >= 1.
        schedule: the text of the schedule of a whole run, unless a trial says otherwise; squeezed into shorter ones.
        clip: the clipping threshold, unless a trial says otherwise.
        per_epoch: steps in an epoch, > 0, for lengths such as ``"3ep"``; from ``examples`` and ``batch_size`` when left
            out.
        example: makes an input of the model, for its graph in TensorBoard.
        about: one line for people.
        batch_size: examples in a batch, unless a trial says otherwise, >= 1.
        examples: () -> how many training examples there are.
        test: model in eval mode -> figures on data that nothing is chosen by, at the end of a run.
        device: where the model and its batches are, such as ``"cuda"``.
        amp: whether the loss is computed in bfloat16 where the device can (``torch.autocast``).
        accumulate: batches to one update, >= 1.

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
    batches: Callable[..., Iterator[Any]]
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
    batch_size: int | None = None
    examples: Callable[[], int] | None = None
    test: Callable[[nn.Module], Mapping[str, float]] | None = None
    device: str = "cpu"
    amp: bool = False
    accumulate: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise TypeError(_check.message("name", self.name, "a name"))
        for part in ("model", "batches", "loss", "optimizer", "score", "metrics"):
            if not callable(getattr(self, part)):
                raise TypeError(_check.message(part, getattr(self, part), "a function"))
        for part in ("example", "examples", "test"):
            if getattr(self, part) is not None and not callable(getattr(self, part)):
                raise TypeError(_check.message(part, getattr(self, part), "a function"))
        if self.batch_size is not None:
            _check.whole("batch_size", self.batch_size, least=1)
        _check.whole("accumulate", self.accumulate, least=1)
        if not isinstance(self.amp, bool):
            raise TypeError(_check.message("amp", self.amp, "True or False"))
        check_device(self.device)
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

    def epoch(self, batch_size: int | None = None) -> float | None:
        """Steps in an epoch, if that is known.

        Args:
            batch_size: examples in a batch; the task's when left out.
        """
        size = batch_size or self.batch_size
        if self.per_epoch is None and self.examples is not None and size is not None:
            return max(1.0, self.examples() // (size * self.accumulate))
        if self.per_epoch is None or size is None or self.batch_size is None:
            return self.per_epoch
        return self.per_epoch * self.batch_size / size


def check_device(device: Any) -> torch.device:
    """The device of a text, or an error that says what there is.

    Args:
        device: such as ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.

    Raises:
        TypeError, ValueError: it is no device, or not there.
    """
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError):
        raise ValueError(_check.message("device", device, 'a device of torch, such as "cpu" or "cuda"')) from None
    there = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if (found.index or 0) >= there.get(found.type, 0):
        names = [name for name, count in there.items() if count]
        raise ValueError(_check.message("device", device, f"one that is here: {', '.join(names)}"))
    return found


class _SupervisedRun:
    def __init__(self, task: Task, trial: Trial, watch: Iterable[Observer]) -> None:
        if trial.task != task.name:
            raise ValueError(_check.message("trial", trial.task, f"one of the task {task.name!r}"))
        if "lr" not in trial.settings:
            raise ValueError(_check.message("settings", trial.settings, "with a rate", 'add {"lr": ...}'))
        self.task, self.trial, self.watch = task, trial, list(watch)
        size = trial.settings.get("batch_size")
        if size is not None and task.batch_size is None:
            raise ValueError(_check.message("batch_size", size, f"left out: the task {task.name!r} has none"))
        schedule = trial.settings.get("schedule") or Schedule.parse(task.schedule).stretch(trial.steps / task.steps)
        plan, per_epoch = Plan(schedule, clip=trial.settings.get("clip", task.clip)), task.epoch(size)
        plan.over(trial.steps, per_epoch)  # a plan that does not fit is refused before anything is built
        self.device = check_device(task.device)
        self.size = size or task.batch_size
        with own_randomness(RandomState.seeded(trial.seed)) as ended:
            self.model = task.model().to(self.device)
            self.optimizer = task.optimizer(self.model.parameters(), trial.settings["lr"])
            self.batches = self._fresh_batches()
        self._random = ended[0]
        self._done = 0
        self.control = Control(
            self.optimizer,
            lr=plan.lr,
            clip=plan.clip,
            total=trial.steps,
            per_epoch=per_epoch,
            watch=self.watch,
            remind=False,
        )

    def _fresh_batches(self) -> Iterator[Any]:
        generator = torch.Generator().manual_seed(self.trial.seed)
        batches = self.task.batches(*([generator] if self.size is None else [generator, self.size]))
        return iter(batches)

    def advance(self, steps: int) -> list[float]:
        losses: list[Tensor] = []
        with own_randomness(self._random) as ended:
            self.model.train()
            for _ in range(steps):
                losses.append(self._step())
        self._random = ended[0]
        numbers: list[float] = torch.stack(losses).tolist() if losses else []
        broken = next((index for index, loss in enumerate(numbers, 1) if not math.isfinite(loss)), len(numbers))
        return numbers[:broken]

    def _step(self) -> Tensor:
        task = self.task
        whole: Tensor | None = None
        for _ in range(task.accumulate):
            batch = to_device(self._next_batch(), self.device)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=task.amp):
                loss = task.loss(self.model, batch)
            part = loss if task.accumulate == 1 else loss / task.accumulate
            part.backward()  # type: ignore[no-untyped-call]
            whole = part.detach() if whole is None else whole + part.detach()
        self.control.step(whole)
        self._done += 1
        return whole  # type: ignore[return-value]

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

    def test(self) -> dict[str, float]:
        """Figures on data that nothing is chosen by."""
        measure = self.task.test
        return {} if measure is None else {name: float(value) for name, value in self._measure(measure).items()}

    def observe(self, **values: float) -> None:
        self.control.observe(**values)

    def state(self) -> dict[str, Any]:
        batches = self.batches.state_dict() if isinstance(self.batches, Resumable) else None
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "control": self.control.state_dict(),
            "random": self._random.state_dict(),
            "batches": batches,
            "done": self._done,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        missing = {"model", "optimizer", "control", "random", "batches", "done"} - set(state)
        if missing:
            raise ValueError(f"state is not of a run of {self.task.name!r}: it lacks {', '.join(sorted(missing))}")
        # first what may refuse and changes nothing
        self.control.load_state_dict(state["control"])
        self.model.load_state_dict(state["model"])
        # load_state_dict keeps the tensors it is given, and training changes them
        self.optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))
        self._random = RandomState.from_state_dict(state["random"])
        self._done = int(state["done"])
        with own_randomness(RandomState.seeded(self.trial.seed)):
            self.batches = self._fresh_batches()
        if state["batches"] is not None and isinstance(self.batches, Resumable):
            self.batches.load_state_dict(state["batches"])
        else:
            self._draw_again(self._done * self.task.accumulate)
        for event in self.control.log:  # what observers of a run that was stopped here may not have kept
            if event.step >= self._done:
                for observer in self.watch:
                    observer.on_event(event.step, event.facts())

    def _draw_again(self, count: int) -> None:
        before = RandomState.seeded(self.trial.seed)
        with own_randomness(before) as ended:
            for _ in range(count):
                self._next_batch()
        if not ended[0].equals(before):
            raise ValueError(
                f"batches of the task {self.task.name!r} draw from the global generators, so that they cannot be put "
                "back where they were; draw from the generator they are given"
            )

    def _measure(self, function: Callable[[nn.Module], Any]) -> Any:
        # what a measurement draws is drawn again at the next one, and leaves training as it would have been
        with own_randomness(self._random), evaluating(self.model), torch.no_grad():
            return function(self.model)


def to_device(batch: Any, device: torch.device) -> Any:
    """A batch with its tensors on a device: tensors, and lists, tuples and mappings of them.

    Args:
        batch: what an iterator of batches gives.
        device: where to.
    """
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, Mapping):
        return {name: to_device(each, device) for name, each in batch.items()}
    if isinstance(batch, tuple | list):
        return type(batch)(to_device(each, device) for each in batch)
    return batch
