"""The page of a sweep: the best rates and how sure they are, what the rate matters, maps, and a table of all trials."""

import math
from typing import Any

import numpy as np

from stepsize.pages._commands import command_line, of_sweep
from stepsize.pages._numbers import text_of
from stepsize.pages._parts import Command, Facts, Page, Words, picture, section, table
from stepsize.pages._run_page import duration, sections_of, shortened, surroundings, words_of
from stepsize.sweeps import Curve, Sweep, sweep_sheet
from stepsize.views import Cells, Scale, View, series

ROWS = 24  # of a map
WORDS = 24  # characters of a row's name
AXES = ("status", "seed", "steps", "engine", "seconds")


def sweep_page(swept: Sweep) -> Page:
    """The page of a sweep.

    Args:
        swept: as it was opened.
    """
    try:
        views = list(sweep_sheet(swept).views)
    except ValueError:  # nothing was trained yet; the page has all else
        views = []
    if all(view.name != "map" for view in views):
        views += [made for made in [_map(swept, "loss")] if made is not None]
    if "validation_loss" in swept.measures:
        views += [made for made in [_map(swept, "validation_loss")] if made is not None]
    pictures = {view.name: picture(view, number) for number, view in enumerate(views)}
    rows = _bests(swept)
    folder = str(swept.folder)
    task = str(swept.facts["task"])
    repeat = of_sweep(task, swept.outcomes, swept.facts["steps"])
    first = [pictures.pop(name) for name in ("loss", "validation") if name in pictures]
    maps = [pictures.pop(name) for name in [*pictures] if name.startswith("map")]
    trials = [_row(row) for row in swept.rows()]
    state, verdict = _judged(swept)
    left = (
        Words(f"{len(swept.left_out)} damaged rows were left out, the first: {swept.left_out[0]}", remark=True)
        if swept.left_out
        else None
    )
    return Page(
        f"{shortened(task, 60)}: {shortened(swept.folder.name, 60)}", "Sweep", verdict, state, (_figures(swept),),
        sections_of(
            section("What to do next", *_next(swept)),
            section("Best rates", left, table("Best rates of every variant", rows), *first),
            section("Maps", *maps),
            section("Convergence and more", *pictures.values()),
            section("All trials", table("Trials", trials)),
            section("Surroundings", *surroundings({"about_task": _recipe(swept)}, folder)),
            section("How to repeat it", Command(repeat, "The command that repeats it, for a task of stepsize's own:")),
        ),
    )  # fmt: skip


def _recipe(swept: Sweep) -> dict[str, Any]:
    return {words_of(str(name)): value for name, value in swept.facts.items()}


def _row(row: dict[str, Any]) -> dict[str, Any]:
    """A trial as the table shows it; what diverged has no loss that could be averaged."""
    kept = {name: value for name, value in row.items() if name != "engine"}
    return {**kept, "seconds": round(row["seconds"], 3)} if isinstance(row.get("seconds"), float) else kept


def _names(swept: Sweep) -> list[str]:
    return [curve.name or "all" for curve in swept.curves()]


def _bests(swept: Sweep) -> list[dict[str, Any]]:
    """A row for each variant."""
    known, validated = math.isfinite(swept.initial), "validation_loss" in swept.measures
    bests = swept.best()
    breaks = swept.thresholds() if known else [None] * len(bests)
    lost = swept.sensitivities() if known else [None] * len(bests)
    others = swept.best("validation_loss") if validated else [None] * len(bests)
    rows = []
    for name, best, threshold, sensitivity, other in zip(_names(swept), bests, breaks, lost, others, strict=True):
        row: dict[str, Any] = {"settings": name, "best rate": best.rate, "from": best.low, "to": best.high}
        row |= {"loss": None if best.rate is None else best.value}
        if validated:
            row |= {"validation loss": None if other is None or other.rate is None else other.value,
                    "at rate": None if other is None else other.rate}  # fmt: skip
        if known:
            row |= {"breaks above": threshold[0] if threshold and math.isfinite(threshold[1]) else None,
                    "sensitivity": sensitivity}  # fmt: skip
        remark = (
            "every rate diverged" if best.rate is None else "at the border of what was tried" if best.at_border else ""
        )
        rows.append(row | {"seeds": best.seeds, "remark": remark})
    return rows


def _best(swept: Sweep) -> tuple[str, Any] | None:
    """The variant whose best rate is best, and that."""
    there = [(name, best) for name, best in zip(_names(swept), swept.best(), strict=True) if best.rate is not None]
    return min(there, key=lambda pair: pair[1].value) if there else None


