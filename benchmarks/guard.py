"""What a guard saves: training at the rates that ``find`` gave on the finders' yardstick, with and without it.

    regret = (L(s) - L*) / (L_init - L*), clipped to [0, 1]; diverged = 1          (see finders/README.md)

Every pair of task and seed of both sets of the yardstick is trained in full at the rate that ``find`` gave it in
``logs/finders``, then at 3 and 10 times that rate, each without a guard and with ``guard()``. A guard adds no steps, so
that what it costs is its time, measured step by step on a few models: the checks, and the good states at the least
distance that they are kept at.

The guard's numbers (returns, factor, share lost, patience) were chosen by what the tuning set shows; the report set is
looked at to report.

Prediction, written before the first run of this script: at the rates of ``find`` one pair in 153 is ruined without a
guard (bag-rotten, seed 0, at 3.14) and none with it; the worst regret stays above 25 %, since rates that are too low,
as of prototypes-wine-raw, seed 1, and convolutions-rotten, are nothing that a guard can see; p90 within a point of
plain; no more than one run in twenty goes back. At 3 times the rate the guard halves the ruined pairs, at 10 times it
saves four in five. Checks take 1 % of a step or less, good states 1 % too.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parent / "finders"))
from _common import LOGS, conclude, progress
from _data import DEFAULT, PLACE
from oracle import ENTRIES, Oracle

from stepsize.control import Control
from stepsize.task import Trial, has_ended

SETS = ("tuning", "report")
FACTORS = (1, 3, 10)
QUICK = ("softmax-digits", "softmax-cancer-rmsprop")
Row = dict[str, Any]


def suggested(name: str) -> Iterator[Row]:
    """What ``find`` gave each pair of a set."""
    rows = json.loads((LOGS / "finders" / f"{name}.json").read_text())["rows"]
    yield from (row for row in rows if row["finder"] == "stepsize" and row["rate"] is not None)


def trained(name: str, seed: int, rate: float, guard: str) -> Row:
    """A whole run at a rate: its final score, None where it diverged, and how often the guard went back."""
    task = ENTRIES[name].task
    run: Any = task.start(Trial.of(task, {"lr": rate, "guard": guard}, seed, task.steps))
    losses: list[float] = []
    while len(losses) < task.steps and not has_ended(run, losses):
        losses += run.advance(min(50, task.steps - len(losses)))
    score = None if has_ended(run, losses) else float(f"{run.score():.6g}")
    events = [event for event in run.control.log if event.what == "guard"]
    return {"score": score, "returns": len(events), "at": [event.step for event in events], "ended": bool(run.ended)}


def measured(found: Row, factor: int, guard: str, oracle: Oracle) -> Row:
    """A pair at a multiple of its rate, without and with a guard."""
    name, seed = found["task"], found["seed"]
    rate = found["rate"] if factor == 1 else float(f"{factor * found['rate']:.3g}")
    plain, guarded = trained(name, seed, rate, "off"), trained(name, seed, rate, guard)
    regrets = {kind: oracle.regret(name, seed, row["score"]) for kind, row in (("off", plain), ("on", guarded))}
    kept = {key: guarded[key] for key in ("returns", "at", "ended")}
    said = {"task": name, "seed": seed, "factor": factor, "rate": rate, "distance": found["distance"]}
    return {**said, "cost": found["cost"], "regrets": regrets, **kept}


def table(rows: list[Row]) -> list[str]:
    """Regrets without and with a guard."""
    lines = []
    for kind in ("off", "on"):
        regrets = np.array([row["regrets"][kind] for row in rows])
        ruined = sum(row["regrets"][kind] >= 0.9 for row in rows)
        median, p90 = np.quantile(regrets, [0.5, 0.9])
        figures = {"median": median, "p90": p90, "worst": regrets.max(), "mean": regrets.mean()}
        told = "   ".join(f"{name} {100 * figure:5.1f} %" for name, figure in figures.items())
        lines.append(f"    guard {kind:3s} {told}   regret of 90 % or more: {ruined} of {len(rows)}")
    back = [row for row in rows if row["returns"]]
    helped = sum(row["regrets"]["on"] < row["regrets"]["off"] - 0.01 for row in back)
    harmed = sum(row["regrets"]["on"] > row["regrets"]["off"] + 0.01 for row in back)
    same = all(row["regrets"]["on"] == row["regrets"]["off"] for row in rows if not row["returns"])
    times, ended = sum(row["returns"] for row in back), sum(row["ended"] for row in rows)
    lines.append(
        f"    went back in {len(back)} runs, {times} times: better by a point in {helped}, worse in {harmed}, given up "
        f"{ended}; all others have the same score: {'yes' if same else 'NO'}"
    )
    worst = sorted(rows, key=lambda row: -max(row["regrets"]["on"], row["regrets"]["off"] * bool(row["returns"])))[:8]
    for row in worst:
        before, after = (100 * row["regrets"][kind] for kind in ("off", "on"))
        lines.append(
            f"      {row['task']}, seed {row['seed']}, at {row['rate']:g}: {before:.1f} % without, {after:.1f} % with, "
            f"{row['returns']} returns"
        )
    return lines


def models() -> dict[str, tuple[nn.Module, torch.Tensor]]:
    """A few models, each with a batch of inputs; from a tiny one to one of some millions of weights."""
    layer = nn.TransformerEncoderLayer(128, 4, 512, batch_first=True, dropout=0.0)
    wide = nn.Sequential(nn.Linear(784, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, 10))
    seen = [nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.Conv2d(32, 64, 3, 2), nn.BatchNorm2d(64)]
    convolutions = nn.Sequential(*seen, nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(1024, 10))
    return {
        "softmax of 64 inputs, batch 32": (nn.Linear(64, 10), torch.randn(32, 64)),
        "perceptron 784-1024-1024-10, batch 128": (wide, torch.randn(128, 784)),
        "convolutions 32, 64, batch 64": (convolutions, torch.randn(64, 3, 32, 32)),
        "4 layers of attention, width 128, batch 16 of 64": (nn.TransformerEncoder(layer, 4), torch.randn(16, 64, 128)),
    }


def costs(quick: bool) -> tuple[list[str], Row]:
    """What a guard adds to a step with AdamW: its checks, and good states; each by itself, of the processor's time."""
    lines, data = ["what guard() costs, in percent of a step with AdamW; the update's own bookkeeping is not in it"], {}
    for name, (model, inputs) in models().items():
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
        control = Control(optimizer, lr="cosine()", total=10**6, remind=False, guard="guard(every=1e6)", model=model)
        guarding: Any = control._guard

        def step(model: nn.Module = model, inputs: torch.Tensor = inputs, control: Control = control) -> None:
            loss = model(inputs).square().mean()
            loss.backward()
            control.step(loss)

        def keep(guarding: Any = guarding) -> None:
            guarding._keep(None)

        def check(guarding: Any = guarding) -> None:
            guarding._losses = [torch.tensor(1.0)] * guarding.plan.check
            guarding._look(None, None, False)

        steps = [milliseconds(step) for _ in range(5 if quick else 15)][2:]
        states, checks = ([milliseconds(call) for _ in range(5 if quick else 30)] for call in (keep, check))
        own, state, look = (float(np.median(values)) for values in (steps, states, checks))
        data[name] = {"step": steps, "state": states, "check": checks}
        shares = f"checks {100 * look / guarding.plan.check / own:.2f}, a state every 25 {100 * state / 25 / own:.2f}"
        every = f"every 50 {100 * state / 50 / own:.2f}, every 200 {100 * state / 200 / own:.2f}"
        lines.append(f"    {name}: {own:.2f} ms; {shares}, {every}")
    return lines, data


