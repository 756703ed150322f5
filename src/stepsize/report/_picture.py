"""One picture of a run folder: how the rate was found, the schedule as applied, the losses, the accuracy."""

import math
import textwrap
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from stepsize import _check
from stepsize.record import PICTURE
from stepsize.report._bowl import BLUE, GREY, RED
from stepsize.report._panels import ORANGE, Bowl, Lines, Panel, is_noisy, moving_mean, success
from stepsize.report._record import Drawn, read_record
from stepsize.views import figure, plain, save

COLUMNS = {1: 1, 2: 2, 4: 2}  # by the number of panels; else three
LONGEST = 400  # characters of a picture's title
WIDEST = 75  # characters of a panel's title
MANY = 40  # recorded losses from which on their mean is drawn too
LOSS = "training loss"  # what is scored, unless a task says otherwise
FIGURES = 2  # validation figures of a task's own that are drawn
SHOWN = {"step", "position", "validation_loss", "success", "optimum", "distance", "x1", "x2"}  # drawn elsewhere


def picture(folder: Path | str) -> Path:
    """Draw the run in a folder, from its own files, into ``picture.png`` beside them.

    Args:
        folder: a run folder with ``run.json``, and ``metrics.jsonl`` or ``finding.json`` or both. Validation figures
            are read from ``validation.jsonl``, or from among the metrics. What is damaged is left out, and said in a
            ``RecordWarning``.

    Returns:
        The picture's path.

    Raises:
        ValueError: the folder holds no run, or nothing of it can be drawn.
        ImportError: matplotlib is not installed.

    Example:
        >>> import tempfile
        >>> from stepsize import Record
        >>> from stepsize.report import picture
        >>> from stepsize import JsonLines, RunFolder
        >>> with tempfile.TemporaryDirectory() as root:
        ...     run = RunFolder.fresh("digits", root)
        ...     run.write(task="digits")
        ...     lines = JsonLines(run.path / "metrics.jsonl")
        ...     for step in range(10):
        ...         lines.on(Record(step, step, values={"loss": 1 / (step + 1), "rate": 0.1}))
        ...     lines.close()
        ...     picture(run.path).name
        'picture.png'
    """
    folder = Path(folder)
    record = read_record(folder)
    facts = record.facts
    panels = _panels(record)
    if not panels:
        raise ValueError(_check.message("folder", str(folder), "a run folder with something to draw"))
    columns = COLUMNS.get(len(panels), 3)
    rows = math.ceil(len(panels) / columns)
    sheet = figure(5.6 * columns, 3.6 * rows + 0.4)
    sheet.suptitle(plain(textwrap.fill(_title(facts)[:LONGEST], 46 * columns)), fontsize=12)
    for number, panel in enumerate(panels, 1):
        ax = sheet.add_subplot(rows, columns, number)
        panel(ax)
        ax.grid(alpha=0.25)
        ax.spines[["top", "right"]].set_visible(False)
    path = folder / PICTURE
    save(sheet, path)
    return path


def _panels(record: Drawn) -> list[Panel]:
    facts, lines = record.facts, record.lines
    bowl = Bowl.of(facts)
    panels: list[Panel] = [] if bowl is None else bowl.panels(lines)
    if any(line.get("success") is not None for line in lines):
        panels.append(lambda ax: success(ax, lines))
    finding = record.finding
    if finding is not None:
        panels.append(lambda ax: _evidence(ax, finding, bowl))
    if any(line.get("rate") is not None for line in record.steps):
        panels.append(lambda ax: _rates(ax, record.steps, facts, bowl))
    if any(line.get("loss") is not None for line in record.steps):
        panels.append(lambda ax: _losses(ax, record))
    names = {name: None for line in record.seen for name, value in line.items() if _is_figure(name, value)}
    panels += [partial(_figure, lines=record.seen, name=name) for name in ["accuracy"] * ("accuracy" in names)]
    own = [name for name in names if name != "accuracy"] if record.seen is not record.steps else []
    return panels + [partial(_figure, lines=record.seen, name=name) for name in own[:FIGURES]]


def _is_figure(name: str, value: Any) -> bool:
    return name not in SHOWN and isinstance(value, int | float)


def _title(facts: Mapping[str, Any]) -> str:
    parts = [str(facts.get("task", "run"))]
    if facts.get("rate"):
        parts.append(f"rate {facts['rate']:.3g}")
    metrics = {name: value for name, value in (facts.get("metrics") or {}).items() if value is not None}
    if math.isfinite(metrics.get("accuracy", math.nan)):
        parts.append(f"validation accuracy {metrics['accuracy']:.2%}")
    if {"success", "optimum"} <= set(metrics):
        parts.append(f"success {metrics['success']:.3f} of {metrics['optimum']:.3f}")
    if facts.get("status", "finished") != "finished":
        parts.append(facts["status"])
    return "  ·  ".join([*parts, f"seed {facts['seed']}"] if "seed" in facts else parts)


