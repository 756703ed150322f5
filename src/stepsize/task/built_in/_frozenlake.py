"""Tabular Q-learning on FrozenLake: a task without gradients, whose rate is the step size alpha of the table."""

import copy
import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from stepsize import _check, _schema
from stepsize.control import Observer, Record, bus_of
from stepsize.schedule import Schedule
from stepsize.task._catalogue import CATALOGUE
from stepsize.task._contract import Training, Trial
from stepsize.task.built_in._frozenlake_views import lake_views
from stepsize.task.built_in._frozenlake_world import DISCOUNT, World, greedy, optimum, success, world
from stepsize.views import TaskViews

Table = list[list[float]]


@dataclass(frozen=True)
class FrozenLake:
    """Q-learning on Gymnasium's FrozenLake-v1, 4x4 and slippery; a step is an episode.

    Formula:
        q(s, a) <- q(s, a) + alpha (r + 0.99 max over a' of q(s', a') - q(s, a))

    The second term is left out where the episode terminated (a hole, the goal), and kept where it was truncated after
    100 steps. Alpha at an episode is the trial's ``lr`` times its schedule. Actions are random with probability
    epsilon; of several best actions each is equally likely. A run's score is by how much the greedy policy's exact
    probability of success misses the best policy's, 0.740.

    Args:
        name: display name.
        steps: episodes of a whole run, >= 1.
        schedule: of alpha, over the episodes, unless a trial says otherwise; squeezed into shorter runs.
        epsilon: the probability of a random action, a schedule of values 0 to 1 over the episodes.
        about: one line for people.

    Raises:
        TypeError, ValueError: steps is not a whole number >= 1, a text is no schedule, or epsilon leaves 0 to 1.

    Example:
        >>> from stepsize import Trial
        >>> from stepsize.task.built_in._frozenlake import frozenlake
        >>> run = frozenlake.start(Trial("frozenlake", {"lr": 0.5}, seed=0, steps=500))
        >>> losses = run.advance(500)  # 0 for an episode that reached the goal, 1 for one that did not
        >>> len(losses), sorted(set(losses)), sorted(run.metrics())
        (500, [0.0, 1.0], ['optimum', 'success'])

    Source: Watkins and Dayan 1992, "Q-learning", Machine Learning 8; Sutton and Barto 2018, section 6.5.
    """

    name: str = "frozenlake"
    steps: int = 10_000
    schedule: str = "linear(end=0.002)"
    epsilon: str = "linear(start=0.5, end=0.01)"
    scored: ClassVar[str] = "missed of the best success"
    views: ClassVar[TaskViews] = staticmethod(lake_views)
    about: str = CATALOGUE["frozenlake"][1]

    @property
    def axes(self) -> tuple[str, ...]:
        """The settings of its trials."""
        return ("lr", "schedule")

    def pause(self, steps: int, _: int | None = None) -> int:
        """Episodes from one look at the policy to the next: a hundredth of the run."""
        return max(1, steps // 100)

    def __post_init__(self) -> None:
        _check.whole("steps", self.steps, least=1)
        for name in ("schedule", "epsilon"):
            object.__setattr__(self, name, str(Schedule.parse(getattr(self, name))))
        if max(course(Schedule.parse(self.epsilon), self.steps)) > 1:
            raise ValueError(_check.message("epsilon", self.epsilon, "a schedule of values 0 to 1", "scale it down"))

    def prepare(self) -> None:
        """Load what every run needs.

        Raises:
            ImportError: Gymnasium is not installed.
        """
        world()

    def start(self, trial: Trial, watch: Iterable[Observer] = ()) -> Training:
        """A run before its first episode.

        Args:
            trial: of this task; its settings need ``lr`` and may have a ``schedule``; its steps are episodes.
            watch: observers, told the rate and loss of the episodes they want.

        Raises:
            ValueError: the trial is of another task, has no rate or settings besides, or its schedule does not fit.
            ImportError: Gymnasium is not installed.
        """
        return _LakeRun(self, trial, watch)


def course(schedule: Schedule, episodes: int) -> list[float]:
    """A schedule's value at each episode of a run, and the one that is held after the last."""
    values: list[float] = schedule.over(episodes)(np.arange(episodes + 1)).tolist()
    return values


def generator(seed: int) -> np.random.Generator:
    """An agent's own generator; an episode takes the same number of draws from it, however soon it ends."""
    return np.random.Generator(np.random.PCG64(seed))


def play(q: Table, lake: World, draws: Table, alpha: float, epsilon: float) -> float:
    """Play one episode and learn from it, in place; the reward, or NaN once a value is no longer finite.

    Args:
        q: action values, by state and action.
        lake: what can happen.
        draws: for each step up to the limit three uniform draws: whether to explore, which action, which outcome.
        alpha: the step size, > 0.
        epsilon: the probability of a random action, 0 to 1.
    """
    outcomes, thresholds, state = lake.outcomes, lake.thresholds.tolist(), lake.start
    for explore, choose, slip in draws:
        row = q[state]
        best = -math.inf if explore < epsilon else max(row)
        choices = [action for action, value in enumerate(row) if value >= best]
        action = choices[int(choose * len(choices))]
        after, reward, terminated = outcomes[state][action][bisect_right(thresholds, slip)]
        target = reward if terminated else reward + DISCOUNT * max(q[after])
        row[action] += alpha * (target - row[action])
        if not math.isfinite(row[action]):
            return math.nan
        if terminated:
            return reward
        state = after
    return 0.0  # truncated: the last update looked ahead, as any but a terminating one does


class _LakeRun:
    def __init__(self, task: FrozenLake, trial: Trial, watch: Iterable[Observer]) -> None:
        if trial.task != task.name:
            raise ValueError(_check.message("trial", trial.task, f"one of the task {task.name!r}"))
        if "lr" not in trial.settings:
            raise ValueError(_check.message("settings", trial.settings, "with a rate", 'add {"lr": ...}'))
        if set(trial.settings) - {"lr", "schedule"}:
            remedy = "leave out the others: a table has no gradients and no batches"
            raise ValueError(_check.message("settings", trial.settings, "of lr and schedule alone", remedy))
        own = Schedule.parse(task.schedule).stretch(trial.steps / task.steps)
        schedule = Schedule.parse(trial.settings["schedule"]) if "schedule" in trial.settings else own
        self.alpha: list[float] = course(trial.settings["lr"] * schedule, trial.steps)
        self.epsilon = course(Schedule.parse(task.epsilon).stretch(trial.steps / task.steps), trial.steps)
        self.world = world()
        states, actions = self.world.reward.shape[:2]
        self.q: Table = [[0.0] * actions for _ in range(states)]
        self.episode = 0
        self.generator = generator(trial.seed)
        self.bus = bus_of(watch)

    def advance(self, steps: int) -> list[float]:
        losses: list[float] = []
        for _ in range(steps):
            now = min(self.episode, len(self.alpha) - 1)
            draws: Table = self.generator.random((self.world.limit, 3)).tolist()
            losses.append(1 - play(self.q, self.world, draws, self.alpha[now], self.epsilon[now]))
            look = self.bus.look(self.episode, float(self.episode))
            if look is not None:
                look.measure(losses[-1], {"alpha": self.alpha[now]})
                look.tell()
            self.episode += 1
            if math.isnan(losses[-1]):
                break
        return losses

    def score(self) -> float:
        reached = self.metrics()["success"]
        return optimum() - reached if math.isfinite(reached) else math.inf

    def metrics(self) -> dict[str, float]:
        q = np.array(self.q)
        reached = float(success(greedy(q))) if np.isfinite(q).all() else math.nan
        return {"success": reached, "optimum": optimum()}

    def test(self) -> dict[str, float]:
        return {}

    def observe(self, **values: float) -> None:
        self.bus.send(Record(self.episode, float(self.episode), "observed", values))

    def state(self) -> dict[str, Any]:
        generator = copy.deepcopy(self.generator.bit_generator.state)
        return {"q": torch.tensor(self.q, dtype=torch.float64), "episode": self.episode, "generator": generator}

    def load_state(self, state: Mapping[str, Any]) -> None:
        if not isinstance(state, Mapping) or set(state) != set(self.state()):
            raise ValueError(_check.message("state", state, "from the state() of a run of this task"))
        shape, needed = tuple(state["q"].shape), self.world.reward.shape[:2]
        if shape != needed:
            raise ValueError(_check.message("shape of q", shape, f"{needed}"))
        _schema.whole(0, len(self.alpha))("episode", state["episode"])
        self.generator.bit_generator.state = copy.deepcopy(state["generator"])
        self.q, self.episode = state["q"].tolist(), int(state["episode"])


frozenlake = FrozenLake()
