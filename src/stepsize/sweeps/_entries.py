"""A sweep beside runs and other sweeps: each variant is compared as one thing, its best rate trained."""

import math
from typing import Any

import numpy as np

from stepsize.record import Course, Entry
from stepsize.sweeps._read import Sweep


def entries_of(sweep: Sweep, name: str) -> list[Entry]:
    """The variants of a sweep, for ``compare``: the mean loss by rate, and the course of training at the best one.

    Args:
        sweep: as it was opened.
        name: display name; the variant follows in brackets where there are several.

    Example:
        >>> from stepsize import compare, sweep
        >>> from stepsize.engine import serial
        >>> from stepsize.sweeps import entries_of
        >>> from stepsize.task import task_named
        >>> swept = sweep(task_named("quadratic"), [0.01, 0.1], 1, steps=20, folder="sweep", engine=serial,
        ...               momentum=[0.0, 0.9])
        >>> compare(*entries_of(swept, "sweep")).differing["momentum"]
        (0.0, 0.9)
    """
    several = len(sweep.variants) > 1
    entries = []
    for curve, best in zip(sweep.curves(), sweep.best(), strict=True):
        shown = f"{name} ({curve.name})" if several else name
        settings: dict[str, Any] = {"task": sweep.facts["task"], "steps": sweep.facts["steps"], **dict(curve.variant)}
        figures: dict[str, float | str] = {}
        if best.rate is not None:
            figures = {"loss of the best rate": best.value, "rate found": best.rate, "seeds": float(best.seeds)}
            if best.low is not None:
                figures["found between"] = f"{best.low:.3g} and {best.high:.3g}"
        trained = sweep.training_curves(curve.variant).get(best.rate if best.rate is not None else math.nan)
        courses = (
            {} if trained is None else {"loss": Course(np.asarray(trained[0], float), np.asarray(trained[1], float))}
        )
        whole = np.isfinite(curve.values).all(1)
        scores = (curve.rates[whole], curve.values[whole].mean(1)) if whole.any() else None
        entries.append(Entry(shown, settings, courses, figures, sweep.facts["steps"], scores))
    return entries