def _evidence(ax: Any, finding: dict[str, Any], bowl: Bowl | None) -> None:
    """Score against rate, a line for each length of short run, the chosen rate and its interval marked."""
    trials = finding["trials"]
    lengths = sorted({trial["steps"] for trial in trials})
    scores = [trial["score"] for trial in trials if trial["score"] is not None]
    top = 1.6 * finding["initial"] if finding["initial"] else max(scores, default=1.0)
    for index, length in enumerate(lengths):
        shade = 0.35 + 0.65 * (index + 1) / len(lengths)
        of_length = sorted((trial["rate"], trial["score"]) for trial in trials if trial["steps"] == length)
        points = [(rate, top if score is None else min(score, top)) for rate, score in of_length]
        ax.plot(*zip(*points, strict=True), "o-", color=BLUE, alpha=shade, markersize=4.5, label=f"{length} steps")
        over = [(rate, top) for rate, score in of_length if score is None or score > top]
        if over:
            ax.plot(*zip(*over, strict=True), "^", color=RED, markersize=7)
    if finding["initial"]:
        ax.axhline(finding["initial"], color=GREY, linewidth=0.9, linestyle="--", label="before training")
    if finding["rate"]:
        ax.axvspan(finding["low"], finding["high"], color=ORANGE, alpha=0.15, linewidth=0)
        ax.axvline(finding["rate"], color=ORANGE, linewidth=2, label=f"chosen {finding['rate']:.3g}")
    what = finding.get("scored", LOSS)
    ax.set(xscale="log", xlabel="learning rate", ylabel=plain(f"{what} after a short run"))
    ax.set_yscale("linear" if what != LOSS or min(scores, default=1.0) <= 0 else "log")  # what is missed may be 0
    ax.set_title("How the rate was found", fontsize=10)
    ax.legend(fontsize=8)  # where it covers least
    if bowl is not None:
        bowl.mark_evidence(ax)


def _rates(ax: Any, lines: list[dict[str, Any]], facts: dict[str, Any], bowl: Bowl | None) -> None:
    steps = [line for line in lines if line.get("rate") is not None]
    ax.plot(
        [line["step"] for line in steps],
        [line["rate"] for line in steps],
        color=BLUE,
        linewidth=2,
        marker=_marker(steps),
    )
    ax.set(xlabel="step", ylabel="learning rate", ylim=(0, None))
    schedule = str(facts.get("plan", "")).partition("lr: ")[2].partition("\n")[0]
    steered = ", with feedback" if "\nfeedback: " in str(facts.get("plan", "")) else ""
    ax.set_title(
        plain(_shortened("The rate as applied" + (f": {schedule}" if schedule else "") + steered)), fontsize=10
    )
    if bowl is not None:
        bowl.mark_rate(ax)


def _shortened(title: str, widest: int = WIDEST) -> str:
    return title if len(title) <= widest else title[: widest - 1] + "…"


def _marker(lines: list[dict[str, Any]]) -> str:
    return "o" if len(lines) < 5 else ""


def _losses(ax: Any, record: Drawn) -> None:
    steps = [line for line in record.steps if line.get("loss") is not None]
    at, losses = np.array([line["step"] for line in steps]), np.array([float(line["loss"]) for line in steps])
    won_or_lost = set(losses.tolist()) <= {0.0, 1.0}  # the points themselves show nothing
    averaged = len(steps) >= MANY and (won_or_lost or is_noisy(losses))
    if not (averaged and won_or_lost):
        faint = 0.35 if averaged else 1.0
        ax.plot(at, losses, color=BLUE, linewidth=0.9, alpha=faint, marker=_marker(steps), label="training")
    if averaged:
        width = len(steps) // (8 if won_or_lost else 20)
        label = f"training, mean of {width} recorded steps"
        ax.plot(at, moving_mean(losses, width), color=BLUE, linewidth=1.8, label=label)
    seen = [line for line in record.seen if line.get("validation_loss") is not None]
    if seen:
        at_seen = [line["step"] for line in seen]
        ax.plot(
            at_seen, [line["validation_loss"] for line in seen], "o-", color=ORANGE, markersize=3, label="validation"
        )
    for number, step in enumerate(record.cuts):
        name = None if number else "feedback changes the rate"
        ax.axvline(step, color=GREY, linewidth=1, linestyle=":", label=name)
    if (losses > 0).all():
        ax.set_yscale("log")
    ax.set(xlabel="step", ylabel="loss")
    ax.set_title("Loss", fontsize=10)
    ax.legend(fontsize=8)


def _figure(ax: Any, lines: Lines, name: str) -> None:
    """A validation figure; accuracies in percent."""
    seen = [line for line in lines if line.get(name) is not None]
    scale, unit = (100, " %") if name == "accuracy" else (1, "")
    words = plain(_shortened(name.replace("_", " ").strip(), 40))
    at, values = [line["step"] for line in seen], [scale * line[name] for line in seen]
    ax.plot(at, values, "o-", color=ORANGE, markersize=3)
    last = f"{values[-1]:.2f}{unit}" if unit else f"{values[-1]:.4g}"
    ax.annotate(last, (at[-1], values[-1]), xytext=(-4, -14), textcoords="offset points", ha="right")
    ax.set(xlabel="step", ylabel=f"validation {words}{' (%)' if unit else ''}")
    if unit:
        ax.set_ylim(None, 101)
    ax.set_title(words[:1].upper() + words[1:], fontsize=10)
