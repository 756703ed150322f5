"""A run at a glance: where it stands, as lines of text for a terminal of any width."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from stepsize import _check
from stepsize.record import Course, Standing
from stepsize.watch._chart import BLOCKS, PLAIN, bars, columns_of

Part = tuple[str, str]  # a text and its style: "", "bold", "dim", "good", "bad"
Line = list[Part]

NAMES = 11  # columns of the names at the left
WORST, EVENTS = 3, 5  # layers, events
SHORTEST = 12  # columns of a run's name
VALUE = 5  # columns more for a name with a value
EDGE = 10  # columns of a curve's limits at the right
ROWS = 3  # of a curve
SHOWN = ("gradient_norm", "clipped", "curvature", "decrease_ratio", "update_ratio")  # the others come after these
GOOD, BAD = ("finished",), ("diverged", "failed")


def face_of(standing: Standing, width: int, rows: int = ROWS, plain: bool = False) -> list[Line]:
    """Where a run stands, as lines no wider than the terminal.

    Args:
        standing: of the run.
        width: columns, from 40 on.
        rows: of each curve.
        plain: characters of ASCII alone.

    Example:
        >>> from stepsize.record import Standing
        >>> from stepsize.watch._face import face_of
        >>> for line in face_of(Standing("runs/a", "digits", "running", 25, 25.0, 100.0, 12.0), 60, plain=True):
        ...     print("".join(text for text, _ in line).rstrip())
        runs/a  digits  running
        step       25 of 100, 25 %, 12 s to go  #####---------------
    """
    width = max(40, width)
    lines = [_head(standing, width), _progress(standing, width, plain)]
    wide = width >= 2 * 70
    inner = (width - 2) // 2 if wide else width
    blocks = PLAIN if plain else BLOCKS
    loss = _curve("loss", standing, inner, rows, blocks)
    rate = _rate(standing, inner, rows, blocks, plain)
    lines += _beside(loss, rate, inner) if wide else [*loss, *rate]
    lines += [_seen(name, course, width, blocks) for name, course in standing.seen.items()]
    lines += _figures(standing.figures, width)
    lines += _layers(standing.ratios, width)
    for index, text in enumerate(standing.events[-EVENTS:]):
        lines.append([(_name("" if index else "events"), "dim"), (text, _weight(text))])
    return [_cut(line, width) for line in lines]


def line_of(standing: Standing) -> str:
    """Where a run stands, in one line for a file or a pipe.

    Args:
        standing: of the run.

    Example:
        >>> from stepsize.record import Standing
        >>> from stepsize.watch._face import line_of
        >>> line_of(Standing("runs/a", "digits", "running", 25, 25.0, 100.0, 12.0, rates={"": 0.1}))
        'step 25 of 100, 25 %, 12 s to go  rate 0.1'
    """
    parts = [f"step {_how_far(standing)}"]
    if standing.loss is not None:
        parts.append(f"loss {_number(standing.loss.last)}")
    parts += [f"rate{' ' + name if name else ''} {_number(value)}" for name, value in _rates(standing.rates).items()]
    parts += [f"{name} {_number(course.last)}" for name, course in standing.seen.items()]
    parts += [f"{name} {_number(standing.figures[name])}" for name in SHOWN if name in standing.figures]
    return "  ".join(parts)


def _head(standing: Standing, width: int) -> Line:
    """Its name, cut at the left where there is no room for the rest."""
    style = "good" if standing.status in GOOD else "bad" if standing.status.startswith(BAD) else "bold"
    task = [(f"  {standing.task}", "")] if standing.task else []
    note = [(f"  {standing.note}", "bad")] if standing.note else []
    rest = [*task, (f"  {standing.status}", style), *note]
    room = max(width - sum(len(text) for text, _ in rest), SHORTEST)
    name = standing.name if len(standing.name) <= room else f"..{standing.name[2 - room :]}"
    return [(name, "bold"), *rest]


def _progress(standing: Standing, width: int, plain: bool) -> Line:
    text = _how_far(standing)
    room = min(40, width - NAMES - len(text) - 2)
    line: Line = [(_name("step"), "dim"), (text, "")]
    if standing.total and room >= 8:
        filled = round(room * min(1.0, _share(standing, standing.total)))
        full, rest = "#-" if plain else "━─"
        line += [("  ", ""), (full * filled, "good"), (rest * (room - filled), "dim")]
    return line


def _how_far(standing: Standing) -> str:
    total, left = standing.total, standing.seconds_left
    if not total:
        return f"{standing.done:,}"
    share, counts_steps = _share(standing, total), _counts_steps(standing)
    far = f"{standing.done:,}{'' if counts_steps else f', {standing.position:,.0f}'} of {total:,.0f}"
    to_go = (
        f", {duration(left)} to go"
        if left is not None and share < 1 and not (standing.is_over or standing.note)
        else ""
    )
    return f"{far}, {min(share, 1):.0%}{to_go}".replace("%", " %")


def _counts_steps(standing: Standing) -> bool:
    """Whether the clock counts updates, and not samples or epochs; the position is that before the last line's step."""
    return 0 <= standing.done - standing.position <= max(1.0, standing.done / 2)


