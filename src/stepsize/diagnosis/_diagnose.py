"""Asking every rule about a run."""

from collections.abc import Iterable
from pathlib import Path

from stepsize import _check
from stepsize.diagnosis._seen import Seen
from stepsize.diagnosis._symptom import SEVERITIES, Symptom
from stepsize.diagnosis.rules import RULES, Rule
from stepsize.record import Run

JUDGED = ("loss", "rate", "gradient_norm")  # of which a record has one at least, or there is nothing to judge


def diagnose(run: Run | Seen | Path | str, rules: Iterable[Rule] = RULES) -> tuple[Symptom, ...]:
    """What is wrong with a run, the worst first; empty if no rule has anything to say.

    Each rule is a pure function of what was written. Where a log lacks what a rule needs, that rule is silent.

    Args:
        run: a run, the folder of one or another program's log, or columns of your own as a ``Seen``.
        rules: functions that take a ``Seen`` and return a ``Symptom`` or None; all of ours when left out.

    Raises:
        TypeError: an argument is invalid.
        ValueError: there is no run, or it has neither losses nor rates nor norms of gradients.

    Example:
        >>> import numpy as np
        >>> from stepsize import diagnose
        >>> from stepsize.diagnosis import Seen, Series
        >>> steps = np.arange(200.0)
        >>> loss = Series(steps, np.where(steps < 120, np.exp(-steps / 50), np.nan))
        >>> for symptom in diagnose(Seen({"loss": loss})):
        ...     print(symptom.severity, symptom.name, symptom.step)
        error not-finite 120
        error rate-too-high 120
    """
    if isinstance(run, str | Path):
        run = Run.open(run)
    if not isinstance(run, Run | Seen):
        raise TypeError(_check.message("run", run, "a run, its folder, or a Seen"))
    if isinstance(rules, str) or not isinstance(rules, Iterable):
        raise TypeError(_check.message("rules", rules, "a collection of functions of a Seen"))
    seen = run if isinstance(run, Seen) else Seen.of(run)
    if isinstance(run, Run) and not any(seen[name] for name in JUDGED):
        needed = "a record of losses, rates or norms of gradients"
        has = ", ".join(sorted({*seen.columns, *seen.observed})) or "no line of a step"
        raise ValueError(_check.message("run", str(run.folder), needed, f"name them by column; it has {has}"))
    found = []
    for rule in rules:
        if not callable(rule):
            raise TypeError(_check.message("rules", rule, "a function of a Seen"))
        symptom = rule(seen)
        if symptom is not None:
            found.append(symptom)
    return tuple(sorted(found, key=lambda each: -SEVERITIES.index(each.severity)))