def milliseconds(call: Callable[[], None]) -> float:
    """Of the processor's time, so that others on the machine do not count."""
    began = time.process_time()
    call()
    return 1e3 * (time.process_time() - began)


def known(path: Path | None) -> dict[str, Row]:
    """Rows of an earlier call that was stopped."""
    if path is None or not path.exists():
        return {}
    return dict(json.loads(line) for line in path.read_text().splitlines())


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two tasks, one seed; writes no log")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get(PLACE, DEFAULT)), help="folder of the sets")
    parser.add_argument("--set", nargs="*", choices=SETS, default=list(SETS))
    parser.add_argument("--factor", nargs="*", type=int, default=list(FACTORS))
    parser.add_argument("--guard", default="guard()", help="such as 'guard(factor=0.3)'; writes no log")
    parser.add_argument("--rows", type=Path, help="file in which rows are kept; what stands there is not trained again")
    parser.add_argument("--kept", action="store_true", help="report what --rows has whole, and train nothing")
    parser.add_argument("--no-costs", action="store_true")
    parser.add_argument("--costs", action="store_true", help="nothing else, and write no log")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    os.environ[PLACE] = str(options.data)
    if options.costs:
        print("\n".join(costs(options.quick)[0]))
        return
    oracle, lines, data = Oracle(), [], {}
    kept = known(options.rows)
    for name in options.set:
        found = [row for row in suggested(name) if oracle.has(row["task"], row["seed"])]
        found = [row for row in found if row["task"] in QUICK and row["seed"] == 0] if options.quick else found
        for factor in options.factor:
            rows = []
            keys = [f"{name} {factor} {each['task']} {each['seed']}" for each in found]
            if options.kept and not all(key in kept for key in keys):
                continue
            for number, (key, each) in enumerate(zip(keys, found, strict=True), 1):
                rows.append(kept[key] if key in kept else measured(each, factor, options.guard, oracle))
                last = rows[-1]
                if options.rows is not None and key not in kept:
                    with options.rows.open("a") as file:
                        file.write(json.dumps([key, last]) + "\n")
                said = f"{last['task']} {last['seed']} {last['regrets']} {last['at']}"
                progress(f"{name} x{factor} {number}/{len(found)} {said}")
            if rows:
                lines += [f"set {name}, {len(rows)} pairs, {factor} times the rate that find gave", *table(rows)]
                data[f"{name} {factor}"] = rows
    if not options.no_costs:
        told, data["seconds"] = costs(options.quick)
        lines += told
    conclude("guard", lines, data, options.quick or options.guard != "guard()")


if __name__ == "__main__":
    main()
