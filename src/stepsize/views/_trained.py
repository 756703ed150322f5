"""Drawers of what is seen of training: previews, range tests and findings."""

from typing import Any

import numpy as np

from stepsize.control import Control, Preview, Scheduler
from stepsize.probe import RangeResult
from stepsize.search import Finding
from stepsize.views._draw import drawn_on
from stepsize.views._save import plain


def whole_run(value: Any) -> Any:
    """The preview of a control's whole run; what is no control, as it is."""
    if not isinstance(value, Control | Scheduler):
        return value
    try:
        return value.preview()
    except ValueError as error:
        raise ValueError(f"{error}, as in draw(control.preview(range(1_000)))") from None


@drawn_on.register
def _preview(value: Preview, ax: Any) -> None:
    for name, rates in value.rates.items():
        ax.plot(value.positions, rates, linewidth=2, label=plain(name))
    ax.set(xlabel="step", ylabel="learning rate")
    ax.set_ylim(bottom=0)
    ax.grid(alpha=0.25)
    if len(value.rates) > 1:
        ax.legend()


@drawn_on.register
def _range_result(value: RangeResult, ax: Any) -> None:
    losses = np.array(value.curve)
    finite = losses[np.isfinite(losses)]
    if len(finite):  # the blow-up at the end must not flatten what comes before
        low, first = float(finite.min()), float(finite[0])
        ax.set_ylim(low - 0.15 * (first - low) - 1e-9, first + 0.6 * max(first - low, abs(first) * 0.1) + 1e-9)
    ax.plot(value.rates, losses, linewidth=1.5)
    suggestion = value.suggestion
    if suggestion.rate is not None:
        ax.axvline(suggestion.rate, color="tab:red", label=f"{suggestion.rule}: {suggestion.rate:.3g}")
        ax.legend()
    else:
        ax.set_title(suggestion.reason)
    ax.set(xlabel="learning rate", ylabel="loss on the probe" if value.probed else "loss", xscale="log")
    ax.grid(alpha=0.25)


@drawn_on.register
def _finding(value: Finding, ax: Any) -> None:
    by_steps: dict[int, list[tuple[float, float]]] = {}
    for run in value.results:
        by_steps.setdefault(run.steps, []).append((run.rate, run.score))
    for steps, runs in sorted(by_steps.items()):
        rates, scores = zip(*sorted(runs), strict=True)
        ax.plot(rates, scores, marker="o", linewidth=1.5, label=f"after {steps} steps")
    finite = [run.score for run in value.results if np.isfinite(run.score)]
    if finite:  # the runs that broke must not flatten the others
        low, gained = min(finite), max(value.initial - min(finite), abs(value.initial) * 0.1)
        ax.set_ylim(low - 0.15 * gained - 1e-9, value.initial + 0.6 * gained + 1e-9)
    if value.rate is not None:
        ax.axvspan(value.low, value.high, color="tab:red", alpha=0.12, linewidth=0)
        ax.axvline(value.rate, color="tab:red", label=f"rate {value.rate:.3g}")
    else:
        ax.set_title(plain(value.verdict), fontsize=9, wrap=True)
    ax.set(xlabel="learning rate", ylabel="loss of the short runs", xscale="log")
    ax.grid(alpha=0.25)
    if value.results:
        ax.legend(fontsize=8)
