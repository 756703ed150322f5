"""How a rate was found, on a page: verdict, interval, cliff, trust, every length of short runs and every run."""

import math
from collections.abc import Mapping
from typing import Any

from stepsize.pages._numbers import text_of
from stepsize.pages._parts import Facts, Words, table
from stepsize.search import Finding, is_broken


def plain_finding(found: Finding) -> dict[str, Any]:
    """A finding as ``finding.json`` keeps one.

    Args:
        found: by ``find`` or ``RateSearch``.
    """
    names = ("rate", "low", "high", "verdict", "doubts", "remedy", "initial")
    trials = [{"rate": run.rate, "steps": run.steps, "score": run.score} for run in found.results]
    stages = [vars(stage) for stage in found.stages]
    return {
        **{name: getattr(found, name) for name in names},
        "cost": vars(found.cost),
        "stages": stages,
        "trials": trials,
    }


def cliff_of(found: Mapping[str, Any]) -> float | None:
    """The lowest rate above the chosen one at which a short run broke; None where none did.

    Args:
        found: as ``finding.json`` keeps it.
    """
    initial, best = _number(found.get("initial")), _number(found.get("rate"))
    lowest = math.inf
    for length in {trial["steps"] for trial in found["trials"]}:
        scores = {
            trial["rate"]: _number(trial["score"], math.inf) for trial in found["trials"] if trial["steps"] == length
        }
        reached = min(min(scores.values()), initial) if math.isfinite(initial) else min(scores.values())
        known = math.isfinite(initial) and math.isfinite(reached)
        broken = [rate for rate, score in scores.items()
                  if (is_broken(score, reached, initial) if known else not math.isfinite(score))]  # fmt: skip
        lowest = min([lowest, *(rate for rate in broken if math.isnan(best) or rate > best)])
    return lowest if math.isfinite(lowest) else None


def _number(value: Any, otherwise: float = math.nan) -> float:
    return float(value) if isinstance(value, int | float) and not math.isnan(value) else otherwise


def found_facts(found: Mapping[str, Any]) -> Facts:
    """Rate, interval, cliff, trust and price.

    Args:
        found: as ``finding.json`` keeps it.
    """
    cost, cliff = found.get("cost"), cliff_of(found)
    pairs = []
    if found.get("rate") is not None:
        pairs += [("learning rate", text_of(found["rate"], 3)), ("good between", between(found))]
    pairs.append(("cliff", "no short run broke" if cliff is None else f"short runs break at {text_of(cliff, 3)}"))
    doubts = [str(doubt) for doubt in found.get("doubts") or ()]
    trust = "doubted: " + "; ".join(doubts) if doubts else "no reason to doubt it"
    pairs += [("trust", trust)] if found.get("rate") is not None else []
    if doubts and found.get("remedy"):
        pairs.append(("what would settle it", str(found["remedy"])))
    pairs.append((f"{found.get('scored', 'loss')} before training", text_of(found.get("initial"))))
    if isinstance(cost, Mapping) and all(
        isinstance(cost.get(name), int | float) for name in ("steps", "runs", "seconds")
    ):
        runs = f"{len(found['trials'])} short runs, {text_of(cost['steps'])} steps"
        pairs.append(("price", f"{runs}: {text_of(cost['runs'], 2)} of a whole run, {text_of(cost['seconds'], 3)} s"))
    return Facts(tuple(pairs))


def between(found: Mapping[str, Any]) -> str:
    """The interval in words."""
    return f"{text_of(found.get('low'), 3)} and {text_of(found.get('high'), 3)}"


def found_parts(found: Mapping[str, Any], *pictures: Any) -> list[Any]:
    """The section about it.

    Args:
        found: as ``finding.json`` keeps it.
        pictures: of it.
    """
    verdict = str(found.get("verdict", ""))
    words = Words(f"{verdict[:1].upper()}{verdict[1:]}.") if verdict else None
    stages = [
        {
            "steps of each run": stage.get("length"),
            "rates tried": ", ".join(text_of(rate, 3) for rate in stage.get("rates", ())),
            "concluded": stage.get("concluded", ""),
        }
        for stage in found.get("stages") or ()
        if isinstance(stage, Mapping)
    ]
    known = [
        {name: value for name, value in trial.items() if name not in ("losses", "engine")} for trial in found["trials"]
    ]
    return [words, found_facts(found), *pictures, table("Lengths of short runs, in order", stages),
            table("Every short run", known, folded=True)]  # fmt: skip
