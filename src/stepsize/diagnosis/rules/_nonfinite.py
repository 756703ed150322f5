"""A value that is not finite: where it arose first."""

import numpy as np

from stepsize.diagnosis._seen import Seen
from stepsize.diagnosis._symptom import Symptom


def nonfinite(seen: Seen) -> Symptom | None:
    """The first step of which a value was not finite, and whether the gradients or the loss came first.

    Args:
        seen: the run.
    """
    first = {name: step for name, step in map(_first, seen.columns.items()) if step is not None}
    relevant = {name: step for name, step in first.items() if name.partition("/")[0] in ("loss", "gradient_norm")}
    if not relevant:
        return None
    step = min(relevant.values())
    layers = sorted(name.partition("/")[2] for name, at in relevant.items() if at == step and "/" in name)
    where = f" in {layers[0]}" if layers else ""
    evidence = {f"first_step_of_{name.replace('/', '_')}": float(at) for name, at in list(relevant.items())[:4]}
    back = [event for event in seen.events if event.get("what") == "guard" and event.get("value") is not None]
    if back and seen["loss"] and np.isfinite(seen["loss"].values[-1]):
        remedy = f"the guard went back {len(back)} times and the run recovered; begin with the rate that it came to"
        return Symptom("not-finite", "warning", int(step), evidence, remedy)
    if step == seen["loss"].steps[0] if seen["loss"] else False:
        remedy = (
            f"it was not finite{where} before anything was changed: look at the data and the model, not at the rate"
        )
    else:
        remedy = f"go back before step {step:.0f}, where it arose{where}, lower the rate or clip the gradients"
    return Symptom("not-finite", "error", int(step), evidence, remedy)


def _first(column: tuple[str, object]) -> tuple[str, float | None]:
    name, series = column
    broken = np.flatnonzero(~np.isfinite(series.values))  # type: ignore[attr-defined]
    return name, float(series.steps[broken[0]]) if len(broken) else None  # type: ignore[attr-defined]
