"""Views of a run: how its rate was found, the schedule as applied, losses, and every figure that was measured."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from stepsize.record import Run, course_of
from stepsize.views._planned import planned
from stepsize.views._registry import view
from stepsize.views._thin import is_noisy, moving_mean
from stepsize.views._view import Band, Mark, Note, Scale, Series, View, series

Lines = Sequence[Mapping[str, Any]]
WIDEST = 75  # characters of a view's title
MANY = 40  # recorded losses from which on their mean is drawn too
LOSS = "training loss"  # what is scored, unless a task says otherwise
ELSEWHERE = {"step", "position", "validation_loss"}  # of validations, what has a view of another name
STEP = Scale("step")
NAMED = 5  # changes by hand that are named


@view(Run, place=10)
def finding(run: Run) -> View | None:
    """Score against rate, a line for each length of short run, the chosen rate and its interval."""
    if run.finding is None:
        return None
    found, trials = run.finding, run.finding["trials"]
    lengths = sorted({trial["steps"] for trial in trials})
    scores = [trial["score"] for trial in trials if trial["score"] is not None]
    top = 1.6 * found["initial"] if found["initial"] else max(scores, default=1.0)
    lines, broken = [], []
    for index, length in enumerate(lengths):
        shade = 0.35 + 0.65 * (index + 1) / len(lengths)
        scored = sorted((trial["rate"], trial["score"]) for trial in trials if trial["steps"] == length)
        rates = [rate for rate, _ in scored]
        values = [top if score is None else min(score, top) for _, score in scored]
        lines.append(series(rates, values, f"{length} steps", opacity=shade, marker="o", size=4.5))
        broken += [rate for rate, score in scored if score is None or score > top]
    if broken:
        name = "diverged, or far above the start"
        lines.append(series(broken, [top] * len(broken), name, "red", width=0, marker="^", size=7))
    bands, marks, caption = [], [], str(found.get("verdict", ""))
    if found["initial"]:
        marks.append(Mark("y", found["initial"], "before training", width=0.9))
    if found["rate"]:
        bands.append(Band("x", found["low"], found["high"], f"good: {found['low']:.3g} to {found['high']:.3g}"))
        caption = found_words(found["rate"], found["low"], found["high"], caption)
        marks.append(Mark("x", found["rate"], f"chosen: {found['rate']:.3g}", "orange", "solid", 2))
    what = found.get("scored", LOSS)
    is_log = what == LOSS and min(scores, default=1.0) > 0  # what is missed may be 0
    upwards = Scale(f"{what} after a short run", log=is_log)
    about = "The score of every short run against its learning rate; lower is better."
    title = "How the rate was found"
    return View("finding", title, Scale("learning rate", log=True), upwards, tuple(lines), tuple(bands), tuple(marks),
                about=about, caption=caption)  # fmt: skip


@view(Run, place=20)
def rate(run: Run) -> View | None:
    """The rate of each group as applied, beside what was planned, and what changed it."""
    names = [name for name in named(run.steps) if name == "rate" or name.startswith("rate/")]
    if not names:
        return None
    names = [name for name in names if name != "rate"] if len(names) > 2 else names[:1]
    lines: list[Series] = []
    for number, name in enumerate(names):
        at, values = points(run.steps, name)
        colour = "blue" if not number else ("green", "purple", "teal", "brown")[(number - 1) % 4]
        label = name.removeprefix("rate/") if len(names) > 1 else "as applied"
        lines.append(series(at, values, label, colour, width=2, marker=few(at)))
    plan = planned(run) if len(names) == 1 else None
    if plan is not None:
        lines.append(series(*plan, "as planned", "orange", width=1.2, dashed=True))
    text = str(run.facts.get("plan", ""))
    schedule = text.partition("lr: ")[2].partition("\n")[0]
    title = "The rate as applied" + (f": {schedule}" if schedule else "") + ", with feedback" * ("\nfeedback: " in text)
    lowest = min((y for line in lines for y in line.y), default=0.0)
    upwards = Scale("learning rate", low=min(0.0, lowest))
    about = "The learning rate at each step that was recorded."
    return View("rate", shortened(title), STEP, upwards, tuple(lines), (), tuple(events(run)),
                legend="best" if len(lines) > 1 or run.events else "none", about=about)  # fmt: skip


@view(Run, place=30)
def loss(run: Run) -> View | None:
    """Training and validation loss; of a noisy one its moving mean too."""
    at, losses = points(run.steps, "loss")
    if not len(at):
        return None
    lines: list[Series] = []
    won_or_lost = set(losses.tolist()) <= {0.0, 1.0}  # the points themselves show nothing
    averaged = len(at) >= MANY and (won_or_lost or is_noisy(losses))
    if not (averaged and won_or_lost):
        lines.append(series(at, losses, "training", opacity=0.35 if averaged else 1.0, width=0.9, marker=few(at)))
    if averaged:
        width = len(at) // (8 if won_or_lost else 20)
        name = f"training, mean of {width} recorded steps"
        lines.append(series(at, moving_mean(losses, width), name, width=1.8))
    seen_at, seen = points(run.observed, "validation_loss")
    if len(seen_at):
        lines.append(series(seen_at, seen, "validation", "orange", marker="o", size=3))
    positive = bool((losses > 0).all() and (seen > 0).all())
    about = "Training loss at each recorded step" + ", and validation loss." if len(seen_at) else "Training loss."
    marks = [replace(mark, name="") for mark in events(run)]
    bands = broken((run.steps, "loss"), (run.observed, "validation_loss"))
    return View("loss", "Loss", STEP, Scale("loss", log=positive), tuple(lines), bands, tuple(marks), about=about)


@view(Run, place=40)
def figures(run: Run) -> list[View]:
    """Every figure of the validations; accuracies first, and in percent."""
    names = [name for name in named(run.observed) if name not in ELSEWHERE]
    if run.observed is run.steps:
        names = [name for name in names if name == "accuracy"]
    return [figure(run.observed, name) for name in sorted(names, key=lambda name: name != "accuracy")]


@view(Run, place=50)
def details(run: Run) -> list[View]:
    """The other records of the steps: norms, and ratios of each layer on one pair of axes."""
    names = [name for name in named(run.steps) if name not in ("step", "position", "loss", "rate", *ELSEWHERE)]
    if run.observed is run.steps:
        names = [name for name in names if name != "accuracy"]
    by_signal: dict[str, list[str]] = {}
    for name in names:
        by_signal.setdefault(name.partition("/")[0], []).append(name)
    by_signal.pop("rate", None)
    return [detail(run.steps, signal, members) for signal, members in by_signal.items()]


def figure(lines: Lines, name: str) -> View:
    """A figure of the validations."""
    scale, unit = (100, " %") if name == "accuracy" else (1, "")
    words = shortened(name.replace("_", " ").strip(), 40)
    at, values = points(lines, name)
    values = scale * values
    bands = broken((lines, name))
    last = "not finite" if bands else f"{values[-1]:.2f}{unit}" if unit else f"{values[-1]:.4g}"
    upwards = Scale(f"validation {words}{' (%)' if unit else ''}", high=101 if unit else None)
    shown = series(at, values, words, "orange", marker="o", size=3)
    title = words[:1].upper() + words[1:]
    note, about = Note(float(at[-1]), float(values[-1]), last), f"{title} at each validation; {last} at the last."
    notes, legend = ((), "best") if bands else ((note,), "none")
    return View(f"figure/{name}", title, STEP, upwards, (shown,), bands, notes=notes, legend=legend, about=about)


def detail(lines: Lines, signal: str, names: Sequence[str]) -> View:
    """A signal of the steps; of one with members such as layers all of them."""
    drawn: list[Series] = []
    for number, name in enumerate(names):
        at, values = points(lines, name)
        colour = ("blue", "orange", "green", "purple", "red", "slate", "teal", "brown")[number % 8]
        drawn.append(series(at, values, name.partition("/")[2] or name.replace("_", " "), colour, width=1.2))
    positive = all(y > 0 for line in drawn for y in line.y)
    words = shortened(signal.replace("_", " ").strip(), 40)
    title = words[:1].upper() + words[1:] + (" by member" if len(names) > 1 else "")
    about = f"{title} at each recorded step."
    bands = broken(*((lines, name) for name in names))
    legend = "best" if len(names) > 1 or bands else "none"
    upwards = Scale(words, log=positive)
    return View(f"detail/{signal}", title, STEP, upwards, tuple(drawn), bands, legend=legend, about=about)


def points(lines: Lines, name: str) -> tuple[Any, Any]:
    """Steps and values of a name, where there is one."""
    seen = [(line["step"], line[name]) for line in lines if isinstance(line.get(name), int | float)]
    return np.array([step for step, _ in seen], float), np.array([value for _, value in seen], float)


def broken(*of: tuple[Lines, str]) -> tuple[Band, ...]:
    """The steps from which on values were not finite, up to the last line: an axis that ended there would hide it."""
    courses = [(lines, course) for lines, name in of if (course := course_of(lines, name)) is not None]
    begun = [(course.broken, lines[-1]["step"]) for lines, course in courses if course.broken is not None]
    if not begun:
        return ()
    low = min(at for at, _ in begun)
    return (Band("x", low, max(low + 1, *(end for _, end in begun)), f"not finite from step {low:g} on", "red", 0.1),)


def named(lines: Lines) -> list[str]:
    """The names that have a number in one of the lines, in order."""
    found: dict[str, None] = {}
    for line in lines:
        found |= {name: None for name, value in line.items() if isinstance(value, int | float) and name not in found}
    return list(found)


def events(run: Run, *, named: int = NAMED) -> list[Mark]:
    """A mark for each event: changes by hand with what they changed, of the others the first of a kind named.

    Args:
        run: whose.
        named: how many changes by hand get a name; of more, their number is given.
    """
    marks: list[Mark] = []
    by_hand = [event for event in run.events if "after" in event]
    known: set[str] = set()
    for number, event in enumerate(by_hand):
        more = f"… and {len(by_hand) - named} more changes" if number == named and named else ""
        name = _changed(event) if number < named else more
        marks.append(Mark("x", event["step"], name, "purple", "dotted", 1.4))
    for event in (event for event in run.events if "after" not in event):
        what = str(event.get("what", ""))
        words = "feedback changes the rate" if what == "feedback" else what
        marks.append(Mark("x", event["step"], "" if what in known else words, style="dotted"))
        known.add(what)
    return marks


def _changed(event: Mapping[str, Any]) -> str:
    """``scale 0.5 at step 40: 0.1 → 0.05``."""
    numbers = [event.get(name) for name in ("value", "before", "after")]
    value, before, after = (f"{number:.3g}" if isinstance(number, int | float) else "" for number in numbers)
    group = f" of {event['group']}" if event.get("group", "*") != "*" else ""
    change = f"{before} → {after}" if before else after
    return shortened(f"{event.get('what', 'changed')} {value}{group}".strip(), 30) + f", step {event['step']}: {change}"


def few(at: Any) -> str:
    """A marker where the points are so few that a line alone would hide them."""
    return "o" if len(at) < 5 else ""


def shortened(title: str, widest: int = WIDEST) -> str:
    """A title that fits over its view."""
    return title if len(title) <= widest else title[: widest - 1] + "…"


def found_words(rate: float, low: float, high: float, verdict: str) -> str:
    """The finding, in a sentence."""
    return f"Rate {rate:.3g}, good between {low:.3g} and {high:.3g}: {verdict}"