def _share(standing: Standing, total: float) -> float:
    return (standing.done if _counts_steps(standing) else standing.position) / total


def _curve(name: str, standing: Standing, width: int, rows: int, blocks: str) -> list[Line]:
    """The loss so far; up to where the run is, where it is not finite any more."""
    course = standing.loss
    if course is None:
        return []
    if not len(course.values):
        return [[(_name(name), "dim"), (_number(course.last), "bold")]]
    end = float(course.steps[-1]) if course.broken is None else max(float(course.steps[-1]), standing.position)
    values = columns_of(course, _room(width, rows), float(course.steps[0]), end)
    drawn = bars(values, rows, blocks)
    return _labelled(name, _number(course.last), drawn, np.nanmax(values), np.nanmin(values))


def _rate(standing: Standing, width: int, rows: int, blocks: str, plain: bool) -> list[Line]:
    """The rate so far and to come, over the whole run, and where the run is."""
    course, ahead, room = standing.rate, standing.ahead, _room(width, rows)
    if course is None:
        return []
    end = float(course.steps[-1]) if ahead is None or standing.total is None else standing.total
    values = columns_of(course, room, 0.0, end)
    now = int(np.flatnonzero(np.isfinite(values))[-1])
    if ahead is not None:
        values = np.where(np.isfinite(values), values, columns_of(ahead, room, 0.0, end))
    drawn = bars(values, rows, blocks, from_zero=True)
    lines = _labelled("rate", _number(course.values[-1]), drawn, np.nanmax(values), 0.0, now)
    if ahead is not None:
        mark, rule = "^-" if plain else "▲─"
        lines.append(
            [(_name("", rows == 1), ""), (rule * now, "dim"), (mark, "bold"), (rule * (room - now - 1), "dim")]
        )
    groups = [f"{name} {_number(value)}" for name, value in _rates(standing.rates).items() if name]
    return lines + _wrapped("groups", groups, width)


def _labelled(name: str, value: str, drawn: list[str], high: float, low: float, now: int | None = None) -> list[Line]:
    """A curve with its name and last value at the left, and its limits at the right; dim from now on."""
    left = [name, value] if len(drawn) > 1 else [f"{name} {value}"]
    right = [_number(high), *[""] * (len(drawn) - 2), _number(low)]
    lines: list[Line] = []
    for index, row in enumerate(drawn):
        text, style = (left[index], "dim" if index == 0 else "bold") if index < len(left) else ("", "")
        done, ahead = (row, "") if now is None else (row[: now + 1], row[now + 1 :])
        lines.append([(_name(text, len(drawn) == 1), style), (done, ""), (ahead, "dim"), (f" {right[index]}", "dim")])
    return lines


