"""The contract: a task starts a run for a trial; a run advances, scores and has a state."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from stepsize import _check
from stepsize.control import Commands, Observer
from stepsize.task._axes import AXES, check_takes, table_of


@dataclass(frozen=True)
class Trial:
    """One thing to be trained: a task, settings by axis, a seed and a number of steps.

    Args:
        task: the task's name; or the task, whose name is kept, and which may have axes of its own.
        settings: by axis. ``lr`` is the rate, ``schedule`` a text, ``warmup`` a length that is put in front of the
            schedule instead of a warm-up of its own (0 for none), ``optimizer`` a text as ``stepsize.optim.optimizer``
            takes it, ``weight_decay``, ``momentum`` (beta1 where there are betas), ``clip`` a norm or the text of a
            schedule that gives it, ``batch_size``. What
            is left out is the task's. Values are kept in their canonical form, so that the same trial has the same key.
        seed: of weights, data order and everything drawn, 0 <= seed < 2**32.
        steps: length of the whole run, >= 1; relative lengths of the schedule are shares of it.

    Raises:
        TypeError, ValueError: an argument is invalid.

    Example:
        >>> from stepsize import Trial
        >>> trial = Trial("digits", {"lr": 0.1}, seed=0, steps=400)
        >>> trial.key == Trial("digits", {"lr": 0.1}, 0, 400).key
        True
        >>> trial.key == Trial("digits", {"lr": 0.2}, 0, 400).key
        False
    """

    task: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    steps: int = 1

    def __post_init__(self) -> None:
        task: Any = self.task
        if not isinstance(task, str | Startable):
            raise TypeError(_check.message("task", task, "a task or its name"))
        if not isinstance(self.settings, Mapping):
            raise TypeError(_check.message("settings", self.settings, "a mapping by axis", 'such as {"lr": 0.1}'))
        axes = AXES
        if not isinstance(task, str):
            check_takes(task, self.settings, "settings")
            axes = table_of(task)
            object.__setattr__(self, "task", task.name)
        for axis in self.settings:
            if axis not in axes:
                raise ValueError(f"settings has {axis!r}, which is not an axis; {_check.closest(str(axis), AXES)}")
        settings = {axis: axes[axis].canonical(axis, value) for axis, value in sorted(self.settings.items())}
        object.__setattr__(self, "settings", settings)
        object.__setattr__(self, "seed", check_seed(self.seed))
        object.__setattr__(self, "steps", _check.whole("steps", self.steps, least=1))

    @staticmethod
    def of(task: "Startable", settings: Mapping[str, Any], seed: int = 0, steps: int = 1) -> "Trial":
        """The trial of a task, which may have axes of its own.

        Args:
            task: whose trial it is; it must take the settings.
            settings: as for ``Trial``.
            seed: as for ``Trial``.
            steps: as for ``Trial``.

        Raises:
            TypeError, ValueError: an argument is invalid, or the task takes no such axis.
        """
        return Trial(task, settings, seed, steps)  # type: ignore[arg-type]

    @property
    def key(self) -> str:
        """A hash of everything the trial says, the same on every machine: 16 hexadecimal digits."""
        return key_of(self.task, self.settings, self.seed, self.steps)

    def __hash__(self) -> int:
        return hash(self.key)


def check_seed(seed: Any) -> int:
    """A seed as an int, or an error that says what it must be.

    Args:
        seed: 0 <= seed < 2**32.

    Raises:
        TypeError, ValueError: it is none.
    """
    number = _check.whole("seed", seed, least=0)
    if number >= 2**32:
        raise ValueError(_check.message("seed", seed, "below 2**32"))
    return number


def key_of(task: str, settings: Mapping[str, Any], seed: int, steps: int) -> str:
    """The key of a trial with these settings, which are canonical already; nothing is checked.

    Args:
        task: its name.
        settings: by axis.
        seed: of the trial.
        steps: its length.

    Example:
        >>> from stepsize import Trial
        >>> from stepsize.task import key_of
        >>> key_of("digits", {"lr": 0.1}, 0, 400) == Trial("digits", {"lr": 0.1}, 0, 400).key
        True
    """
    parts = {"task": task, "settings": settings, "seed": seed, "steps": steps}
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@runtime_checkable
class Training(Protocol):
    """A trial under way."""

    def advance(self, steps: int) -> list[float]:
        """Train so many steps more, and return the training loss of each, up to the first that is not finite."""

    def score(self) -> float:
        """The loss on a fixed large set of training data, lower is better."""

    def metrics(self) -> dict[str, float]:
        """Validation figures by name, such as ``validation_loss`` and ``accuracy``."""

    def test(self) -> dict[str, float]:
        """Figures by name on data that nothing is chosen by; empty where there is none."""

    def observe(self, **values: float) -> None:
        """Hand measured values to the run's control and its observers."""

    def state(self) -> dict[str, Any]:
        """Everything needed to go on exactly, small plain data and tensors for ``torch.load(weights_only=True)``."""

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from the state of a run of the same trial, as if it had never been interrupted."""


@runtime_checkable
class Resumable(Protocol):
    """Batches that can go on where they were."""

    def __iter__(self) -> Iterator[Any]:
        """Itself."""

    def __next__(self) -> Any:
        """The next batch."""

    def state_dict(self) -> dict[str, Any]:
        """Their state, as plain data and tensors."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there, bit for bit."""


def seed_of(task: Any, seed: int | None) -> int:
    """A seed that was said, or the task's.

    Args:
        task: its attribute ``seed``, if it has one, is its own.
        seed: None for the task's own.

    Example:
        >>> from stepsize.task import seed_of, task_named
        >>> seed_of(task_named("digits"), None), seed_of(task_named("digits"), 3)
        (0, 3)
    """
    return check_seed(getattr(task, "seed", 0)) if seed is None else check_seed(seed)


@runtime_checkable
class Steered(Protocol):
    """A run that can be steered while it trains."""

    @property
    def total(self) -> int:
        """How many steps it has, which commands may change."""

    def steer_by(self, commands: Commands) -> None:
        """Take commands from now on; ``advance`` then ends early where one wants something of its caller."""

    def asked(self, verb: str) -> bool:
        """Whether a command wants this of its caller; true once."""


@runtime_checkable
class Startable(Protocol):
    """A task: anything with a name, a number of steps and a way to start a run for a trial."""

    @property
    def name(self) -> str:
        """The task's name."""

    @property
    def steps(self) -> int:
        """How many steps a whole run has, unless a trial says otherwise."""

    def start(self, trial: Trial, watch: Iterable[Observer] = ()) -> Training:
        """A run at its first step. The same trial gives the same run."""
