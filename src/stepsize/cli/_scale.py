"""The command that predicts a rate at another size, length or batch."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

from rich.table import Table

from stepsize import _check
from stepsize.cli._picture import drawn
from stepsize.cli._screen import Screen
from stepsize.cli._start import from_start
from stepsize.cli._words import split
from stepsize.pages import scale_picture
from stepsize.scale import Prediction, RateLaw, fit_law, read_runs

LINEAR = ":linear"


class Repeats(StrEnum):
    """What counts of runs with equal rate and axes."""

    mean = "mean"
    best = "best"


def of_runs(
    screen: Screen, runs: Path, over: str, at: str, rate: str, loss: str, repeats: Repeats, out: Path | None
) -> int:
    """Do what the command says of runs that there are, and return the exit code.

    Args:
        screen: where the answer goes.
        runs: a table, or a sweep.
        over: columns with commas between.
        at: the target.
        rate: the rate's column.
        loss: the loss' column.
        repeats: what counts of equal runs.
        out: a picture's file.
    """
    axes = split(over)
    columns = read_runs(from_start(runs))
    linear = [axis.removesuffix(LINEAR) for axis in axes if axis.endswith(LINEAR) and axis not in columns]
    names = [axis if axis in columns else axis.removesuffix(LINEAR) for axis in axes]
    law = fit_law(columns, names, rate=rate, loss=loss, linear=linear, repeats=repeats.value)
    target = target_of(at)
    return told(screen, law, law.predict(target), rate, out, "the same command", {})


def told(
    screen: Screen,
    law: RateLaw,
    found: Prediction,
    rate: str,
    out: Path | None,
    again: str,
    more: Mapping[str, Any],
) -> int:
    """Show a law and what it predicts: exponents, doubts, the rate, a picture, one JSON object if asked for.

    Args:
        screen: where.
        law: that was fitted.
        found: what it predicts.
        rate: what the rate is called.
        out: the picture's file; none when None.
        again: what draws it again where it could not be drawn.
        more: what else the answer has.
    """
    _say(screen, law, found, rate)
    image = None
    if out is not None:
        image = drawn(screen, lambda: scale_picture(law, found.at, from_start(out)), out, again)
    exponents = {name: {"mean": mean, "deviation": deviation} for name, (mean, deviation) in law.exponents().items()}
    screen.answer(
        lr=found.lr,
        low=found.low,
        high=found.high,
        at=found.at,
        doubts=found.doubts,
        exponents=exponents,
        runs=law.runs,
        points=len(law.points),
        broken=law.broken,
        **more,
        picture=None if image is None else str(image),
    )
    return 0


def target_of(text: str) -> dict[str, float]:
    """The target that a text says.

    Args:
        text: as ``N=2e9,D=1e11``.

    Raises:
        ValueError: a part is no pair of a name and a number, or a name stands twice.
    """
    found: dict[str, float] = {}
    for pair in split(text):
        name, sign, value = (part.strip() for part in pair.rpartition("="))
        if not sign or not name or name in found:
            rule = "NAME=NUMBER, each name once"
            raise ValueError(_check.message("--at", pair, rule, "write for example N=2e9,D=1e11"))
        try:
            found[name] = float(value)
        except ValueError:
            raise ValueError(_check.message(f"--at {name}", value, "a number")) from None
    return found


def _say(screen: Screen, law: RateLaw, found: Prediction, rate: str) -> None:
    table = Table("axis", "exponent", "runs", "target", box=None)
    places = [law.place_of(point) for point in law.points]
    for axis, (mean, deviation) in law.exponents().items():
        table.add_row(
            axis, f"{mean:+.2f} ± {deviation:.2f}", _range([place[axis] for place in places]), f"{found.at[axis]:g}"
        )
    screen.say(table)
    broke = f", {law.broken} broken" if law.broken else ""
    where = ", few of which share their axes" if law.scattered else f" at {len(law.points)} points"
    screen.say(f"runs     {law.runs}{where}{broke}")
    for doubt in found.doubts:
        screen.say(f"doubt    {doubt}")
    screen.say(f"{rate:<8} {found.lr:.3g}, and with 95 % between {found.low:.3g} and {found.high:.3g}")


def _range(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