def _seen(name: str, course: Course, width: int, blocks: str) -> Line:
    shown, is_loss = name.replace("validation_", "val ").replace("_", " "), name.endswith("loss")
    line: Line = [(_name("validated"), "dim"), (f"{shown} ", "dim")]
    if not len(course.values):
        return [*line, (_number(course.last), "bold")]
    best = int(np.argmin(course.values) if is_loss else np.argmax(course.values))
    text = _number(course.last)
    if best != len(course.values) - 1 or course.broken is not None:
        text += f", {'lowest' if is_loss else 'highest'} {_number(course.values[best])} at {course.steps[best]:g}"
    room = min(30, width - NAMES - len(shown) - len(text) - 3)
    line.append((text, "bold"))
    if room >= 8 and len(course.values) > 1:
        columns = columns_of(course, room, float(course.steps[0]), float(course.steps[-1]))
        line.append((f"  {bars(columns, 1, blocks)[0]}", ""))
    return line


def _figures(figures: Mapping[str, float], width: int) -> list[Line]:
    names = [name for name in SHOWN if name in figures] + sorted(set(figures) - set(SHOWN))
    return _wrapped("signals", [f"{name.replace('_', ' ')} {_number(figures[name])}" for name in names], width)


def _layers(ratios: Sequence[tuple[str, float]], width: int) -> list[Line]:
    """The layers whose updates are largest beside their weights, and the one whose are smallest."""
    if not ratios:
        return []
    largest = ratios[: min(WORST, len(ratios))]
    texts = [f"{name} {_number(value)}" for name, value in largest]
    if len(ratios) > WORST:
        texts.append(f"... {ratios[-1][0]} {_number(ratios[-1][1])}")
    return _wrapped("update of", texts, width)


def _wrapped(name: str, texts: Sequence[str], width: int) -> list[Line]:
    """Texts beside each other, on as many lines as they need."""
    rows: list[str] = []
    for text in texts:
        if rows and len(rows[-1]) + 3 + len(text) <= width - NAMES:
            rows[-1] += f"   {text}"
        else:
            rows.append(text)
    return [[(_name(name if not index else ""), "dim"), (row, "")] for index, row in enumerate(rows)]


def _beside(first: list[Line], second: list[Line], width: int) -> list[Line]:
    rows = max(len(first), len(second))
    padded = [_cut(line, width, pad=True) for line in [*first, *[[]] * rows][:rows]]
    return [[*left, ("  ", ""), *right] for left, right in zip(padded, [*second, *[[]] * rows], strict=False)]


def _cut(line: Line, width: int, pad: bool = False) -> Line:
    """A line in so many columns, without what no terminal shows as it is."""
    parts, room = list[Part](), width
    for text, style in line:
        text = _check.printable(text)[:room]
        room -= len(text)
        parts.append((text, style))
    return [*parts, (" " * room, "")] if pad else parts


def _rates(rates: Mapping[str, float]) -> dict[str, float]:
    """Of several groups each one's, of one alone its."""
    named = {name: value for name, value in rates.items() if name}
    return named if len(named) > 1 else dict(list(rates.items())[:1])


def _weight(text: str) -> str:
    return "bad" if text.partition(": ")[2].startswith(("error", "warning")) else ""


def _name(text: str, with_value: bool = False) -> str:
    return f"{text:{NAMES + VALUE if with_value else NAMES}s}"


def _room(width: int, rows: int) -> int:
    """Columns of a curve, whose last value stands before it where it has one row only."""
    return width - NAMES - EDGE - (VALUE if rows == 1 else 0)


def _number(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "not finite"


def duration(seconds: float) -> str:
    """A length of time for people.

    Args:
        seconds: of it.

    Example:
        >>> from stepsize.watch import duration
        >>> duration(9.6), duration(75), duration(7300), duration(200_000)
        ('10 s', '1:15 min', '2:01 h', '2 d 7 h')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    if whole < 86400:
        return f"{whole // 3600}:{whole % 3600 // 60:02d} h"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"
