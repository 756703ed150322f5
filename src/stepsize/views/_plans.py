"""The view of the plans that raced for a run: the winner, and where each of the others was left behind."""

from collections.abc import Mapping, Sequence
from typing import Any

from stepsize.record import Run
from stepsize.views._registry import view
from stepsize.views._view import Scale, Series, View, colour_of, series

OF_THE_RACE = ("rate", "scores", "verdict")  # of a plan; the rest is its settings
MOST = 16  # plans in a view
LARGEST = 1e100  # of a score that is drawn
WIDEST = 44  # characters of a plan


@view(Run, place=5)
def plans(run: Run) -> View | None:
    """The score of every plan after each length of short run; the winner on top."""
    if run.plans is None or not run.plans["plans"]:
        return None
    raced: Sequence[Mapping[str, Any]] = run.plans["plans"][:MOST]
    lengths = sorted({int(length) for plan in raced for length in plan["scores"]})
    drawn: list[Series] = []
    for number, length in enumerate(lengths):
        found = [(plan["scores"].get(str(length)), len(raced) - row) for row, plan in enumerate(raced)]
        there = [(score, place) for score, place in found if score is not None and abs(score) <= LARGEST]
        if there:
            scores, places = zip(*there, strict=True)
            drawn.append(
                series(scores, places, f"after {length} steps", colour_of(number), width=0, marker="o", size=6)
            )
    if not drawn:
        return None
    winner = raced[0]
    last = [score for _, score in sorted((int(length), score) for length, score in winner["scores"].items())]
    if winner["rate"] and last and last[-1] is not None and abs(last[-1]) <= LARGEST:
        drawn.append(series([last[-1]], [len(raced)], "winner", "red", width=0, marker="*", size=14))
    ticks = tuple((float(len(raced) - row), _words(plan)) for row, plan in enumerate(raced))
    cut = f" (first {MOST} of {len(run.plans['plans'])})" if len(run.plans["plans"]) > MOST else ""
    what = "training loss" if run.finding is None else run.finding.get("scored", "training loss")
    positive = all(x > 0 for line in drawn for x in line.x)
    return View(
        "plans",
        f"The plans that raced, the best on top{cut}",
        Scale(f"{what} after a short run", log=positive),
        Scale(low=0.4, high=len(raced) + 0.6, ticks=ticks),
        tuple(drawn),
        about="The score of every plan after each length of short run, the winner on top; lower is better.",
        caption=f"Winner: {_words(winner)}: {run.plans.get('verdict', '')}".replace("\n", ", ").rstrip(": "),
    )


def _words(plan: Mapping[str, Any]) -> str:
    """A plan and its rate, as at an axis."""
    values = [str(value) for name, value in plan.items() if name not in OF_THE_RACE and value is not None]
    text = ", ".join(values) or "the task's own"
    text = text if len(text) <= WIDEST else text[: WIDEST - 1] + "…"
    return f"{text}\nrate {plan['rate']:.3g}" if plan["rate"] else f"{text}\nno usable rate"
