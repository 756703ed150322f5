"""What the benchmarks share: where logs go, and what machine they ran on."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stepsize.watch import environment

torch.set_num_threads(1)  # small networks; and figures then do not depend on the number of cores
LOGS = Path(__file__).parent / "logs"


def arguments(description: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="few repetitions, as CI runs it; writes no log")
    return parser.parse_args()


def conclude(name: str, lines: list[str], data: dict[str, Any], quick: bool) -> None:
    """Print the report, and keep it with its figures under logs/ when it was a full run."""
    facts = environment()
    head = f"{name}: {facts['versions']}, {facts['threads']} threads"
    report = "\n".join([head, *lines])
    print(report)
    if not quick:
        (LOGS / name).parent.mkdir(parents=True, exist_ok=True)
        (LOGS / f"{name}.log").write_text(report + "\n", encoding="utf-8")
        (LOGS / f"{name}.json").write_text(json.dumps({**facts, **data}, indent=1) + "\n", encoding="utf-8")


def interval(values: list[float]) -> tuple[float, float, float]:
    """Median and the 2.5 % and 97.5 % quantiles of its bootstrap."""
    generator = np.random.default_rng(0)
    sample = np.asarray(values, dtype=float)
    medians = np.median(generator.choice(sample, (2_000, len(sample))), axis=1)
    low, high = np.quantile(medians, [0.025, 0.975])
    return float(np.median(sample)), float(low), float(high)


def progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
