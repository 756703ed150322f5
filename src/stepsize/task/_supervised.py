"""The supervised builder: a task from plain callables, trained with Control as any user would."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.optim import Optimizer

from stepsize import _check
from stepsize.control import Feedback, Observer, Plan, Signal, signals_of
from stepsize.schedule import Length, Schedule
from stepsize.task._axes import Axis
from stepsize.task._contract import Training, Trial, check_seed
from stepsize.task._given import check_batches, check_functions
from stepsize.task._loader import Loader
from stepsize.task._of import check_words, parts_of
from stepsize.task._own import check_own
from stepsize.task._pause import check_pause, pause_of
from stepsize.task._run import SupervisedRun, check_device
from stepsize.task._settings import plan_of

if TYPE_CHECKING:
    from stepsize.views import TaskViews

SCHEDULE = "warmup(5%) >> cosine()"  # of a task that says nothing
Optimizers = Optimizer | Sequence[Optimizer] | Mapping[str, Optimizer]


@dataclass(frozen=True)
class Task:
    """A supervised task from plain callables. The same trial gives the same run, bit for bit, on one machine.

    Args:
        name: display name.
        model: makes the model; called under the trial's seed.
        batches: makes an endless iterator of training batches from a seeded ``torch.Generator``, and the batch size
            where ``batch_size`` is given. One that is ``Resumable`` goes on at once when a run is resumed; another is
            drawn from again up to where it was.
        loss: (model, batch) -> the batch's training loss, a tensor of one element.
        optimizer: (parameters, lr) -> the optimizer, whose groups have the rate or multiples of it and keep their
            ratios; or several, in a list or a mapping by name, which are stepped together. One that steps with a
            closure (LBFGS) gets it.
        score: model in eval mode -> loss on a fixed large set of training data, lower is better. Sweeps
            compare rates by it; ``find`` by ``loss`` on a few fresh batches, in eval mode too, which costs less. When
            left out, it is the mean of ``loss`` on 24 such batches, the same ones for every run.
        metrics: model in eval mode -> validation figures by name, such as ``validation_loss`` and ``accuracy``; none
            when left out.
        steps: how many steps a whole run has, >= 1; it cannot be left out.
        schedule: of a whole run, or its text, unless a trial says otherwise; squeezed into shorter ones.
            ``warmup(5%) >> cosine()`` when left out.
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
        feedback: of a whole run, such as ``plateau(of="validation_loss")`` or its text; it looks at what ``metrics``
            gives at each validation. Short runs without validations, as those of ``find``, are as if without it,
            unless it looks at ``"loss"``.
        evaluate_every: from one validation of ``train`` to the next: steps, a share of the run (``"5%"``) or epochs
            (``"1ep"``); a twentieth of the run, but at least 10, when left out.
        facts: plain data about the task, kept in ``run.json`` and known to the run's picture, such as a bowl's
            eigenvalues.
        signals: what the command line records of a step beside loss, rates and gradient norm: names, patterns such as
            ``"update_ratio/*"``, signals of one's own.
        seed: default of a run, as by ``train`` and ``find``, 0 <= seed < 2**32.
        plan: all of schedule, clip and feedback as one ``Plan`` or its text, instead of them; it may drive momentum and
            weight decay too, as ``Plan(**one_cycle())`` does.
        axes: what else trials of it may set, an ``Axis`` by name, such as ``{"width": Axis.whole(least=1)}``. Its
            functions take them by name, with the task's own value as the default: ``model=lambda width=64: ...``.
        views: (run, sheet) -> sheet: what the picture and page of a run of it show beside, or instead of, what those
            of any run show; see ``stepsize.views``.

    Raises:
        TypeError, ValueError: an argument is invalid.

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
    optimizer: Callable[[Iterable[Tensor], float], Optimizers]
    score: Callable[[nn.Module], float] | None = None
    metrics: Callable[[nn.Module], Mapping[str, float]] | None = None
    steps: int = None  # type: ignore[assignment]  # needed; it stands behind what may be left out
    schedule: Schedule | str | None = None
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
    feedback: Feedback | str | None = None
    evaluate_every: Length = None
    facts: Mapping[str, Any] = field(default_factory=dict, hash=False)
    plan: Plan | str | None = None
    seed: int = 0
    axes: Mapping[str, Axis] = field(default_factory=dict, hash=False)
    signals: Iterable[str | Signal] = ()
    views: "TaskViews | None" = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise TypeError(_check.message("name", self.name, "a name"))
        if not self.name.isprintable():
            raise ValueError(_check.message("name", self.name, "one line of text"))
        check_functions(self)
        if not callable(self.batches):
            raise TypeError(_check.message("batches", self.batches, "a function"))
        if self.batch_size is not None:
            _check.whole("batch_size", self.batch_size, least=1)
        check_batches(self.batches, with_size=self.batch_size is not None)
        _check.whole("accumulate", self.accumulate, least=1)
        if not isinstance(self.amp, bool):
            raise TypeError(_check.message("amp", self.amp, "True or False"))
        check_device(self.device)
        if not isinstance(self.about, str):
            raise TypeError(_check.message("about", self.about, "a line of text"))
        _check.whole("steps", self.steps, least=1)
        check_seed(self.seed)
        if self.views is not None and not callable(self.views):
            raise TypeError(_check.message("views", self.views, "a function of a run and its sheet, or None"))
        signals_of(self.signals)
        object.__setattr__(self, "signals", tuple(self.signals))
        if self.per_epoch is not None:
            _check.number("per_epoch", self.per_epoch, above=0)
        self._settle_plan()
        check_own(self)
        object.__setattr__(self, "evaluate_every", check_pause(self.evaluate_every))
        try:
            json.dumps({**self.facts})
        except (TypeError, ValueError):
            raise TypeError(_check.message("facts", self.facts, "a mapping of plain data by name")) from None

    def _settle_plan(self) -> None:
        """Check plan, schedule, clip and feedback, and keep each in its canonical form."""
        if self.plan is not None:
            beside = [name for name in ("schedule", "clip", "feedback") if getattr(self, name) is not None]
            if beside:
                raise ValueError(f"plan is the whole of it, and {', '.join(beside)} came beside it; leave that out")
            if not isinstance(self.plan, Plan | str):
                raise TypeError(_check.message("plan", self.plan, "a Plan or its text"))
        if isinstance(self.schedule, int | float | list | tuple | Mapping):
            remedy = 'write for example schedule="warmup(5%) >> cosine()"'
            raise TypeError(_check.message("schedule", self.schedule, "one schedule or its text", remedy))
        plan = self._made()
        # a Python function inside has no text that could be read again
        schedule = plan.lr if plan.functions else str(plan.lr)
        canonical = {"schedule": schedule, "feedback": plan.feedback} if self.plan is None else {"plan": plan}
        kept: dict[str, Any] = {**canonical, "_recipe": plan}
        for name, value in kept.items():
            object.__setattr__(self, name, value)
        if not isinstance(plan.lr, Schedule) or plan.lr.is_absolute:
            name, rule = "schedule" if self.plan is None else "lr of plan", "one schedule, a factor of the trial's lr"
            raise ValueError(_check.message(name, str(plan.lr), rule, "give groups rates of their own in optimizer"))

    @staticmethod
    def of(
        *,
        model: nn.Module | Callable[[], nn.Module],
        loader: Loader,
        optimizer: Callable[[Iterable[Tensor], float], Optimizers],
        loss: Callable[..., Tensor] | None = None,
        steps: int | None = None,
        epochs: float | None = None,
        schedule: Schedule | str | None = None,
        name: str | None = None,
        device: str | None = None,
        accumulate: int = 1,
        **more: Any,
    ) -> "Task":
        """A task from a model, a loader and a loss function as they are; none of them is changed.

        Every run begins with the model's weights as they are now, and has the loader's batches epoch after epoch: in an
        order that follows from the run's seed where the loader's sampler, data set or workers draw at random. Copies of
        a DataLoader with a generator of their own give them. A loader in a fixed order that cannot be indexed, as over
        an ``IterableDataset``, sets its first 16 batches aside to be scored on, but at most every 20th; they are not
        trained on.

        Args:
            model: it is copied; or a function without arguments that makes one, called under the run's seed.
            loader: a DataLoader, a list of batches, anything that gives its batches anew each time it is iterated, or a
                function without arguments that makes one of these. A batch is a tensor, or a tuple, list or mapping.
            optimizer: (parameters, lr) -> the optimizer, as in ``Task``.
            loss: a function of (model, batch), if its first parameter is called model, net, network or module, or its
                second is called batch; any other, such as ``torch.nn.CrossEntropyLoss()``, is called as
                loss(model(inputs), targets) and needs batches that are pairs (inputs, targets). When left out, the
                model must return an output with ``.loss`` or ``["loss"]`` for the batch, which it is given by name
                where that is a mapping, one by one where it is a tuple or list.
            steps: how many steps a whole run has, >= 1.
            epochs: the same in passes over the loader, > 0, if that has a length; one of the two is needed.
            schedule: of a whole run, ``warmup(5%) >> cosine()`` when left out.
            name: the model's class when left out.
            device: the model's, or the CPU for a function, when left out.
            accumulate: batches to one step, >= 1.
            **more: any other field of ``Task`` but ``batches``, such as ``metrics``, ``score`` and ``clip``.

        Raises:
            TypeError, ValueError: an argument is invalid.

        Example:
            >>> import torch
            >>> from torch.utils.data import DataLoader, TensorDataset
            >>> from stepsize import Task, train
            >>> x = torch.linspace(-1, 1, 64).unsqueeze(1)
            >>> task = Task.of(
            ...     model=torch.nn.Linear(1, 1),
            ...     loader=DataLoader(TensorDataset(x, 3 * x), batch_size=16, shuffle=True),
            ...     loss=torch.nn.MSELoss(),
            ...     optimizer=lambda parameters, lr: torch.optim.SGD(parameters, lr=lr),
            ...     epochs=20,
            ... )
            >>> task.steps, train(task, lr=0.5).score < 1e-3
            (80, True)
        """
        check_words(more, tuple(field.name for field in fields(Task) if field.name != "batches"))
        parts = parts_of(model, loader, optimizer, loss, steps, epochs, name, device, accumulate)
        return Task(**{**parts, "schedule": schedule, **more})

    @property
    def recipe(self) -> Plan:
        """The plan of a whole run, unless a trial says otherwise."""
        plan: Plan = vars(self)["_recipe"]  # no field, since it is made of them when the task is
        return plan

    def _made(self) -> Plan:
        if self.plan is None:
            return Plan(SCHEDULE if self.schedule is None else self.schedule, clip=self.clip, feedback=self.feedback)
        return Plan.parse(self.plan) if isinstance(self.plan, str) else self.plan

    def plan_for(self, trial: Trial) -> Plan:
        """The plan of a trial: the task's squeezed into the trial's steps, but for what the trial says itself.

        Args:
            trial: what it sets of ``momentum`` and ``weight_decay`` is a number, which then stays as it is.

        Example:
            >>> from stepsize import Trial
            >>> from stepsize.task import task_named
            >>> print(task_named("digits").plan_for(Trial("digits", {"lr": 0.1, "warmup": 5, "clip": 1}, steps=40)))
            lr: warmup(5) >> cosine()
            clip: 1.0
        """
        return plan_of(self, trial)

    def start(self, trial: Trial, watch: Iterable[Observer] = ()) -> Training:
        """A run at its first step.

        Args:
            trial: of this task; its settings need ``lr``.
            watch: observers of its control.

        Raises:
            ValueError: the trial is of another task, has no rate, or its schedule does not fit its steps.
        """
        return SupervisedRun(self, trial, watch)

    def pause(self, steps: int, batch_size: int | None = None) -> int:
        """Steps from one validation to the next, >= 1.

        Args:
            steps: of the run, >= 1.
            batch_size: examples in a batch; the task's when left out.
        """
        return pause_of(self.evaluate_every, steps, self.epoch(batch_size))

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
