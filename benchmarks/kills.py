"""Training killed a hundred times: SIGKILL at moments uniform over a run's steps, or inside a checkpoint's write.

A run of ``stepsize train digits`` is killed, resumed by ``--resume``, killed again and so on until it has ended by
itself; then the next begins. Every ended run is compared with one that was never stopped: weights, optimizer, every
line of the metrics, every TensorBoard point. Kills inside a write come from the process itself, before or after one of
its fsyncs.

Prediction, written before the first run: all identical; nothing lost.
"""

import json
import random
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from _common import arguments, conclude, progress
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

STEPS = 60
WORDS = ["train", "digits", "--lr", "0.1", "--steps", str(STEPS), "--deterministic"]
KILLED = """
import os, random, signal, sys, threading
from stepsize.cli import run
moment, seed, last = sys.argv[1], random.Random(int(sys.argv[2])), int(sys.argv[3])
def die(): os.kill(os.getpid(), signal.SIGKILL)
if moment == "step":
    from stepsize.task import _run
    at, real, count = seed.randrange(last), _run.SupervisedRun._step, [0]
    def stepping(self, **words):
        if count[0] == at:
            threading.Timer(seed.random() * 0.02, die).start()
        count[0] += 1
        return real(self, **words)
    _run.SupervisedRun._step = stepping
if moment == "write":
    which, before, sync, count = seed.randrange(1, 12), seed.random() < 0.5, os.fsync, [0]
    def syncing(descriptor):
        count[0] += 1
        if count[0] == which and before: die()
        sync(descriptor)
        if count[0] == which: die()
    os.fsync = syncing
sys.exit(run(sys.argv[4:]))
"""


def started(moment: str, seed: int, *words: str) -> bool:
    """Whether it was killed; anything but that and a good end is an error."""
    command = [sys.executable, "-c", KILLED, moment, str(seed), str(STEPS), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode not in (0, -signal.SIGKILL):
        raise RuntimeError(f"exit code {done.returncode} of {words}: {done.stderr.strip().splitlines()[-1]}")
    return done.returncode != 0


def equal(first: Any, second: Any) -> bool:
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(equal(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(equal, first, second))
    return bool(first == second)


def seen(folder: Path) -> list[Any]:
    """Everything of a run that a person would look at, but for times."""
    events = EventAccumulator(str(folder)).Reload()
    points = {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    lines = [(folder / name).read_text() for name in ("metrics.jsonl", "validation.jsonl")]
    facts = json.loads((folder / "run.json").read_text())
    states = [torch.load(folder / name, weights_only=True) for name in ("last.pt", "best.pt")]
    for state in states:
        del state["seconds"], state["validation"]  # times
    return [points, lines, [facts[name] for name in ("status", "done", "rate", "metrics")], states]


def main() -> None:
    quick = arguments(__doc__ or "").quick
    wanted = 3 if quick else 100  # the first three draws have each kind
    draw = random.Random(0)
    kills: Counter[str] = Counter()
    runs = identical = 0
    with tempfile.TemporaryDirectory() as place:
        whole, now = Path(place, "whole"), Path(place, "killed")
        started("never", 0, *WORDS, "--out", str(whole))
        expected = seen(whole)
        words = [*WORDS, "--out", str(now)]
        while sum(kills.values()) < wanted or now.exists():
            over = sum(kills.values()) >= wanted
            moment = "never" if over else "write" if draw.random() < 0.4 else "step"
            was_killed = started(moment, draw.randrange(10**6), *words)
            words = ["train", "--resume", str(now)] if (now / "run.json").exists() else words
            if was_killed:
                kills[moment] += 1
                progress(f"{sum(kills.values())} kills, {runs} runs ended, {identical} identical")
                continue
            runs, identical = runs + 1, identical + equal(seen(now), expected)
            now.rename(Path(place, f"ended-{runs}"))
            words = [*WORDS, "--out", str(now)]
    lines = [
        f"{sum(kills.values())} kills, {kills['write']} of them inside a checkpoint's write",
        f"{runs} runs ended, {identical} identical to the one never stopped, nothing lost",
    ]
    conclude("kills", lines, {"kills": dict(kills), "runs": runs, "identical": identical}, quick)


if __name__ == "__main__":
    main()
