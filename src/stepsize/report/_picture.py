"""One picture of a run folder: how the rate was found, the schedule as applied, the losses, the accuracy."""

import json
import math
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stepsize import _check
from stepsize.draw import figure

BLUE, ORANGE, RED, GREY = "#1f5fa8", "#e0812a", "#b8232f", "#8a8f98"
Panel = Callable[[Any], None]


def picture(folder: Path | str) -> Path:
    """Draw the run in a folder, from its own files, into ``picture.png`` beside them.

    Args:
        folder: a run folder with ``run.json``, and ``metrics.jsonl`` or ``finding.json`` or both. Validation figures
            are read from ``validation.jsonl``, or from among the metrics.

    Returns:
        The picture's path.

    Raises:
        ValueError: the folder holds no run, or nothing of it can be drawn.
        ImportError: matplotlib is not installed.

    Example:
        >>> import tempfile
        >>> from stepsize.report import picture
        >>> from stepsize.watch import JsonLines, RunFolder
        >>> with tempfile.TemporaryDirectory() as root:
        ...     run = RunFolder.fresh("digits", root)
        ...     run.write(task="digits")
        ...     lines = JsonLines(run.path / "metrics.jsonl")
        ...     for step in range(10):
        ...         lines.on_step({"step": step, "loss": 1 / (step + 1), "rate": 0.1})
        ...     lines.close()
        ...     picture(run.path).name
        'picture.png'
    """
    folder = Path(folder)
    if not (folder / "run.json").is_file():
        raise ValueError(_check.message("folder", str(folder), "a run folder", "one with a run.json"))
    facts = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    panels = _panels(folder, facts)
    if not panels:
        raise ValueError(_check.message("folder", str(folder), "a run folder with something to draw"))
    columns = min(2, len(panels))
    rows = math.ceil(len(panels) / columns)
    sheet = figure(5.6 * columns, 3.6 * rows + 0.4)
    sheet.suptitle(textwrap.fill(_title(facts), 46 * columns), fontsize=12)
    for number, panel in enumerate(panels, 1):
        ax = sheet.add_subplot(rows, columns, number)
        panel(ax)
        ax.grid(alpha=0.25)
        ax.spines[["top", "right"]].set_visible(False)
    path = folder / "picture.png"
    sheet.savefig(path, dpi=130)
    return path


def _panels(folder: Path, facts: dict[str, Any]) -> list[Panel]:
    panels: list[Panel] = []
    if (folder / "finding.json").is_file():
        finding = json.loads((folder / "finding.json").read_text(encoding="utf-8"))
        panels.append(lambda ax: _evidence(ax, finding))
    lines = [line for name in ("metrics.jsonl", "validation.jsonl") for line in _lines(folder / name)]
    if any("rate" in line for line in lines):
        panels.append(lambda ax: _rates(ax, lines, facts))
    if any(line.get("loss") is not None for line in lines):
        panels.append(lambda ax: _losses(ax, lines))
    if any("accuracy" in line for line in lines):
        panels.append(lambda ax: _accuracy(ax, lines))
    return panels


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _title(facts: dict[str, Any]) -> str:
    parts = [str(facts.get("task", "run"))]
    if facts.get("rate"):
        parts.append(f"rate {facts['rate']:.3g}")
    accuracy = (facts.get("metrics") or {}).get("accuracy")
    if accuracy is not None:
        parts.append(f"validation accuracy {accuracy:.2%}")
    if facts.get("status") not in (None, "finished"):
        parts.append(str(facts["status"]))
    return "  ·  ".join([*parts, f"seed {facts['seed']}"] if "seed" in facts else parts)


def _evidence(ax: Any, finding: dict[str, Any]) -> None:
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
    ax.set(xscale="log", yscale="log", xlabel="learning rate", ylabel="training loss after a short run")
    ax.set_title("How the rate was found", fontsize=10)
    ax.legend(fontsize=8, loc="lower left")


def _rates(ax: Any, lines: list[dict[str, Any]], facts: dict[str, Any]) -> None:
    steps = [line for line in lines if "rate" in line]
    ax.plot(
        [line["step"] for line in steps],
        [line["rate"] for line in steps],
        color=BLUE,
        linewidth=2,
        marker=_marker(steps),
    )
    ax.set(xlabel="step", ylabel="learning rate", ylim=(0, None))
    schedule = str(facts.get("plan", "")).partition("lr: ")[2].partition("\n")[0]
    ax.set_title("The schedule as applied" + (f": {schedule}" if schedule else ""), fontsize=10)


def _marker(lines: list[dict[str, Any]]) -> str:
    return "o" if len(lines) < 5 else ""


def _losses(ax: Any, lines: list[dict[str, Any]]) -> None:
    steps = [line for line in lines if line.get("loss") is not None]
    at, losses = [line["step"] for line in steps], [line["loss"] for line in steps]
    ax.plot(at, losses, color=BLUE, linewidth=0.9, marker=_marker(steps), label="training")
    seen = [line for line in lines if line.get("validation_loss") is not None]
    if seen:
        at = [line["step"] for line in seen]
        ax.plot(at, [line["validation_loss"] for line in seen], "o-", color=ORANGE, markersize=3, label="validation")
    if all(line["loss"] > 0 for line in steps):
        ax.set_yscale("log")
    ax.set(xlabel="step", ylabel="loss")
    ax.set_title("Loss", fontsize=10)
    ax.legend(fontsize=8)


def _accuracy(ax: Any, lines: list[dict[str, Any]]) -> None:
    seen = [line for line in lines if line.get("accuracy") is not None]
    at, values = [line["step"] for line in seen], [100 * line["accuracy"] for line in seen]
    ax.plot(at, values, "o-", color=ORANGE, markersize=3)
    ax.annotate(f"{values[-1]:.2f} %", (at[-1], values[-1]), xytext=(-4, -14), textcoords="offset points", ha="right")
    ax.set(xlabel="step", ylabel="validation accuracy (%)", ylim=(None, 101))
    ax.set_title("Accuracy", fontsize=10)