def _judged(swept: Sweep) -> tuple[str, str]:
    task, found = shortened(str(swept.facts["task"])), _best(swept)
    open_trials = sum(outcome.status == "open" for outcome in swept.outcomes)
    so_far = f" so far, with {open_trials:,} trials to come" if open_trials else ""
    if found is None:
        if open_trials == len(swept.outcomes):
            return "open", f"No trial of this sweep of {task} is done yet."
        return "bad", f"Every rate that was tried for {task} diverged{so_far}."
    name, best = found
    interval = "" if best.low is None else f" (good between {text_of(best.low, 3)} and {text_of(best.high, 3)})"
    where = f" with {shortened(name)}" if len(swept.variants) > 1 else ""
    border = "; it is the border of what was tried, so that a better one may lie beyond" if best.at_border else ""
    rate = f"a learning rate of {text_of(best.rate, 3)}{interval}"
    words = f"{task} trains best{where} at {rate}, to a loss of {text_of(best.value)}"
    return "open" if open_trials else "doubt" if best.at_border else "good", f"{words}{so_far}{border}."


def _figures(swept: Sweep) -> Facts:
    done = [outcome for outcome in swept.outcomes if outcome.status != "open"]
    rates, seeds = {outcome.rate for outcome in swept.outcomes}, {outcome.seed for outcome in swept.outcomes}
    of = f" of {len(swept.outcomes):,}" if len(done) < len(swept.outcomes) else ""
    pairs = [("trials", f"{len(done):,}{of}"), ("rates", text_of(len(rates))), ("seeds", text_of(len(seeds)))]
    pairs.append(("variants", text_of(len(swept.variants))))
    pairs += [("steps of each", text_of(swept.facts["steps"]))]
    pairs.append(("diverged", text_of(sum(outcome.status == "diverged" for outcome in done))))
    if math.isfinite(swept.initial):
        pairs.append(("loss before training", text_of(swept.initial)))
    pairs.append(("time of all trials", duration(math.fsum(outcome.seconds for outcome in done))))
    return Facts(tuple(pairs), large=True)


def _next(swept: Sweep) -> list[Command]:
    found = _best(swept)
    if found is None:
        rates = [outcome.rate for outcome in swept.outcomes]
        lower = f"{min(rates) / 1000:.3g}:{min(rates):.3g}:7"
        return [Command(command_line("sweep", {"task": swept.facts["task"]}, lr=lower), "Try lower rates.")]
    name, best = found
    settings = dict(swept.variants[_names(swept).index(name)])
    said_of = {"task": swept.facts["task"], **settings}
    commands = []
    if best.at_border:
        wider = f"{best.rate / 30:.3g}:{best.rate * 30:.3g}:9"
        commands.append(Command(command_line("sweep", said_of, lr=wider), "Look beyond the border of what was tried."))
    train = command_line("train", said_of, lr=best.rate)
    return [*commands, Command(train, "Train with the best rate, and a task's own length.")]


def _map(swept: Sweep, measure: str) -> View | None:
    """A measure over rates and variants, whatever these are made of; None where there are few variants."""
    curves = [curve for curve in swept.curves(measure) if np.isfinite(curve.values).any()]
    if len(curves) < 3:
        return None
    curves.sort(key=_lowest)
    cut, curves = len(curves) > ROWS, curves[:ROWS]
    rates = np.unique(np.concatenate([curve.rates for curve in curves]))
    values = np.full((len(curves), len(rates)), np.nan)
    for row, curve in enumerate(reversed(curves)):
        values[row, np.searchsorted(rates, curve.rates)] = np.where(
            np.isfinite(curve.values).all(1), _means(curve), np.nan
        )
    is_log = bool(np.nanmin(values) > 0)
    word = measure.replace("_", " ") if measure != "loss" else "training loss"
    names = [_short(curve.name) for curve in reversed(curves)]
    across = tuple((place + 0.5, text_of(rate, 2)) for place, rate in enumerate(rates.tolist()))
    up = tuple((place + 0.5, name) for place, name in enumerate(names))
    best = series(np.nanargmin(values, 1) + 0.5, np.arange(len(names)) + 0.5, "best rate", "white", width=0, marker="*")
    shown = np.log10(values) if is_log else values
    cells = Cells(tuple(tuple(row) for row in shown.tolist()), f"log10 of the {word}" if is_log else word)
    about = f"The {word} at the end by learning rate and variant, the best above; blank where a seed diverged."
    scales = (
        Scale("learning rate", low=0, high=len(rates), ticks=across),
        Scale("variant", low=0, high=len(names), ticks=up),
    )
    title = f"Map of the {word}{f', the best {ROWS} variants' * cut}"
    return View(f"map/{measure}", title, *scales, (best,), cells=cells, about=about)


def _means(curve: Curve) -> Any:
    with np.errstate(invalid="ignore", over="ignore"):
        return curve.values.mean(1)


def _lowest(curve: Curve) -> float:
    means = _means(curve)
    return float(means[np.isfinite(means)].min()) if np.isfinite(means).any() else math.inf


def _short(name: str) -> str:
    return name if len(name) <= WORDS else name[: WORDS - 1] + "…"
