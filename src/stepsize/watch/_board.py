"""TensorBoard besides its curves: layouts of charts, settings, histograms, and texts."""

import mmap
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import torch

from stepsize.control import Record, Signal, due
from stepsize.control.signals import Update

Layout = dict[str, dict[str, list[Any]]]
LAYOUT, SETTINGS = b"custom_scalars__config__", b"_hparams_/experiment"  # TensorBoard's own tags
TOGETHER = {
    "loss": ("loss$", "loss_.*", ".*_loss$"),
    "rate": ("rate$", "rate/.*"),
}
"""The charts that come first, side by side: regular expressions of the tags in each."""


def layout_of(signals: Collection[str | Signal]) -> Layout:
    """The charts of the tab of custom scalars: loss and rate together, the other signals, and layers by themselves.

    Args:
        signals: what is written of a step.
    """
    names = dict.fromkeys(item.name if isinstance(item, Signal) else item for item in due(signals, 0))  # all are due
    whole = dict.fromkeys(name.partition("/")[0] for name in names)
    charts = {
        "training": {title: ["Multiline", list(tags)] for title, tags in TOGETHER.items()},
        "signals": {name: ["Multiline", [f"{name}$"]] for name in whole if name in names and name not in TOGETHER},
        "layers": {
            name: ["Multiline", [f"{name}/.*"]]
            for name in whole
            if name not in TOGETHER and any(other.startswith(f"{name}/") for other in names)
        },
    }
    return {category: inner for category, inner in charts.items() if inner}


def settings_of(facts: Mapping[str, Any], above: str = "") -> dict[str, bool | str | float | int]:
    """A run's facts for the tab of hyperparameters or a tracker: flat, plain, none missing.

    Args:
        facts: as observers get them.
        above: the name of what they are part of, with a slash.
    """
    plain: dict[str, bool | str | float | int] = {}
    for name, value in facts.items():
        if isinstance(value, Mapping):
            plain |= settings_of(value, f"{above}{name}/")
        elif value is not None:
            plain[above + name] = value if isinstance(value, bool | str | int | float) else str(value)
    return plain


def histograms_into(add: Callable[[str, torch.Tensor, int], Any]) -> Signal:
    """A signal that gives no number, and draws the weights and gradients of each layer instead.

    Args:
        add: called with a tag, values and a step.
    """

    def draw(update: Update) -> None:
        for name, parameter in update.parameters.items():
            for kind, values in (("weights", parameter.detach()), ("gradients", parameter.grad)):
                # of what is shared among processes there is only a part here; what is not finite has no place
                if type(values) is torch.Tensor and values.isfinite().all():
                    add(f"{kind}/{name}", values.float().cpu(), update.step)

    return Signal("histograms", draw, cost="copies")


def holds(file: Path, tag: bytes) -> bool:
    """Whether an event file has something under a tag.

    Args:
        file: written to its end, or up to where its process was killed.
        tag: as it stands in the file.
    """
    with file.open("rb") as opened:
        if not file.stat().st_size:  # which cannot be mapped
            return False
        with mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return content.find(tag) >= 0


def last_figures(figures: dict[str, float], record: Record) -> None:
    """Keep what the hyperparameters are compared by: the loss, and each validation figure, as they were last."""
    if record.kind == "observed":
        figures.update(record.values)
    elif record.kind == "step" and "loss" in record.values:
        figures["loss"] = record.values["loss"]
