"""Feedback that sees nothing."""

import re

from stepsize.diagnosis._seen import Seen
from stepsize.diagnosis._symptom import Symptom


def blind_feedback(seen: Seen) -> Symptom | None:
    """Whether the plan has feedback on a measure that was never observed.

    Args:
        seen: the run, with its plan.
    """
    plan = str(seen.facts.get("plan", ""))
    line = next((text for text in plan.splitlines() if text.startswith("feedback:")), None)
    if line is None or not seen.length:
        return None
    found = re.search(r"\bof='([^']*)'|\bof=\"([^\"]*)\"", line)
    measure = (found[1] or found[2]) if found else "loss"
    known = {*seen.columns, *seen.observed}
    if measure in known:
        return None
    evidence = {"observed_measures": float(len(seen.observed))}
    remedy = f"the feedback looks at {measure!r}, which never came: call control.observe({measure}=...)"
    return Symptom("blind-feedback", "warning", None, evidence, remedy)
