"""The view of the gap between validation and training."""

import numpy as np

from stepsize.record import Run
from stepsize.views._registry import view
from stepsize.views._run import few, points
from stepsize.views._view import Mark, Scale, View, series

LATE = 0.05  # of the run's steps, over which the training losses before a validation are averaged


@view(Run, place=35)
def gap(run: Run) -> View | None:
    """Validation loss less the training loss before it; above 0 where training does better."""
    at, losses = points(run.steps, "loss")
    seen_at, seen = points(run.observed, "validation_loss")
    if not len(at) or not len(seen_at):
        return None
    width = LATE * max(at[-1], seen_at[-1])
    places, values = [], []
    for step, validation in zip(seen_at.tolist(), seen.tolist(), strict=True):
        before = losses[(at < step) & (at >= step - max(width, 1))]
        if len(before):
            places.append(step)
            values.append(validation - float(np.mean(before)))
    if not places:
        return None
    about = "Validation loss less the mean training loss of the twentieth of the run before it."
    line = series(places, values, "gap", "orange", marker="o" if few(np.array(places)) else "", size=3)
    marks = (Mark("y", 0.0, width=0.9),)
    return View("detail/gap", "Gap", Scale("step"), Scale("validation less training loss"), (line,), (), marks,
                legend="none", about=about)  # fmt: skip
