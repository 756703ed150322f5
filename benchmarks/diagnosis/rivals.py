"""Four packages that diagnose training runs, on the logs that ``measure.py`` shows the rules, of the report set.

    pip install --target SITE trainspotter==0.2.6 training-doctor==0.1.0 losslint==0.4.1 sk-autod==0.1.1
    PYTHONPATH=SITE python benchmarks/diagnosis/rivals.py --runs FOLDER

Each gets loss, rate and gradient norm at 200 steps, and once means of ten lines, which readers of some recommend, with
its defaults. sk-autod wants a validation loss too: it gets the training loss again. Only sk-autod and training-doctor
speak of the rate; of the others divergence, spikes and gradient norms count as "too high", plateaus as "too low".

Two rules need the rate alone, at its peak. The folklore of 1e-3 speaks where it is not within a factor of three of 1e-3
for Adam's kin, 0.1 for SGD's, 1e-2 (torch's default) for RMSprop and Adagrad. UMLAUT's ``check_learning_rate_range``
(Schoop et al. 2021) speaks above 0.01 and below 1e-7, whatever the optimizer. Written down before: on well-tuned runs
45 and 50 %; recall of too high 75 and 85 %, of too low 80 and 0 %.

Written down before: anything on well-tuned runs, each line: trainspotter 80 %, training-doctor 95 %, losslint 45 %,
sk-autod 40 %; with means of ten 50, 60, 40 and 40 %. Too high at 95 % precision: none. Ours stands in measure.py.
"""

import argparse
import importlib.util
import json
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "finders"))
sys.path.insert(0, str(Path(__file__).parent))

from stepsize.diagnosis import Seen, diagnose

SPEC = importlib.util.spec_from_file_location("of_rules", Path(__file__).parent / "measure.py")
of_rules: Any = importlib.util.module_from_spec(SPEC)  # type: ignore[arg-type]
SPEC.loader.exec_module(of_rules)  # type: ignore[union-attr]

HIGH = ("high", "diverg", "spike", "grad", "nan", "instab", "explod")
LOW = ("low", "plateau", "stagnat", "underfit")
Lines = list[dict[str, float]]
Tool = Callable[[Lines, Path], list[str]]
HEAD = ("tool", "log", "on well-tuned runs", "too high: recall", "precision", "too low: recall", "precision", "failed")


def lines_of(seen: Seen, means: int) -> Lines:
    """Lines with loss, rate and gradient norm, or the means of so many."""
    columns = [seen[name].values for name in ("loss", "rate", "gradient_norm")]
    steps = seen["loss"].steps
    found = []
    for at in range(0, len(steps), means):
        with warnings.catch_warnings(action="ignore"):
            loss, rate, norm = (float(np.mean(values[at : at + means])) for values in columns)
        found.append({"step": int(steps[at]) + 1, "loss": loss, "learning_rate": rate, "grad_norm": norm})
    return found


def trainer_state(lines: Lines, folder: Path) -> Path:
    """The lines as Transformers writes them."""
    path = folder / "trainer_state.json"
    path.write_text(json.dumps({"global_step": lines[-1]["step"], "log_history": lines}))
    return path


def by_trainspotter(lines: Lines, folder: Path) -> list[str]:
    """Names of its findings."""
    from trainspotter import load_run, run_all

    return [finding.detector for finding in run_all(load_run(trainer_state(lines, folder)))]


def by_losslint(lines: Lines, folder: Path) -> list[str]:
    """Names of its findings."""
    from losslint.checks import run_all_checks
    from losslint.parsing import load_run

    return [finding.check for finding in run_all_checks(load_run(trainer_state(lines, folder)))]


def by_training_doctor(lines: Lines, _: Path) -> list[str]:
    """Names of its findings."""
    from training_doctor import Doctor

    doctor, found = Doctor(), []
    for line in lines:
        values = {"loss": line["loss"], "lr": line["learning_rate"], "grad_norm": line["grad_norm"]}
        found += doctor.log(step=int(line["step"]), **values)
    return [finding.problem for finding in found]


def by_sk_autod(lines: Lines, _: Path) -> list[str]:
    """Names of its findings."""
    from sk_autod import diagnose as asked

    losses = [line["loss"] for line in lines]
    return [finding.detector_name for finding in asked(losses, losses).findings]


def by_folklore(task: str, rate: float) -> list[str]:
    """What is not within a factor of three of what everybody begins with; groups' own factors are left out."""
    usual = of_rules.ENTRIES[task][1].recipe.default
    return ["high"] if rate > 3 * usual else ["low"] if rate < usual / 3 else []


def by_umlaut(_: str, rate: float) -> list[str]:
    """UMLAUT's range, which knows no optimizers."""
    return ["high"] if rate > 0.01 else ["low"] if rate < 1e-7 else []


TOOLS: dict[str, Tool] = {
    "trainspotter": by_trainspotter,
    "training-doctor": by_training_doctor,
    "losslint": by_losslint,
    "sk-autod": by_sk_autod,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", required=True, type=Path)
    runs = [run for of, *run in of_rules.labelled(parser.parse_args().runs) if of == "report"]
    seen = [(what, of_rules.seen_in(run, 16)) for _, what, _, run in runs]
    print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}")
    ours = [(what, [symptom.name for symptom in diagnose(each)]) for what, each in seen]
    row("stepsize", "200 lines", ours, 0, ("rate-too-high",), ("rate-too-low",))
    for name, rule in (("folklore of 1e-3", by_folklore), ("UMLAUT", by_umlaut)):
        peaks = [(what, task, float(np.nanmax(run["rate"]))) for task, what, _, run in runs]
        row(name, "the rate", [(what, rule(task, rate)) for what, task, rate in peaks], 0)
    with tempfile.TemporaryDirectory() as folder:
        for name, tool in TOOLS.items():
            for means in (1, 10):
                found, failed = [], 0
                for what, each in seen:
                    try:
                        with warnings.catch_warnings(action="ignore"):
                            found.append((what, tool(lines_of(each, means), Path(folder))))
                    except Exception:  # a tool that breaks on a log says nothing of it
                        found, failed = [*found, (what, [])], failed + 1
                row(name, "200 lines" if means == 1 else "means of 10", found, failed)


def row(name: str, log: str, found: list[tuple[str, list[str]]], failed: int, high=HIGH, low=LOW) -> None:
    """A line of the table."""
    total = Counter(what for what, _ in found)
    share = of_rules.interval
    cells = [share(sum(bool(names) for what, names in found if what == "good"), total["good"])]
    for side, words in (("high", high), ("low", low)):
        hits = Counter(what for what, names in found if any(word in text.lower() for text in names for word in words))
        cells += [share(hits[side], total[side]), share(hits[side], sum(hits.values()))]
    print(f"| {name} | {log} | {' | '.join(cells)} | {failed} |", flush=True)


if __name__ == "__main__":
    main()
