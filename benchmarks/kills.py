"""Training killed a hundred times: SIGKILL at moments uniform over a run's steps, or inside a checkpoint's write.

A run of ``stepsize train digits`` is killed, resumed by ``--resume``, killed again and so on until it has ended by
itself; then the next begins. Every ended run is compared with one that was never stopped: weights, optimizer, every
line of the metrics, every TensorBoard point. Kills inside a write come from the process itself, before or after one of
its fsyncs.

Prediction, written before the first run: all identical; nothing lost.
"""

import json
import os
import random
import signal
import tempfile
import threading
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

import matplotlib.pyplot
import sklearn.datasets
import torch
import torch._dynamo
from _common import arguments, conclude, progress
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from stepsize.cli import run
from stepsize.task._run import SupervisedRun

ALL_IMPORT = (matplotlib.pyplot, sklearn.datasets, torch._dynamo)
STEPS = 60
WORDS = ["train", "digits", "--lr", "0.1", "--steps", str(STEPS), "--deterministic"]


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def armed(moment: str, seed: random.Random) -> None:
    """Have this process kill itself at a moment: in a step, around a write, or never."""
    count = [0]
    if moment == "step":
        at, step = seed.randrange(STEPS), SupervisedRun._step

        def stepping(self: Any, **words: Any) -> Any:
            if count[0] == at:
                threading.Timer(seed.random() * 0.02, die).start()
            count[0] += 1
            return step(self, **words)

        SupervisedRun._step = stepping  # type: ignore[method-assign]
    if moment == "write":
        which, before, sync = seed.randrange(1, 12), seed.random() < 0.5, os.fsync

        def syncing(descriptor: int) -> None:
            count[0] += 1
            if count[0] == which and before:
                die()
            sync(descriptor)
            if count[0] == which:
                die()

        os.fsync = syncing  # type: ignore[assignment]


def started(moment: str, seed: int, *words: str) -> bool:
    """Whether it was killed; anything but that and a good end is an error."""
    with tempfile.TemporaryFile("w+") as errors:
        child = os.fork()  # a process that has imported already what all of them import
        if child == 0:
            code = 1
            try:
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
                os.dup2(errors.fileno(), 2)
                armed(moment, random.Random(seed))
                code = run(list(words))
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code not in (0, -signal.SIGKILL):
            errors.seek(0)
            raise RuntimeError(f"exit code {code} of {words}: {errors.read().strip().splitlines()[-1]}")
    return code != 0


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
