"""Changes by hand during a run, as a plan that makes them from the beginning."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from stepsize.control._course import schedules_for
from stepsize.control._extend import extended, part_of
from stepsize.control._plan import Plan
from stepsize.control.steering import DONE, VERBS, About, Command, read_answers
from stepsize.optim import Clipper
from stepsize.schedule import Schedule, absolute, constant, piecewise_constant

UNREACHED = 1e18  # a clipping threshold where nothing was clipped


@dataclass(frozen=True)
class Replay:
    """A trail of commands as a plan.

    Attributes:
        plan: its text; trained anew it gives the same rates, to rounding.
        total: the run's length with it; None where it has none.
        commands: how many are in it.
        left_out: of each that no plan can say: its id, its verb and why.
    """

    plan: str
    total: float | None
    commands: int
    left_out: tuple[tuple[str, str, str], ...]


class Change(NamedTuple):
    """A command that took effect, with the clock then."""

    position: float
    command: Command


def replay(folder: Path | str) -> Replay:
    """The commands that took effect in a run, as a plan that does the same from the beginning.

    A factor becomes a product with ``piecewise_constant(...)``, a held rate a piece of its own, cool-downs and
    extensions the schedule that they made.

    Args:
        folder: of a run that was steered.

    Raises:
        ValueError: no run in it was steered, or its plan has a Python function, which has no text.
        OSError: its files are a link or another user's.

    Example:
        >>> import torch
        >>> from stepsize import Control, Steer
        >>> from stepsize.control import replay
        >>> weight = torch.ones(1, requires_grad=True)
        >>> control = Control(torch.optim.SGD([weight], lr=0.5), lr="linear()", total=10, steer="runs/a", remind=False)
        >>> _ = control.step()
        >>> _ = Steer("runs/a").scale(0.5, at=4)
        >>> while control.position < 10:
        ...     _ = control.step()
        >>> print(replay("runs/a").plan)
        lr: linear(10) * piecewise_constant(at=[4], values=[1, 0.5])
    """
    begun = About.read(folder).begun
    changes, left_out = _changes(folder), []
    plan, total = Plan.parse(begun.plan), begun.total
    for change in changes:
        if change.command.verb in ("extend", "cooldown"):
            end, how = _end(change, total)
            plan, total = extended(plan, change.position, total, end, how), end
    courses: dict[str, Any] = {}
    for name, bases in begun.bases.items():
        of_this = [change for change in changes if VERBS[change.command.verb].grouped and change.command.of == name]
        fits, misses = _sorted_out(plan, of_this, name, bases)
        left_out += misses
        courses[name] = _course(plan, name, begun.groups, bases, fits, total)
    clips = [change for change in changes if change.command.verb == "clip"]
    left_out += [
        (change.command, "a plan says nothing of it") for change in changes if VERBS[change.command.verb].by_loop
    ]
    parts = {**plan.parts(lambda _, schedule: schedule), **courses, "clip": _clip(plan.clip, clips)}
    reasons = tuple((command.id, command.verb, why) for command, why in left_out)
    return Replay(str(Plan(**parts)), total, len(changes) - len(reasons), reasons)


def _changes(folder: Path | str) -> list[Change]:
    """The commands that took effect, in that order."""
    answers = read_answers(folder)
    taken = {answer.line: answer.command for answer in answers if answer.command}
    done = {answer.line: answer for answer in answers if answer.state == DONE and answer.line in taken}
    ordered = sorted(done.values(), key=lambda answer: (answer.step, answer.line))
    return [Change(answer.position, Command(**taken[answer.line])) for answer in ordered]


def _end(change: Change, total: float | None) -> tuple[float, str]:
    """The run's length after a command, and how it comes to it."""
    value = change.command.value or 0.0
    if change.command.verb == "cooldown" or total is None:
        return change.position + value, "cooldown"
    return total + value, change.command.how or "stretch"


