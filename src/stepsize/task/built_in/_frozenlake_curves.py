"""Many Q-learners at once: every agent takes its own run's draws, and ends with that run's table, bit for bit."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stepsize import _check
from stepsize.schedule import Schedule
from stepsize.search import Progress
from stepsize.task.built_in._frozenlake import course, frozenlake, generator
from stepsize.task.built_in._frozenlake_world import DISCOUNT, Array, greedy, optimum, success, world

BLOCK = 25  # episodes that an agent draws for at a time


@dataclass(frozen=True)
class LearningCurves:
    """The learning curves of many agents, by the name of their alpha.

    Attributes:
        alphas: the text of each schedule of alpha, by name.
        seeds: of the agents, the same for every alpha.
        episodes: how many each agent played.
        at: the numbers of episodes after which the policies were looked at, shape (P,).
        success: the greedy policy's exact probability of success after ``at`` episodes, each of shape (P, seeds).
        won: the reward of every episode played, exploration and all, each of shape (episodes, seeds).
        q: action values at the end, each of shape (seeds, S, A).
        optimum: the best policy's probability of success, by value iteration.
        seconds: processor time it took.
    """

    alphas: Mapping[str, str]
    seeds: tuple[int, ...]
    episodes: int
    at: NDArray[np.int64]
    success: Mapping[str, Array] = field(repr=False)
    won: Mapping[str, NDArray[np.bool_]] = field(repr=False)
    q: Mapping[str, Array] = field(repr=False)
    optimum: float
    seconds: float

    def gaps(self, name: str) -> Array:
        """By how much each seed's policy misses the best one's success at the end, shape (seeds,)."""
        gaps: Array = self.optimum - self.success[name][-1]
        return gaps


def learning_curves(
    alphas: Mapping[str, str],
    seeds: Iterable[int] = range(20),
    episodes: int = 10_000,
    points: int = 50,
    progress: Progress | None = None,
) -> LearningCurves:
    """Learn FrozenLake with several schedules of alpha and several seeds, all agents in lock-step.

    Args:
        alphas: by name, the text of a schedule that gives alpha itself, over the episodes; values 0 to 1.
        seeds: of the agents, each 0 <= seed < 2**32.
        episodes: played by each agent, >= 1.
        points: how many looks at the policies, evenly spread, >= 1; one more before the first episode.
        progress: called with (episodes played by all, episodes in all, a note for people).

    Raises:
        TypeError, ValueError: an argument is invalid, or a schedule leaves 0 to 1.
        ImportError: Gymnasium is not installed.

    Example:
        >>> from stepsize.task.built_in._frozenlake_curves import learning_curves
        >>> curves = learning_curves({"decayed": "linear(start=0.5, end=0.001)"}, seeds=range(3), episodes=100)
        >>> curves.success["decayed"].shape, curves.won["decayed"].shape, curves.gaps("decayed").shape
        ((51, 3), (100, 3), (3,))

    Source: Sutton and Barto 2018, "Reinforcement Learning", section 2.5 and equation 2.7 (when alpha must fall).
    """
    chosen, courses = prepared(alphas, seeds, episodes)
    episodes = len(courses[0]) - 1
    points = min(episodes, _check.whole("points", points, least=1))
    epsilon = course(Schedule.parse(frozenlake.epsilon).stretch(episodes / frozenlake.steps), episodes)
    at = np.unique(np.linspace(0, episodes, points + 1).round().astype(np.int64))
    began = time.process_time()
    table = np.repeat(np.array(courses), len(chosen), 0)
    agents = _Agents(table, np.array(epsilon), chosen * len(courses), at, progress)
    agents.learn()
    snapshots = agents.snapshots.reshape(len(courses), len(chosen), len(at), *agents.snapshots.shape[2:])
    reached = success(greedy(snapshots)).swapaxes(1, 2)
    won = agents.won.reshape(len(courses), len(chosen), episodes).swapaxes(1, 2)
    return LearningCurves(
        alphas=dict(alphas),
        seeds=chosen,
        episodes=episodes,
        at=at,
        success=dict(zip(alphas, reached, strict=True)),
        won=dict(zip(alphas, won, strict=True)),
        q=dict(zip(alphas, snapshots[:, :, -1], strict=True)),
        optimum=optimum(),
        seconds=time.process_time() - began,
    )


def prepared(
    alphas: Mapping[str, str], seeds: Iterable[int], episodes: int
) -> tuple[tuple[int, ...], list[list[float]]]:
    """The seeds, and alpha at each episode and after the last for each schedule; what does not fit is refused.

    Args:
        alphas: as for ``learning_curves``.
        seeds: as for ``learning_curves``.
        episodes: as for ``learning_curves``.

    Raises:
        TypeError, ValueError: an argument is invalid.
    """
    episodes = _check.whole("episodes", episodes, least=1)
    chosen = tuple(_check.whole("seeds", seed, least=0) for seed in seeds)
    if max(chosen, default=0) >= 2**32:
        raise ValueError(_check.message("seeds", max(chosen), "below 2**32"))
    if not chosen or not alphas:
        raise ValueError("alphas and seeds must not be empty; give at least one of each")
    return chosen, [_alpha(name, text, episodes) for name, text in alphas.items()]


def _alpha(name: str, text: str, episodes: int) -> list[float]:
    values = course(Schedule.parse(text), episodes)
    if max(values[:-1]) > 1:
        raise ValueError(_check.message(f"alpha of {name}", text, "a schedule of values 0 to 1", "scale it down"))
    return values


class _Agents:
    """N agents in one table: row 16 n + s is agent n in state s, so that one row number says both."""

    def __init__(
        self, alpha: Array, epsilon: Array, seeds: Sequence[int], at: NDArray[np.int64], progress: Progress | None
    ) -> None:
        self.world, self.alpha, self.epsilon, self.progress = world(), alpha, epsilon, progress
        self.number, self.episodes = len(seeds), alpha.shape[1] - 1
        self.states, self.actions = self.world.reward.shape[:2]
        self.q = np.zeros((self.number * self.states, self.actions))
        self.generators = [generator(seed) for seed in seeds]
        size = self.number, BLOCK, self.world.limit
        self.explores, self.random = np.zeros(size, np.bool_), np.zeros(size, np.int64)
        self.choose, self.slip = np.zeros(size), np.zeros(size, np.int64)  # of the latest BLOCK of episodes
        self.won = np.zeros((self.number, self.episodes), np.bool_)
        self.look = {int(episode): place for place, episode in enumerate(at)}
        self.snapshots = np.zeros((self.number, len(at), self.states, self.actions))
        self.episode = [0] * self.number
        self.busy, self.played = self.number, 0
        self.every = max(1, self.number * self.episodes // 100)

    def learn(self) -> None:
        """Steps of all agents until each has played its episodes; one that is ready plays on and learns nothing."""
        lake, q, flat = self.world, self.q, self.q.reshape(-1)
        homes = np.arange(self.number) * self.states
        # by outcome and entry of the table (state and action of an agent): the row that follows, reward, discount
        following = np.concatenate([np.moveaxis(lake.following, 2, 0) + home for home in homes], 1).ravel()
        rewards = np.tile(np.moveaxis(lake.reward, 2, 0), (1, self.number, 1)).ravel()
        ends = np.tile(np.moveaxis(lake.terminal, 2, 0), (1, self.number, 1)).ravel() == 1
        discounts = DISCOUNT * ~ends
        explores, random = self.explores.reshape(-1), self.random.reshape(-1)
        choose, slip = self.choose.reshape(-1), self.slip.reshape(-1)
        own = np.arange(self.number) * self.actions
        first = np.arange(self.number * self.states) * self.actions  # entry of a row's first action
        one = np.ones(self.number, np.int64)  # adding an array costs half of adding a number
        row, alpha = homes + lake.start, self.alpha[:, 0].copy()
        moment = np.array([self.begin(agent) for agent in range(self.number)])  # index of the draws of this step
        final = moment + lake.limit - 1
        while self.busy:
            values = q.take(row, 0)
            action = values.argmax(1)
            ties = values == values.take(own + action)[:, None]
            if np.count_nonzero(ties) > self.number:
                chosen = choose.take(moment) * ties.sum(1)
                action = (ties.cumsum(1) > chosen[:, None]).argmax(1)
            np.copyto(action, random.take(moment), where=explores.take(moment))
            entry = first.take(row) + action
            happens = entry + slip.take(moment)
            row, reward = following.take(happens), rewards.take(happens)
            old, ahead = flat.take(entry), q.take(row, 0)
            target = reward + discounts.take(happens) * ahead.take(own + ahead.argmax(1))
            flat[entry] = old + alpha * (target - old)
            for agent in (ends.take(happens) | (moment == final)).nonzero()[0].tolist():
                alpha[agent] = self.finish(agent, reward[agent])
                row[agent] = homes[agent] + lake.start
                moment[agent] = self.begin(agent) - 1
                final[agent] = moment[agent] + lake.limit
            moment += one

    def finish(self, agent: int, reward: float) -> float:
        """Note how an agent's episode ended; its next alpha, 0 when it has played all of its episodes."""
        episode = self.episode[agent]
        if episode == self.episodes:
            return 0.0
        self.won[agent, episode] = reward
        self.episode[agent] += 1
        self.played += 1
        if self.progress is not None and self.played % self.every == 0:
            self.progress(self.played, self.number * self.episodes, f"{self.busy} learners")
        if episode + 1 in self.look:
            rows = slice(agent * self.states, (agent + 1) * self.states)
            self.snapshots[agent, self.look[episode + 1]] = self.q[rows]
        if episode + 1 < self.episodes:
            return float(self.alpha[agent, episode + 1])
        self.busy -= 1
        return 0.0

    def begin(self, agent: int) -> int:
        """The index of the first draws of an agent's next episode, drawn now if they are not there yet."""
        episode = self.episode[agent]
        if episode % BLOCK == 0 and episode < self.episodes:
            self.draw(agent)
        return (agent * BLOCK + episode % BLOCK) * self.world.limit

    def draw(self, agent: int) -> None:
        """An agent's draws for its next episodes: whether to explore, random actions, choices among ties, outcomes."""
        explore, choose, slip = np.moveaxis(self.generators[agent].random((BLOCK, self.world.limit, 3)), -1, 0)
        episodes = np.minimum(self.episode[agent] + np.arange(BLOCK), self.episodes)
        self.explores[agent] = explore < self.epsilon[episodes, None]
        self.random[agent] = choose * self.actions  # rounded down
        self.choose[agent] = choose
        self.slip[agent] = np.searchsorted(self.world.thresholds, slip, side="right") * self.q.size
