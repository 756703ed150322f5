"""One layer that learns far faster or slower than the others, or not at all."""

import numpy as np

from stepsize.diagnosis._seen import Seen
from stepsize.diagnosis._statistics import since
from stepsize.diagnosis._symptom import Symptom

DECADES = 2.0
FEWEST = 3
FLOOR = 0.1  # of the highest rate, below which an update of 0 may be one of rounding


def layer_far_off(seen: Seen) -> Symptom | None:
    """Whether the updates of one parameter, over its weights, are a hundred times those of the others, or a hundredth.

    Parameters that hardly have a size yet, such as biases that begin at zero, are left out: their ratio says nothing.

    Args:
        seen: the run, with ``update_ratio/NAME``.
    """
    levels = {}
    for name, series in seen.family("update_ratio").items():
        values = series.finite.values[len(series.finite.values) // 2 :]
        level = float(np.median(values)) if len(values) else 0.0
        if level > 0 and not name.endswith("bias"):
            levels[name] = np.log10(level)
    if len(levels) < FEWEST:
        return None
    middles = {name: float(np.median([levels[other] for other in levels if other != name])) for name in levels}
    name = max(levels, key=lambda layer: abs(levels[layer] - middles[layer]))
    middle = middles[name]
    off = float(levels[name] - middle)
    if abs(off) < DECADES:
        return None
    evidence = {"update_ratio": 10 ** levels[name], "median_of_the_others": 10**middle}
    factor = 10**-off
    remedy = f"give {name} a group of its own with {factor:.2g} times the rate, or look at how it is initialised"
    return Symptom("layer-far-off", "warning", None, evidence, remedy)


def frozen(seen: Seen) -> Symptom | None:
    """Whether parameters never moved, came to a stop, or the gradients' norm was 0 for the last fifth of the run.

    Args:
        seen: the run, with ``update_ratio/NAME`` or ``gradient_norm``.
    """
    ratios = {name: each.finite.values for name, each in seen.family("update_ratio").items() if each.finite}
    still = [name for name, values in ratios.items() if not values.any()]
    moved = len(ratios) - len(still)
    if still and moved:
        evidence = {"parameters_that_never_moved": float(len(still)), "parameters_that_did": float(moved)}
        names = ", ".join(still[:3]) + (", ..." if len(still) > 3 else "")
        remedy = f"{names} never moved: give them a gradient, or leave them out of the optimizer"
        return Symptom("frozen-parameters", "warning", None, evidence, remedy)
    stopped = _stopped(seen)
    if stopped:
        names = ", ".join(list(stopped)[:3]) + (", ..." if len(stopped) > 3 else "")
        evidence = {"parameters_that_stopped": float(len(stopped)), "parameters": float(len(ratios))}
        remedy = f"{names} stopped moving: units are dead; lower the rate, or begin with smaller weights"
        return Symptom("dead-gradients", "error", int(min(stopped.values())), evidence, remedy)
    steps, norms = seen["gradient_norm"].finite
    last = norms[-max(5, len(norms) // 5) :]
    if len(norms) < 10 or last.any() or not seen["rate"]:
        return None
    gone = int(steps[len(norms) - since(norms == 0)])
    evidence = {"gradient_norm_before": float(norms[0]), "gradient_norm_at_end": 0.0}
    remedy = "no gradient arrives: activations are dead or saturated; lower the rate, or begin with smaller weights"
    return Symptom("dead-gradients", "error", gone, evidence, remedy)


def _stopped(seen: Seen) -> dict[str, float]:
    """The parameters that moved at first and came to a stop for a fifth of the run, by the step at which they did.

    It must come at a tenth of the highest rate or more: below, updates vanish in rounding.
    """
    found: dict[str, float] = {}
    rates = seen["rate"].finite
    for name, series in seen.family("update_ratio").items():
        steps, values = series.finite
        still = since(values == 0)
        if len(values) >= 10 and rates and max(2, len(values) // 5) <= still < len(values):
            at = float(steps[len(steps) - still])
            if np.interp(at, rates.steps, rates.values) > FLOOR * rates.values.max():
                found[name] = at
    return found
