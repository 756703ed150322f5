"""FrozenLake's own transition table as arrays, value iteration on it, and the exact success of any policy."""

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stepsize import _extras

DISCOUNT = 0.99
Array = NDArray[np.float64]
Indices = NDArray[np.int64]
Outcomes = list[list[list[tuple[int, float, float]]]]


@dataclass(frozen=True)
class World:
    """The lake's transitions: S states, A actions, K outcomes of each.

    Attributes:
        start: the state an episode begins in.
        limit: steps after which an episode is cut off.
        chances: probability of each outcome, the same everywhere, shape (K,).
        following: the state each outcome leads to, shape (S, A, K).
        reward: 1 for reaching the goal, shape (S, A, K).
        terminal: 1 where the outcome ends the episode, shape (S, A, K).
    """

    start: int
    limit: int
    chances: Array
    following: Indices
    reward: Array
    terminal: Array

    @property
    def thresholds(self) -> Array:
        """A uniform draw u is outcome k for the first k with u below the k-th of these, as Gymnasium draws it."""
        return np.cumsum(self.chances)

    @cached_property
    def outcomes(self) -> Outcomes:
        """The same as nested lists for a plain loop: by state, action and outcome, what follows, reward and end."""
        pairs = zip(self.following.tolist(), self.reward.tolist(), self.terminal.tolist(), strict=True)
        return [[list(zip(*action, strict=True)) for action in zip(*state, strict=True)] for state in pairs]


@cache
def world() -> World:
    """Gymnasium's FrozenLake-v1, 4x4 and slippery, read from ``env.unwrapped.P``."""
    gymnasium = _extras.load("gymnasium", "tasks", "the task frozenlake")
    env = gymnasium.make("FrozenLake-v1", map_name="4x4", is_slippery=True)
    table, limit = env.unwrapped.P, env.spec.max_episode_steps
    start = int(np.argmax(env.unwrapped.initial_state_distrib))
    env.close()
    columns = _columns(table)
    return World(start, int(limit), columns[0][start, 0], columns[1].astype(np.int64), columns[2], columns[3])


def _columns(table: Any) -> Array:
    """Chances, following states, rewards and ends, each of shape (S, A, K)."""
    outcomes = max(len(table[state][action]) for state in table for action in table[state])

    def filled(row: Any) -> Any:  # holes and the goal have one sure outcome, which nobody ever draws
        return row if len(row) == outcomes else [(1 / outcomes, *row[0][1:])] * outcomes

    rows = [[filled(table[state][action]) for action in sorted(table[state])] for state in sorted(table)]
    return np.moveaxis(np.array(rows, dtype=np.float64), -1, 0)


def action_values(values: Array, discount: float = DISCOUNT) -> Array:
    """The value of each action, from the values of the states after it.

    Formula:
        q(s, a) = sum over k of p_k (r + discount (1 - terminal) v(s'))

    Args:
        values: of each state, shape (S,).
        discount: of the next step's value, 0 to 1.

    Example:
        >>> import numpy as np
        >>> from stepsize.task.built_in._frozenlake_world import action_values
        >>> action_values(np.zeros(16))[14].round(3)  # beside the goal
        array([0.   , 0.333, 0.333, 0.333])

    Source: Sutton and Barto 2018, "Reinforcement Learning", equation 4.10.
    """
    lake = world()
    alive = 1 - lake.terminal
    worth: Array = (lake.chances * (lake.reward + discount * alive * values[lake.following])).sum(-1)
    return worth


@cache
def optimal_values(discount: float = DISCOUNT) -> Array:
    """The values of the states under the best policy, by value iteration to the last bit.

    Formula:
        v(s) <- max over a of q(s, a), until nothing changes by more than 1e-15

    Args:
        discount: of the next step's value, 0 to 1.

    Example:
        >>> from stepsize.task.built_in._frozenlake_world import optimal_values
        >>> round(float(optimal_values()[0]), 3)
        0.542

    Source: Sutton and Barto 2018, "Reinforcement Learning", section 4.4.
    """
    values = np.zeros(len(world().following))
    while True:
        better: Array = action_values(values, discount).max(1)
        if np.abs(better - values).max() <= 1e-15:
            better.flags.writeable = False  # kept and handed out again
            return better
        values = better


def greedy(q: Array) -> Array:
    """The policy that takes a best action, each of several equally good ones equally often.

    Args:
        q: action values, shape (..., S, A).

    Returns:
        Probabilities of the same shape.

    Example:
        >>> import numpy as np
        >>> from stepsize.task.built_in._frozenlake_world import greedy
        >>> greedy(np.array([[0.0, 1.0, 1.0, 0.5]]))
        array([[0. , 0.5, 0.5, 0. ]])
    """
    best = (q == q.max(-1, keepdims=True)).astype(np.float64)
    policy: Array = best / best.sum(-1, keepdims=True)
    return policy


def success(policies: Array) -> Array:
    """The probability of reaching the goal within the limit of 100 steps, exact, for one policy or many.

    Formula:
        v_0 = 0,  v_n(s) = sum over a, k of pi(a | s) p_k (r + (1 - terminal) v_(n-1)(s')),  result v_100(start)

    Args:
        policies: probabilities of the actions, shape (..., S, A).

    Returns:
        Shape (...).

    Example:
        >>> import numpy as np
        >>> from stepsize.task.built_in._frozenlake_world import success
        >>> round(float(success(np.full((16, 4), 0.25))), 4)  # a walk at random
        0.0139
    """
    lake = world()
    states, actions, _ = lake.following.shape
    flat = policies.reshape(-1, states, actions)
    arriving = np.eye(states)[lake.following] * (1 - lake.terminal)[..., None]  # and the episode goes on there
    moves = np.einsum("k,sakt->sat", lake.chances, arriving)
    chain = np.einsum("nsa,sat->nst", flat, moves)
    reward = np.einsum("nsa,sa->ns", flat, (lake.chances * lake.reward).sum(-1))[..., None]
    values = np.zeros_like(reward)
    for _ in range(lake.limit):
        values = reward + chain @ values
    reached: Array = values[:, lake.start, 0].reshape(policies.shape[:-2])
    return reached


@cache
def optimum() -> float:
    """The success of the policy that value iteration finds: 0.740."""
    return float(success(greedy(action_values(optimal_values()).round(12))))  # equal up to rounding is equal
