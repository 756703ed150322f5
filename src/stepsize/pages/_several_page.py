"""The page of several runs: which ended best, in what they differ, their curves side by side."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from stepsize.pages._numbers import text_of
from stepsize.pages._parts import Command, Facts, Page, Words, picture, section, table
from stepsize.pages._run_page import figure, sections_of, shortened, words_of
from stepsize.record import Comparison
from stepsize.views import Mark, Scale, View, colour_of, course_lines, is_noisy, series

COLOURS = 8  # after which they begin again, dashed
LOWER = ("validation loss", "loss of the best rate", "training loss")  # figures by which runs are put in order
ALONG = {"step": "step", "time": "seconds since the beginning", "share": "share of the run"}


def several_page(compared: Comparison, commands: Mapping[str, str]) -> Page:
    """The page of several runs.

    Args:
        compared: what they have in common, and what not.
        commands: what repeats each, by name, as far as it is known.
    """
    names = list(compared.names)
    shown = _short(names)
    curves = [view for measure in compared.measures if (view := _curves(compared, measure, shown)) is not None]
    views = [*curves, *filter(None, [_scores(compared, shown)])]
    pictures = [picture(view, number) for number, view in enumerate(views)]
    figures = [{"run": name, **_of(compared.figures, place)} for place, name in enumerate(shown)]
    differing = [{"run": name, **_of(compared.differing, place)} for place, name in enumerate(shown)]
    common = [{"setting": name, "value": str(value)} for name, value in compared.common.items()]
    notes = [Words(note, remark=True) for note in compared.notes]
    state, verdict = _judged(compared, shown)
    return Page(
        f"{len(names)} runs compared", "Comparison", verdict, state, (Facts(tuple(_figures(compared)), large=True),),
        sections_of(
            section("What to do next", *_next(compared, names, commands)),
            section("Where they ended", table("Final figures", figures), *notes),
            section("What differs", table("Settings that are not the same in all", differing)
                    if compared.differing else Words("All settings that were written down are the same.")),
            section("Curves", *pictures),
            section("What they have in common", table("Settings that are", common)),
            section("How to repeat them", *(Command(text, name) for name, text in commands.items())),
        ),
    )  # fmt: skip


def _of(values: Mapping[str, Any], place: int) -> dict[str, Any]:
    return {words_of(name): _plain(value[place]) for name, value in values.items()}


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, int | float | str) else str(value)


def _short(names: list[str]) -> list[str]:
    """Names without the folders that all have."""
    parts = [name.split("/") for name in names]
    shared = 0
    while all(len(part) > shared + 1 and part[shared] == parts[0][shared] for part in parts):
        shared += 1
    return [shortened("/".join(part[shared:]), 60) for part in parts]


def _measure(compared: Comparison) -> str | None:
    """The figure that all have, by which they are put in order; less is better."""
    whole = [
        name for name in LOWER if all(isinstance(value, int | float) for value in compared.figures.get(name, [None]))
    ]
    return whole[0] if whole else None


def _judged(compared: Comparison, shown: list[str]) -> tuple[str, str]:
    measure = _measure(compared)
    differ = ", ".join(words_of(name) for name in [*compared.differing][:4]) + ", …" * (len(compared.differing) > 4)
    apart = f"They differ in {differ}." if differ else "No setting that was written down differs."
    if measure is None:
        return "open", f"{len(shown)} runs, which have no final figure in common. {apart}"
    values = np.asarray(compared.figures[measure], float)
    finite = np.flatnonzero(np.isfinite(values))
    if not len(finite):
        return "bad", f"No {measure} of {len(shown)} runs was finite at the end. {apart}"
    best, worst = int(finite[np.argmin(values[finite])]), int(finite[np.argmax(values[finite])])
    span = f"the highest is {text_of(float(values[worst]))}, of {shown[worst]}"
    lowest = f"{shown[best]} ended at the lowest {measure} of {len(shown)} runs, {text_of(float(values[best]))}"
    if len(finite) == len(values):
        return "good", f"{lowest}; {span}. {apart}"
    broken = [shown[place] for place in range(len(values)) if place not in finite]
    named = ", ".join(broken[:3]) + ", …" * (len(broken) > 3)
    ended = f"{f'that of {named} was' if len(broken) == 1 else f'those of {named} were'} not finite at the end"
    return "doubt", f"{'; '.join([lowest, *[span] * (len(finite) > 1), ended])}. {apart}"


def _figures(compared: Comparison) -> list[tuple[str, str]]:
    pairs = [("runs", text_of(len(compared.names))), ("settings that differ", text_of(len(compared.differing)))]
    measure = _measure(compared)
    if measure is not None:
        values = _finite(compared.figures[measure])
        if values:
            pairs.append((f"lowest {measure}", text_of(min(values))))
            pairs.append((f"median {measure}", text_of(float(np.median(values)))))
        broken = len(compared.figures[measure]) - len(values)
        if broken:
            pairs.append((f"{measure} not finite", f"{text_of(broken)} of {text_of(len(compared.names))} runs"))
    accuracy = _finite(compared.figures.get("accuracy", ()))
    return [*pairs, ("highest accuracy", figure("accuracy", max(accuracy)))] if accuracy else pairs


def _finite(values: Sequence[Any]) -> list[float]:
    return [float(value) for value in values if isinstance(value, int | float) and math.isfinite(value)]


def _next(compared: Comparison, names: list[str], commands: Mapping[str, str]) -> list[Command]:
    measure = _measure(compared)
    if measure is None:
        return []
    values = np.asarray(compared.figures[measure], float)
    if not np.isfinite(values).any():
        return []
    best = names[int(np.nanargmin(np.where(np.isfinite(values), values, np.nan)))]
    return [Command(commands[best], f"Repeat the one that ended best, {shortened(best)}.")] if best in commands else []


def _curves(compared: Comparison, measure: str, shown: list[str]) -> View | None:
    """A measure of all runs; of noisy losses a moving mean."""
    lines = course_lines(compared, measure, dict(zip(compared.names, shown, strict=True)))
    if not lines:
        return None
    unit = ""
    if measure == "accuracy":
        lines, unit = [replace(line, y=tuple(100 * y for y in line.y)) for line in lines], " (%)"
    averaged = measure == "loss" and any(is_noisy(values) for _, values in compared.courses(measure).values())
    word = words_of(
        {"loss": "training loss", "rate": "learning rate", "accuracy": "validation accuracy"}.get(measure, measure)
    )
    positive = "loss" in measure and all(y > 0 for line in lines for y in line.y)
    about = f"{word[:1].upper()}{word[1:]} of each run{', a moving mean where it is noisy' * averaged}."
    upwards = Scale(f"{word}{unit}", log=positive)
    across, title, marks = Scale(ALONG[compared.by]), f"{word[:1].upper()}{word[1:]}", _broken(compared, measure, shown)
    return View(measure, title, across, upwards, tuple(lines), (), marks, about=about)


def _broken(compared: Comparison, measure: str, shown: list[str]) -> tuple[Mark, ...]:
    """Where a measure of a run became not finite and stayed so."""
    places = [(compared.names.index(name), at) for name, at in compared.broken(measure).items()]
    return tuple(
        Mark("x", at, f"{shown[number]}: not finite from here on", colour_of(number), "dotted", 1.4)
        for number, at in places
    )


def _scores(compared: Comparison, shown: list[str]) -> View | None:
    """The loss at each rate that was tried."""
    lines = [
        series(*entry.scores, shown[number], colour_of(number), marker="o", dashed=number >= COLOURS)
        for number, entry in enumerate(compared.entries)
        if entry.scores is not None
    ]
    if not lines:
        return None
    about = "The loss at the end of the runs that were tried, short or whole, against their learning rate."
    scales = Scale("learning rate", log=True), Scale("loss", log=all(y > 0 for line in lines for y in line.y))
    return View("scores", "Loss by rate", *scales, tuple(lines), about=about)
