"""The present state of a run for a person who watches it, as plain data."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from stepsize.record._course import Course, course_of, is_number
from stepsize.record._layout import RUNNING
from stepsize.record._run import Run
from stepsize.schedule import Schedule

OWN = ("step", "position", "loss", "rate", "seconds_left", "seconds")
AHEAD = 257  # points of the rate's course to come
RATIO = "update_ratio/"
SEEN_FIRST = ("validation_loss", "loss")  # of validations: what is drawn
_BY = re.compile(r"command [0-9a-f]{16}: |: command [0-9a-f]{16}$")  # whose an event is by; too long for a screen
_RATE = re.compile(r"^lr:[ \t]+(\S.*)$", re.MULTILINE)  # of a plan whose groups share one schedule


@dataclass(frozen=True)
class Standing:
    """A run as it stands.

    Attributes:
        name: display name.
        task: what is trained; empty where that is not known.
        status: ``"running"``, or what the run came to; empty of a log that does not say it.
        done: updates so far.
        position: the clock, up to where the run was looked at.
        total: its end; None where that is not known.
        seconds_left: to the end; None where nobody can know.
        loss: over the clock; None without one. Not finite any more where it is ``broken``.
        is_finite: whether the last loss was.
        rate: the first group's, so far.
        ahead: its course to come, if the plan says so.
        rates: the last one of each group.
        seen: validation figures over the clock, by name.
        figures: other signals' last values, by name; NaN is one that was not finite.
        ratios: the last update ratio of each parameter, those that are not finite and then the largest first.
        events: a line for each, in order.
        note: what has to be said of it, such as that it was killed.

    Example:
        >>> from stepsize.record import Standing
        >>> Standing("runs/a", "digits", "running", 25, 25.0, 100.0).seconds_left is None
        True
    """

    name: str
    task: str
    status: str
    done: int
    position: float
    total: float | None
    seconds_left: float | None = None
    loss: Course | None = None
    is_finite: bool = True
    rate: Course | None = None
    ahead: Course | None = None
    rates: Mapping[str, float] = field(default_factory=dict)
    seen: Mapping[str, Course] = field(default_factory=dict)
    figures: Mapping[str, float] = field(default_factory=dict)
    ratios: Sequence[tuple[str, float]] = ()
    events: Sequence[str] = ()
    note: str = ""

    @property
    def is_over(self) -> bool:
        """Whether it has come to something."""
        return self.status not in ("", RUNNING)


def standing_of(run: Run, name: str, pace: float | None = None) -> Standing:
    """The present state of a run.

    Args:
        run: as it was read.
        name: display name.
        pace: positions of the clock a second, if that is known.

    Example:
        >>> from stepsize import JsonLines, Record, Run
        >>> from stepsize.record import standing_of
        >>> for step in range(3):
        ...     JsonLines("metrics.jsonl").on(Record(step, step, values={"loss": 4.0 / 2**step, "rate": 0.1}))
        >>> standing = standing_of(Run.open("metrics.jsonl"), "mine")
        >>> standing.done, standing.loss.values, standing.rates
        (3, array([4., 2., 1.]), {'': 0.1})
    """
    facts, steps = run.facts, run.steps
    observed = run.observed if run.observed is not steps else ()
    last: dict[str, Any] = {}
    for line in steps:
        last |= line
    done = max([last.get("step", -1) + 1, facts.get("done", 0), *(line["step"] for line in observed)])
    position = max([_at(last) if last else 0.0, *(_at(line) for line in observed)])
    total = facts.get("total") or facts.get("steps")
    rate, loss = _course(steps, "rate"), _course(steps, "loss")
    rate = rate if rate is not None and len(rate.values) else None
    left = None if total is None else max(0.0, total - position)
    numbers = {
        key: value if is_number(value) else math.nan for key, value in last.items() if not isinstance(value, str)
    }
    ratios = [(key.removeprefix(RATIO), value) for key, value in numbers.items() if key.startswith(RATIO)]
    return Standing(
        name,
        str(facts.get("task", "")),
        str(facts.get("status", "" if "log" in facts else RUNNING)),
        int(done),
        position,
        None if total is None else float(total),
        left / pace if left is not None and pace else last.get("seconds_left"),
        loss,
        loss is None or loss.broken is None,
        rate,
        None if rate is None or total is None else _ahead(str(facts.get("plan", "")), rate, float(total)),
        {key.partition("/")[2]: value for key, value in numbers.items() if key.partition("/")[0] == "rate"},
        {key: course for key in _names(observed) if (course := _course(observed, key)) is not None},
        {key: value for key, value in numbers.items() if "/" not in key and key not in OWN},
        tuple(sorted(ratios, key=lambda ratio: (is_number(ratio[1]), -ratio[1]))),
        tuple(f"step {line['step']}: {_BY.sub('', event_text(line))}" for line in run.events),
    )


def event_text(event: Mapping[str, Any]) -> str:
    """An event in one line for people.

    Args:
        event: as it stands in a file: ``what``, and maybe ``value``, ``group``, ``reason``, ``severity``.

    Example:
        >>> from stepsize.record import event_text
        >>> event_text({"step": 5, "what": "scale", "group": "head", "value": 0.5, "reason": "noisy"})
        'scale 0.5 of head: noisy'
    """
    value = event.get("value")
    number = f" {value:.6g}" if isinstance(value, int | float) else ""
    group = f" of {event['group']}" if event.get("group") else ""
    reason = f": {event['reason']}" if event.get("reason") else ""
    severity = f"{event['severity']}: " if event.get("severity") else ""
    return f"{severity}{event['what']}{number}{group}{reason}"


def _at(line: Mapping[str, Any]) -> float:
    """The clock of a line; of logs without one, the step."""
    position = line.get("position")
    return float(position if isinstance(position, int | float) else line["step"])


def _names(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    names = dict.fromkeys(name for line in lines for name in line if name not in ("step", "position", "seconds"))
    return sorted(names, key=lambda name: SEEN_FIRST.index(name) if name in SEEN_FIRST else len(SEEN_FIRST))


def _course(lines: Sequence[Mapping[str, Any]], name: str) -> Course | None:
    return course_of(lines, name, _at)


def _ahead(plan: str, rate: Course, total: float) -> Course | None:
    """The rate from here on by the plan, if changes by hand stay: the plan's shape through the last rate."""
    found = _RATE.search(plan)
    here, now = float(rate.steps[-1]), float(rate.values[-1])
    if found is None or not total > here:
        return None
    try:
        schedule = Schedule.parse(found[1]).over(total)
        values = np.asarray(schedule(np.linspace(here, total, AHEAD)), float)
    except (TypeError, ValueError):  # it needs more than the total, or is no plain schedule
        return None
    if not values[0] > 0 or not np.isfinite(values).all():
        return None
    return Course(np.linspace(here, total, AHEAD), values * (now / values[0]))