def _sorted_out(
    plan: Plan, changes: Iterable[Change], name: str, bases: Mapping[str, float]
) -> tuple[list[Change], list[tuple[Command, str]]]:
    """The changes that schedules can say, and the others with the reason."""
    fits, misses = [], []
    bound = [] if name != "lr" else [*plan.bounds, *([] if plan.feedback is None else ["feedback"])]
    for change in changes:
        zero = any(bases[group] == 0 for group in _groups(change.command, bases))
        if change.command.verb in ("set", "release") and bound:
            misses.append((change.command, f"a rate held by a schedule is not free of the plan's {bound[0]}"))
        elif change.command.verb in ("set", "rebase") and zero:
            misses.append((change.command, "no factor moves a base of 0"))
        else:
            fits.append(change)
    return fits, misses


def _groups(command: Command, bases: Mapping[str, float]) -> list[str]:
    return [name for name in bases if command.group == name or fnmatchcase(name, command.group)]


def _course(
    plan: Plan, name: str, groups: Sequence[str], bases: Mapping[str, float], changes: list[Change], total: float | None
) -> Any:
    """The schedules of one hyperparameter: one for all groups, or by their names."""
    course = plan.courses[name]
    if not changes:
        return course
    every = dict(zip(groups, schedules_for(name, course, list(groups)), strict=True))
    found: dict[str, Schedule | None] = {}
    for group in groups:
        schedule, base = every[group], bases.get(group)
        of_group = [change for change in changes if group in _groups(change.command, bases)]
        found[group] = None if schedule is None or base is None else _steered(schedule, base, of_group, total)
    texts = {str(schedule) for schedule in found.values()}
    return next(iter(found.values())) if len(texts) == 1 else found


def _steered(schedule: Schedule, base: float, changes: list[Change], total: float | None) -> Schedule:
    """One group's schedule with what was done to it by hand."""
    factor, held, now = 1.0, None, base
    factors: dict[float, float] = {}
    holds: dict[float, float | None] = {}
    for position, command in changes:
        if command.verb == "scale":
            factor *= command.value or 0.0
        elif command.verb == "rebase":
            factor, now = factor * (command.value or 0.0) / now if now else 0.0, command.value or 0.0
        else:
            held = command.value
            holds[position] = held
        factors[position] = factor
    at = sorted(position for position in factors if position > 0)
    values = [factors.get(0.0, 1.0), *(factors[position] for position in at)]
    if any(value != 1 for value in values):
        kept = [i for i in range(len(at)) if values[i + 1] != values[i]]
        steps = piecewise_constant(at=[at[i] for i in kept], values=[values[0], *(values[i + 1] for i in kept)])
        schedule = schedule * (steps if kept else constant(value=values[0]))
    return schedule if not holds else _held(schedule, base, holds, total)


def _held(schedule: Schedule, base: float, holds: Mapping[float, float | None], total: float | None) -> Schedule:
    """A schedule with pieces in which the value is held."""
    ordered = sorted(holds)
    changed = [at for place, at in enumerate(ordered) if holds[at] != (holds[ordered[place - 1]] if place else None)]
    edges = sorted({0.0, *changed})
    whole: Schedule | None = None
    value: float | None = None
    for place, start in enumerate(edges):
        value = holds.get(start, value)
        last = place + 1 == len(edges)
        length = (None if total is None else total - start) if last else edges[place + 1] - start
        if length is not None and not length > 0:
            break
        if value is None:
            piece = part_of(schedule, start, length)
        elif schedule.is_absolute:
            piece = absolute(constant(length, value=value))
        else:
            piece = constant(length, value=value / base)
        whole = piece if whole is None else whole >> piece
    return schedule if whole is None else whole


def _clip(way: Any, changes: list[Change]) -> Any:
    """The clipping with its thresholds changed."""
    if not changes:
        return way
    thresholds = {change.position: change.command.value or 0.0 for change in changes}
    before = way.threshold if isinstance(way, Clipper) else UNREACHED if way is None else way
    at = sorted(position for position in thresholds if position > 0)
    first = thresholds.get(0.0)
    values = [thresholds[position] for position in at]
    if isinstance(before, Schedule) and first is None and at:
        now: Any = part_of(before, 0.0, at[0])
        for place, value in enumerate(values):
            now = now >> constant(at[place + 1] - at[place] if place + 1 < len(at) else None, value=value)
    else:
        start: Any = before if first is None else first
        now = piecewise_constant(at=at, values=[start, *values]) if at else start
    return way.with_threshold(now) if isinstance(way, Clipper) else now
