"""What it costs a step that the run can be steered, when no command comes: beside a step's bookkeeping.

The optimizer's own step does nothing here, as in ``control.py``. Interleaved rounds, medians with intervals. On slow
file systems, where asking for a file takes milliseconds, looks become rare: such are simulated by waiting that long in
each look. Two processes exchange a number at every step, as those that train together do, with and without steering.

Prediction, written before the first run: below 1 microsecond a step (a clock is read, and two numbers compared); on
slow file systems 0.5 % of the time, since the next look waits 200 times as long as one takes, up to ten seconds; of two
processes 0.5 %.
"""

import multiprocessing
import tempfile
import time
from pathlib import Path

import torch
import torch.distributed as dist
from _common import arguments, conclude, interval
from control import microseconds, optimizer

from stepsize import Control, cosine
from stepsize.control.steering import _commands

PLACES = multiprocessing.get_context("forkserver")
TOTAL = 10**7


def beside(place: Path, rounds: int, count: int) -> dict[str, list[float]]:
    """Microseconds of a step's bookkeeping, with and without steering."""
    plain, steered, bare = (optimizer(1, tensor=False) for _ in range(3))
    driven = {
        "not steered": Control(plain, lr=cosine(), total=TOTAL, remind=False),
        "steered": Control(steered, lr=cosine(), total=TOTAL, remind=False, steer=place),
    }
    found: dict[str, list[float]] = {name: [] for name in driven}
    for _ in range(rounds):
        alone = microseconds(lambda: (bare.step(), bare.zero_grad()), count)
        for name, control in driven.items():
            found[name].append(microseconds(control.step, count) - alone)
    return found


def slow(place: Path, latency: float, seconds: float) -> tuple[int, float]:
    """How many looks there were after the first few, and their share of the time, where each takes so long."""
    real, spent = _commands.seen, []

    def seen(path: str) -> object:
        began = time.perf_counter()
        time.sleep(latency)
        found = real(path)
        spent.append(time.perf_counter() - began)
        return found

    control = Control(optimizer(1, tensor=False), lr=cosine(), total=TOTAL, remind=False, steer=place)
    began = 0.0
    _commands.seen = seen  # type: ignore[assignment]
    try:
        while len(spent) < _commands.LOOKS or time.perf_counter() < began + seconds:
            if len(spent) < _commands.LOOKS:  # by which it learns how long one takes
                began = time.perf_counter()
            control.step()
        ended = time.perf_counter()
    finally:
        _commands.seen = real
    after = spent[_commands.LOOKS :]
    return len(after), sum(after) / (ended - began)


def together(rank: int, place: str, steps: int, rounds: int, out: object) -> None:
    """One of two processes: seconds of so many steps, steered and not, round by round."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{place}/meeting", rank=rank, world_size=2)
    controls = {
        name: Control(optimizer(1, tensor=False), lr=cosine(), total=TOTAL, remind=False, **words)
        for name, words in {"not steered": {}, "steered": {"steer": f"{place}/two"}}.items()
    }
    number = torch.zeros(1)
    found: dict[str, list[float]] = {name: [] for name in controls}
    for _ in range(rounds):
        for name, control in controls.items():
            dist.barrier()
            began = time.perf_counter()
            for _ in range(steps):
                dist.all_reduce(number)
                control.step()
            found[name].append((time.perf_counter() - began) / steps * 1e6)
    if rank == 0:
        out.put(found)  # type: ignore[attr-defined]
    dist.barrier()
    dist.destroy_process_group()


def main() -> None:
    quick = arguments(__doc__ or "").quick
    rounds, count = (2, 50) if quick else (25, 20_000)
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        alone = beside(place / "one", rounds, count)
        delays = (0.002,) if quick else (0.002, 0.01, 0.05)
        slowly = {latency: slow(place / f"{latency}", latency, 0.5 if quick else 25.0) for latency in delays}
        queue = PLACES.Queue()
        size = (50, 2) if quick else (2_000, 15)
        both = [PLACES.Process(target=together, args=(rank, name, *size, queue)) for rank in range(2)]
        for each in both:
            each.start()
        two = queue.get(timeout=600)
        for each in both:
            each.join()
    lines = ["microseconds a step, without update; median (95 % interval of the median)"]
    for title, found in {"one process": alone, "two processes that exchange a number": two}.items():
        for name, values in found.items():
            middle, low, high = interval(values)
            lines.append(f"  {title}, {name}: {middle:.2f} ({low:.2f} to {high:.2f})")
        pairs = zip(found["steered"], found["not steered"], strict=True)
        middle, low, high = interval([steered - plain for steered, plain in pairs])
        lines.append(f"  {title}, difference: {middle:.2f} ({low:.2f} to {high:.2f})")
    lines += [
        f"  a look takes {latency * 1e3:g} ms: {looks} looks, {share:.2%} of the time"
        for latency, (looks, share) in slowly.items()
    ]
    data = {"one": alone, "two": two, "slow": {str(latency): found for latency, found in slowly.items()}}
    conclude("steering", lines, data, quick)


if __name__ == "__main__":
    main()
