"""How often forks are right: runs of ``runs.py`` stopped at a quarter, and what ``verify`` says of their rates.

    python benchmarks/diagnosis/verify.py collect --runs FOLDER --out FORKS [--data FOLDER]
    python benchmarks/diagnosis/verify.py anew --runs FOLDER --out ANEW [--data FOLDER]
    python benchmarks/diagnosis/verify.py truth --runs FOLDER --out ENDS [--data FOLDER]
    python benchmarks/diagnosis/verify.py report --runs FOLDER --out FORKS --anew ANEW [--ends ENDS]

``collect`` trains each run to a quarter and keeps forks at more factors than ``verify`` asks for, in two lengths, a
line of JSON each; what is in the file is not trained again. ``report`` lets the race of ``verify`` ask, and answers
from these lines. Labels are those of ``measure.py``: by regret on the grid of whole runs, begun anew. Precision counts
as wrong what is said of a run that is off, but by less than ten times (low) or 2.5 times (high) all good rates, or lost
less than a tenth of the gain; without those between, they count neither way. ``anew`` trains what ``verify`` begins
anew; ``truth`` the rest of some runs in full at each factor, from the same quarter: what really is best from here on.
Weights come from ``weigh.py``.

Expected, and written down before the first table but after a look at the forks of a third of the tasks, so no true
prediction: too low by ten, recall 0.85 at precision 0.9; too high by three, recall 0.6 at precision 0.8, since runs at
the edge of stability heal and a fork of a few steps prefers high rates; factor off by 0.3 decades; false alarms on 5 %
of well-tuned runs; cost 9 % of a run. Bounds were set on the tuning set, with about half of it trained by then; figures
of the report set were on the table meanwhile.
"""

import argparse
import json
import math
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "finders"))
sys.path.insert(0, str(Path(__file__).parent))

from _data import DEFAULT, PLACE
from _entry import CONSTANT, WARM
from measure import interval, label
from oracle import Oracle
from runs import ENTRIES, groups

from stepsize.diagnosis import Seen, Series, Symptom, diagnose, median_curvature
from stepsize.finder import Verification
from stepsize.search import Recheck, Tried
from stepsize.task import Trial

AT = 0.25  # of the run: the checkpoint
LENGTHS = (0.015, 0.04)  # of the run: forks; the first is what verify takes
FIRST, HIGHEST = (-1.0, -0.5, 0.0, 0.5, 1.0), 2.5  # exponents of factors
ANEW, AT_TENTH = 0.03, -1.0  # of the run: what is begun anew, and its rate in decades from the run's
PROBE = 8  # batches that are kept of each score
ENDED = (-1.0, -0.25, 0.5, 1.0)  # decades from the best rate of the runs whose rest is trained in full
LABELS = ("good", "between", "low", "high")
Group = tuple[str, str, int]


def at_quarter(name: str, schedule: str, seed: int, rate: float) -> tuple[Any, Any, dict[str, Any]]:
    """Task, trial and what is known of a run that was stopped at a quarter; its state is None where it broke."""
    task = replace(ENTRIES[name][1].task, schedule=schedule)
    trial = Trial(name, {"lr": rate}, seed, task.steps)
    run, done = task.start(trial), max(1, round(AT * task.steps))
    facts = {"name": name, "kind": kind_of(schedule), "seed": seed, "rate": rate, "at": done, "steps": task.steps}
    facts |= {"start": rounded(run.probe(PROBE)), "initial": run.score()}
    losses = run.advance(done)
    whole = len(losses) == done and math.isfinite(losses[-1])
    facts |= {"now": rounded(run.probe(PROBE)), "state": run.state()} if whole else {"state": None}
    return task, trial, facts


def fork(task: Any, trial: Trial, state: Any, exponent: float, steps: int) -> dict[str, list[float]]:
    """A fork as ``verify`` begins it: the run where it stood, at another rate, what is left of its plan squeezed."""
    run = task.start(trial)
    run.load_state(state)
    run.control.extend(run.done + steps, "stretch")
    run.control.scale(10**exponent)
    losses = run.advance(steps)
    whole = len(losses) == steps and math.isfinite(losses[-1])
    return {"losses": rounded(losses), "probe": rounded(run.probe(PROBE)) if whole else []}


