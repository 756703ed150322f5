"""The columns of a foreign log: the usual names by default.

A name is taken apart into words, and those that say nothing (``train``, ``batch``, ``step``) are put aside. Of several
names for one thing, that with the most values is taken, and the shorter of two with as many.
"""

import re
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from stepsize import _check

WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
TRAINING = {"train", "training", "trn", "trainer"}
VALIDATION = {"val", "valid", "validation", "eval", "evaluation", "dev"}
ASIDE = TRAINING | {"batch", "step", "epoch", "iter", "iteration", "avg", "average", "mean", "total", "metrics", "per"}
NORMS = ({"grad", "norm"}, {"gradient", "norm"}, {"gradients", "norm"}, {"gnorm"}, {"global", "norm"})
NO_RATE = {"momentum", "weight", "decay", "wd", "scale", "multiplier", "factor", "ratio", "beta"}
STEPS = (
    *("global_step", "step", "steps", "iteration", "iterations", "iter", "update", "updates", "num_updates"),
    *("batch", "epoch"),
)
SECONDS = (
    *("seconds", "elapsed", "elapsed_seconds", "runtime", "wall_time", "walltime", "time", "timestamp"),
    *("relative_time_process", "relative_time_wall"),
)


class Name(NamedTuple):
    """A name of a log, taken apart.

    Attributes:
        raw: as it stands.
        words: of it, lower case.
        kept: those that say something.
    """

    raw: str
    words: tuple[str, ...]
    kept: frozenset[str]

    @staticmethod
    def of(raw: str) -> "Name":
        """Take a name apart."""
        words = tuple(word.lower() for word in WORDS.findall(raw))
        words = tuple("loss" if word == "losses" else word for word in words)
        return Name(raw, words, frozenset(word for word in words if word not in ASIDE and not word.isdecimal()))

    @property
    def is_validation(self) -> bool:
        """Whether it is of data that was not trained on."""
        return bool(VALIDATION & {*self.words})

    @property
    def is_training(self) -> bool:
        """Whether it says that it is of training."""
        return bool(TRAINING & {*self.words})

    @property
    def is_rate(self) -> bool:
        """Whether it is a learning rate."""
        names = "lr" in self.words or {"learning", "rate"} <= {*self.words} or self.words in (("rate",), ("lrs",))
        return names and not NO_RATE & {*self.words} and not self.is_validation


def _of_loss(name: Name) -> bool:
    return name.kept == {"loss"}


def _of_norm(name: Name) -> bool:
    return name.kept in NORMS


def _of_validation_loss(name: Name) -> bool:
    return name.is_validation and name.kept - VALIDATION == {"loss"}


def _of_accuracy(name: Name) -> bool:
    return name.is_validation and name.kept - VALIDATION in ({"acc"}, {"accuracy"})


USUAL: Mapping[str, Callable[[Name], bool]] = {
    "loss": _of_loss,
    "gradient_norm": _of_norm,
    "validation_loss": _of_validation_loss,
    "accuracy": _of_accuracy,
}
"""Our name for a value, and whether a log's name stands for it."""


class Columns:
    """Which column of a log is what.

    Args:
        given: the log's names by ours; what is left out is guessed.
    """

    def __init__(self, columns: Mapping[str, str]) -> None:
        self.given = dict(columns)

    def check(self, known: Collection[str]) -> None:
        """Raise ValueError if a name was given that the log does not have."""
        for name, column in self.given.items():
            if column not in known:
                raise ValueError(
                    f"columns has {name}={column!r}, which the log does not; {_check.closest(column, known)}"
                )

    def step(self, known: Collection[str]) -> str | None:
        """The column that counts steps; None if there is none."""
        return self.given.get("step") or _first(STEPS, known)

    def seconds(self, known: Collection[str]) -> str | None:
        """The column that may tell the time; None if there is none."""
        return self.given.get("seconds") or _first(SECONDS, known)

    def named(self, counts: Mapping[str, int]) -> dict[str, str]:
        """The log's names by ours, as far as they are known.

        Args:
            counts: how many values each column has.
        """
        names = [Name.of(raw) for raw in counts if raw not in self.given.values()]
        found = {}
        for usual_name, stands_for in USUAL.items():
            fitting = [name for name in names if stands_for(name)]
            if fitting and usual_name not in self.given:
                found[usual_name] = min(fitting, key=lambda name: (-counts[name.raw], len(name.words))).raw
        rates = {} if "rate" in self.given else _rates([name for name in names if name.is_rate])
        return {**found, **rates, **{name: raw for name, raw in self.given.items() if name not in ("step", "seconds")}}


def _rates(names: list[Name]) -> dict[str, str]:
    """``rate``, and of several ``rate/NAME`` too; one without a name of its own goes first."""
    if not names:
        return {}
    short = {
        name.raw: _without_rate(name.raw) for name in sorted(names, key=lambda name: bool(_without_rate(name.raw)))
    }
    first = next(iter(short))
    if len(short) == 1:
        return {"rate": first}
    return {"rate": first, **{f"rate/{own or 'all'}": raw for raw, own in short.items()}}


def _without_rate(raw: str) -> str:
    return re.sub(r"(?i)learning[\W_]?rates?|(?<![a-z])lrs?(?![a-z])|^train(er|ing)?(?=\W|_)", "", raw).strip("/-_. ")


def _first(usual: Collection[str], known: Collection[str]) -> str | None:
    """The first usual name that a column has, bare or behind a slash; case, blanks and a leading ``_`` do not count."""
    bare = {
        re.sub(r"\W+", "_", column.rpartition("/")[2].strip("_ ").lower()).strip("_"): column
        for column in reversed([*known])
    }
    return next((bare[name] for name in usual if name in bare), None)
