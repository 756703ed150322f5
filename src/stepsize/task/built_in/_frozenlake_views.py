"""The view of Q-learning on the frozen lake: the greedy policy's success."""

from dataclasses import replace

import numpy as np

from stepsize.record import Run as RunRecord
from stepsize.views import Mark, Scale, Sheet, View, lines_of, moving_mean, series

SMOOTHED = 10  # looks at the policy that are averaged


def lake_views(run: RunRecord, sheet: Sheet) -> Sheet:
    """The greedy policy's success, each look and their moving mean, the best policy's as a line.

    Args:
        run: of the lake.
        sheet: what any run has.
    """
    sheet = sheet.without("figure/success", "figure/optimum")
    metrics = run.facts.get("metrics") or {}
    if metrics.get("success") is not None and metrics.get("optimum") is not None:
        title, _, seed = sheet.title.partition("  ·  seed ")
        reached = f"success {metrics['success']:.3f} of {metrics['optimum']:.3f}"
        sheet = replace(sheet, title="  ·  seed ".join([f"{title}  ·  {reached}", *([seed] if seed else [])]))
    seen = [line for line in lines_of(run) if line.get("success") is not None]
    if not seen:
        return sheet
    at, values = np.array([line["step"] for line in seen]), np.array([line["success"] for line in seen])
    name = "greedy policy, exact"
    drawn = [series(at, values, name, "orange", width=0, marker="o", size=2.5, opacity=0.4)]
    width = min(SMOOTHED, len(values))
    if width > 2:
        drawn.append(series(at, moving_mean(values, width), f"mean of {width} looks", "orange", width=2))
    marks: tuple[Mark, ...] = ()
    if seen[-1].get("optimum") is not None:
        optimum = seen[-1]["optimum"]
        marks = (Mark("y", optimum, f"best policy: {optimum:.3f}", "ink"),)
    view = View(
        "success",
        f"Success, {values[-1]:.3f} at the end",
        Scale("step"),
        Scale("probability of success", low=0),
        tuple(drawn),
        (),
        marks,
        legend="lower right",
        about="The exact probability of success of the greedy policy at each look.",
    )
    return replace(sheet, views=(view, *sheet.views))