def forks(task: Any, trial: Trial, state: Any, steps: int) -> dict[float, dict[str, list[float]]]:
    found = {exponent: fork(task, trial, state, exponent, steps) for exponent in FIRST}
    while max(found) < HIGHEST and best_of(found) >= max(found) - 0.5 and found[max(found)]["probe"]:
        found[max(found) + 0.5] = fork(task, trial, state, max(found) + 0.5, steps)
    return found


def best_of(found: dict[float, dict[str, list[float]]]) -> float:
    return min(sorted(found), key=lambda exponent: mean(found[exponent]["probe"]))


def mean(values: list[float]) -> float:
    found = sum(values) / len(values) if values else math.inf
    return found if math.isfinite(found) else math.inf


def rounded(values: Any) -> list[float]:
    return [float(f"{value:.5g}") for value in values]


def kind_of(schedule: str) -> str:
    return "constant" if schedule == CONSTANT else "warm" if schedule == WARM else "own"


def in_order() -> list[Group]:
    """The quickest tasks first, with both schedules."""
    every = [(name, schedule, seed) for name, schedule, seed, _ in groups() if seed == 0]
    order = [name for name, schedule, _ in every if schedule == WARM]
    return sorted(every, key=lambda each: order.index(each[0]))


def collect(runs: Path, out: Path) -> None:
    """Forks of every run at a quarter."""
    done = {key_of(each) for each in lines(out)}
    for group in in_order():
        for rate in rates_of(runs, group):
            if (group[0], kind_of(group[1]), group[2], rate) in done:
                continue
            task, trial, facts = at_quarter(*group, rate)
            if (state := facts.pop("state")) is not None:
                lengths = [max(3, math.ceil(share * task.steps)) for share in LENGTHS]
                facts["forks"] = {str(steps): forks(task, trial, state, steps) for steps in lengths}
            append(out, facts)
        print(time.strftime("%H:%M:%S"), *group, flush=True)


def anew(runs: Path, out: Path) -> None:
    """Short runs begun anew at a tenth of every rate, a line for each task and schedule."""
    done = {(each["name"], each["kind"], each["seed"]) for each in lines(out)}
    for name, schedule, seed in in_order():
        if (name, kind_of(schedule), seed) in done:
            continue
        task = replace(ENTRIES[name][1].task, schedule=schedule)
        steps = max(3, math.ceil(ANEW * task.steps))
        facts = {"name": name, "kind": kind_of(schedule), "seed": seed, "steps": steps, "probes": {}}
        for rate in rates_of(runs, (name, schedule, seed)):
            run = task.start(Trial(name, {"lr": rate}, seed, task.steps))
            run.control.extend(steps, "stretch")
            run.control.scale(10**AT_TENTH)
            losses = run.advance(steps)
            whole = len(losses) == steps and math.isfinite(losses[-1])
            facts["probes"][str(rate)] = rounded(run.probe(PROBE)) if whole else []
        append(out, facts)
        print(time.strftime("%H:%M:%S"), name, schedule, seed, flush=True)


def truth(runs: Path, out: Path) -> None:
    """The rest of some runs in full at each factor."""
    done = {key_of(each) for each in lines(out)}
    for group in in_order():
        best = Oracle().best(group[0], 0)[0]
        wanted = [float(f"{best * 10**offset:.4g}") for offset in ENDED]
        for rate in rates_of(runs, group):
            if rate not in wanted or (group[0], kind_of(group[1]), group[2], rate) in done:
                continue
            task, trial, facts = at_quarter(*group, rate)
            if (state := facts.pop("state")) is not None:
                facts["ends"] = ends(task, trial, state)
            append(out, facts)
        print(time.strftime("%H:%M:%S"), *group, flush=True)


def ends(task: Any, trial: Trial, state: Any) -> dict[float, float | None]:
    def end(exponent: float) -> float | None:
        run = task.start(trial)
        run.load_state(state)
        run.control.scale(10**exponent)
        left = task.steps - run.done
        losses = run.advance(left)
        return run.score() if len(losses) == left and math.isfinite(losses[-1]) else None

    found = {exponent: end(exponent) for exponent in FIRST}
    at = {exponent: math.inf if score is None else score for exponent, score in found.items()}
    while max(at) < 2.0 and min(sorted(at), key=at.__getitem__) >= max(at) - 0.4:
        exponent = max(at) + 0.5
        found[exponent] = end(exponent)
        at[exponent] = math.inf if found[exponent] is None else found[exponent]  # type: ignore[assignment]
    return found


def append(out: Path, facts: dict[str, Any]) -> None:
    with out.open("a", encoding="utf-8") as file:
        file.write(json.dumps(facts) + "\n")


def lines(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        yield from map(json.loads, path.read_text(encoding="utf-8").splitlines())


def key_of(facts: dict[str, Any]) -> tuple[str, str, int, float]:
    return facts["name"], facts["kind"], facts["seed"], facts["rate"]


def rates_of(runs: Path, group: Group) -> list[float]:
    return sorted(columns_of(runs, group[0], group[2], kind_of(group[1])))


def columns_of(runs: Path, name: str, seed: int, kind: str) -> dict[float, dict[str, Any]]:
    stored, found = np.load(runs / f"{name}-{seed}-{kind}.npz"), {}
    for key in stored.files:
        rate, _, column = key.partition("/")
        found.setdefault(float(rate), {})[column] = stored[key]
    return found


def seen_at(run: dict[str, Any], at: int) -> Seen:
    """What the folder of a run that was stopped shows: 200 lines of a whole run, and every third look at curvature."""
    shown = np.arange(0, min(at, len(run["loss"])), max(1, int(run["steps"]) // 200))
    columns = {
        name: Series(shown.astype(float), run[name][shown].astype(float)) for name in ("loss", "rate", "gradient_norm")
    }
    which = np.flatnonzero(run["looked"] < at)
    which = which[::3] if len(which) > 4 else which
    for name in ("curvature", "decrease_ratio"):
        columns[name] = Series(run["looked"][which].astype(float), run[name][which].astype(float))
    return Seen(columns, facts={"steps": int(run["steps"]), "status": "interrupted"})


def raced(facts: dict[str, Any], suspected: bool, curvature: float | None, fresh: dict[str, Any]) -> Recheck:
    """The race of ``verify``, its forks and what it begins anew taken from those that were collected."""
    steps = min(facts["forks"], key=int)
    probed_anew = fresh["probes"][str(facts["rate"])]
    kept = {float(exponent): each for exponent, each in facts["forks"][steps].items()}
    race = Recheck(1.0, facts["steps"], facts["steps"] - facts["at"], suspected=suspected, curvature=curvature,
                   most=PROBE, begun=lambda count: facts["start"][:count],
                   anew=lambda _rate, _steps, count: probed_anew[:count])  # fmt: skip
    while asks := race.ask():
        for ask in asks:
            if not ask.steps:
                race.tell(
                    ask, Tried(ask.rate, 0, mean(facts["now"][: ask.probe]), (), tuple(facts["now"][: ask.probe]))
                )
                continue
            held = kept.get(round(2 * math.log10(ask.rate)) / 2, {"losses": [math.inf], "probe": []})
            probed = held["probe"][: ask.probe]
            race.tell(ask, Tried(ask.rate, ask.steps, mean(probed), tuple(held["losses"]), tuple(probed)))
    return race


def verdicts(runs: Path, out: Path, anew: Path) -> Iterator[dict[str, Any]]:
    """Each run with its set of tasks, label, decades above the best rate, and what was said of it."""
    groups_seen: dict[Any, Any] = {}
    fresh = {(each["name"], each["seed"], each["kind"]): each for each in lines(anew)}
    for facts in lines(out):
        group = facts["name"], facts["seed"], facts["kind"]
        if group not in groups_seen:
            groups_seen[group] = columns_of(runs, *group)
        stored = groups_seen[group]
        scores = {rate: float(run["score"]) for rate, run in stored.items()}
        finite = {rate: score for rate, score in scores.items() if np.isfinite(score)}
        initial = float(next(iter(stored.values()))["initial"])
        if not finite or min(finite.values()) > initial - 0.02 * abs(initial):
            continue  # nothing was learnt at any rate
        rate = facts["rate"]
        what, above = label(rate, scores[rate], finite, initial)
        seen = seen_at(stored[rate], facts["at"])
        passive = diagnose(seen)
        suspected = any(symptom.name == "rate-too-low" for symptom in passive)
        curvature = median_curvature(seen, facts["at"])
        race = raced(facts, suspected, curvature, fresh[group]) if "forks" in facts else None
        found = None if race is None else Verification.of(race, facts["at"], False)
        best = min(finite.values())
        yield {**facts, "set": ENTRIES[facts["name"]][0], "what": what, "above": above, "found": found,
               "race": race, "curvature": curvature,
               "passive": passive, "symptoms": passive if found is None else found.findings(passive),
               "scores": scores, "best": best, "gain": initial - best,
               "lost": (scores[rate] - best) / (initial - best)}  # fmt: skip


def named(symptoms: tuple[Symptom, ...], name: str) -> Symptom | None:
    return next((one for one in symptoms if one.name == name and one.severity != "info"), None)


def report(every: list[dict[str, Any]]) -> None:
    for kind in ("tuning", "report"):
        here = [each for each in every if each["set"] == kind]
        total = Counter(each["what"] for each in here)
        tasks = len({each["name"] for each in here})
        print(f"\n# {kind}, {tasks} tasks, {len(here)} runs: {', '.join(f'{total[what]} {what}' for what in LABELS)}")
        costs = [each["found"].cost for each in here if each["found"] is not None]
        print(f"cost, share of a run: median {np.median(costs):.3f}, most {max(costs):.3f}")
        for way in ("passive", "symptoms"):
            print(f"\n{'from the record alone' if way == 'passive' else 'with forks'}")
            for name, what in (("rate-too-low", "low"), ("rate-too-high", "high")):
                print(of_name(here, total, way, name, what))
        print(f"\nanything about the rate on well-tuned runs: {alarms(here, total)}")
    failures([each for each in every if each["set"] == "report"])


def of_name(here: list[dict[str, Any]], total: Counter[str], way: str, name: str, what: str) -> str:
    hits = [(each, symptom) for each in here if (symptom := named(each[way], name)) is not None]
    true = [(each, symptom) for each, symptom in hits if each["what"] == what]
    right = sum(each["above"] >= 0.2 if what == "high" else each["above"] <= -0.45 for each, _ in hits)
    off = [abs(math.log10(symptom.factor) + each["above"]) for each, symptom in true if symptom.factor]
    held = sum(one.evidence["factor_low"] <= 10 ** -each["above"] <= one.evidence["factor_high"]
               for each, one in true if "factor_low" in one.evidence)  # fmt: skip
    before, after = zip(*[(min(each["lost"], 2.0), lost_at(each, one.factor)) for each, one in true], strict=True)
    on = Counter(each["what"] for each, _ in hits)
    apart = len(hits) - on["between"]
    return (
        f"{name}: recall {interval(len(true), total[what])}, precision {interval(len(true), len(hits))}, right way "
        f"{interval(right, len(hits))}, without those between {interval(len(true), apart)}, factor off "
        f"{np.median(off) if off else math.nan:.2f} decades, interval holds {interval(held, len(true))}, of the gain "
        f"lost {np.median(before):.2f}, at the rate named {np.median(after):.2f}; on {dict(on)}"
    )


def lost_at(each: dict[str, Any], factor: float | None) -> float:
    """The share of the gain that is lost at the rate of the grid next to the one that a factor leads to."""
    wanted = math.log10(each["rate"] * (factor or 1.0))
    near = min(each["scores"], key=lambda rate: abs(math.log10(rate) - wanted))
    return min((each["scores"][near] - each["best"]) / each["gain"], 2.0)


def alarms(here: list[dict[str, Any]], total: Counter[str]) -> str:
    good = [each for each in here if each["what"] == "good"]
    said = sum(any(named(each["symptoms"], f"rate-too-{way}") for way in ("low", "high")) for each in good)
    changed = sum(each["found"] is not None and each["found"].onward != 1 for each in good)
    return f"{interval(said, total['good'])}; told to change it from here on: {interval(changed, total['good'])}"


def failures(here: list[dict[str, Any]]) -> None:
    """Those of the report set, one by one."""
    print("\n# what was missed or wrong, report set: decades above the best, share of the gain lost, forks' gains")
    for each in here:
        said = [way for way in ("low", "high") if named(each["symptoms"], f"rate-too-{way}")]
        missed = [way for way in ("low", "high") if each["what"] == way and way not in said]
        wrong = [way for way in said if each["what"] != way]
        if missed or wrong:
            scale = abs(mean(each["start"])) or 1.0
            gains = {} if each["found"] is None else {
                round(math.log10(one.factor), 1): round((mean(each["now"]) - one.score) / scale, 3)
                for one in each["found"].forks
            }  # fmt: skip
            word = f"missed {missed[0]}" if missed else f"wrongly {wrong[0]}"
            race = each["race"]
            ahead = (
                "" if race is None or race.anew is None else f", anew {(race.rung.start - race.anew.score) / scale:.3f}"
            )
            print(f"{word}: {each['name']} {each['kind']} {each['above']:+.2f} lost {each['lost']:.3f} {gains}{ahead}")


def of_rest(every: list[dict[str, Any]], ended: Path) -> None:
    """What the rest really is best at, for runs whose rest was trained in full."""
    by_key = {key_of(each): each for each in every}
    kept = [(by_key[key_of(facts)], facts) for facts in lines(ended) if key_of(facts) in by_key and "ends" in facts]
    for kind in ("tuning", "report"):
        here = [(each, facts) for each, facts in kept if each["set"] == kind and each["found"] is not None]
        off, held, moved, better, cost = [], 0, 0, 0, []
        for each, facts in here:
            scores = {float(at): math.inf if score is None else score for at, score in facts["ends"].items()}
            best, own = min(sorted(scores), key=scores.__getitem__), scores[0.0]
            onward = math.log10(each["found"].onward)
            near = min(scores, key=lambda at: abs(at - onward))
            cost.append(
                min(2.0, (scores[near] - scores[best]) / each["gain"]) - min(2.0, (own - scores[best]) / each["gain"])
            )
            if each["found"].onward != 1:
                moved += 1
                better += scores[near] < own
                off.append(abs(onward - best))
                held += abs(onward - best) <= 0.6
        print(
            f"\n# {kind}, the rest trained in full: {len(here)} runs; told to change {moved}, better for it "
            f"{interval(better, moved)}, off the best by {np.median(off) if off else math.nan:.2f} decades, "
            f"interval holds {interval(held, moved)}; regret changes by {np.mean(cost) if cost else math.nan:+.3f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["collect", "anew", "truth", "report"])
    parser.add_argument("--runs", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--anew", type=Path, help="what anew has written, for report")
    parser.add_argument("--ends", type=Path)
    parser.add_argument("--data", default=os.environ.get(PLACE, DEFAULT))
    given = parser.parse_args()
    os.environ[PLACE] = given.data
    torch.set_num_threads(1)
    if given.what == "report":
        every = list(verdicts(given.runs, given.out, given.anew))
        report(every)
        if given.ends is not None:
            of_rest(every, given.ends)
    else:
        {"collect": collect, "anew": anew, "truth": truth}[given.what](given.runs, given.out)


if __name__ == "__main__":
    main()
