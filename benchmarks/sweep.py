"""What sweeps cost: CPU time of a trial in worker processes against one after the other, and reading a thousand trials.

Two workers train two trials of digits at the same time; then they wait, and the same two are trained here, one after
the other; and so on. The workers' CPU time is what the system counts for them between, in steps of 0.01 s; what they
had used when both had trained for one step is their start, stated apart. A sweep of a thousand trials is trained for
real, then opened, asked and drawn.

Predictions, written before the first run: a trial in a worker costs the CPU time of a serial one within 8 %; a worker's
start costs 4 to 5 CPU seconds, nearly all of it imports; a thousand trials open, are read and drawn in under 2 CPU
seconds, nearly all of it the picture. (In the first run the picture took 3.0 s: matplotlib looked for margins and
drew it twice. The margins are said since, and it is drawn once.)
"""

import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from _common import arguments, conclude, interval, progress

from stepsize import Trial, sweep
from stepsize.engine import Processes, serial
from stepsize.pages import sweep_picture
from stepsize.sweeps import Sweep, logspace
from stepsize.task import task_named

DIGITS, WORKERS = task_named("digits"), 2
WARM = [Trial("digits", {"lr": 0.1}, seed, 1) for seed in range(WORKERS)]  # one for each worker


def took(work: Callable[[], Any]) -> float:
    """CPU seconds of this process."""
    began = time.process_time()
    work()
    return time.process_time() - began


def workers() -> list[list[str]]:
    """What the system says of each worker: fields of its stat from the state on."""
    pids = [child.pid for child in multiprocessing.active_children()]
    return [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]


def waited() -> tuple[float, float]:
    """CPU seconds of the workers, and the time, when all of them have waited for work for a tenth of a second."""
    since = time.perf_counter()
    while time.perf_counter() - since < 0.1:
        time.sleep(0.005)
        if any(fields[0] != "S" for fields in workers()):
            since = time.perf_counter()
    return sum(int(fields[11]) + int(fields[12]) for fields in workers()) / os.sysconf("SC_CLK_TCK"), since


def engines(rounds: int, steps: int) -> dict[str, list[float]]:
    trials = [Trial("digits", {"lr": 0.1}, seed, steps) for seed in range(WORKERS)]
    names = ("serial", "processes", "ratio", "walls", "start")
    found: dict[str, list[float]] = {name: [] for name in names}
    list(serial(DIGITS, WARM))

    def work() -> Iterator[Trial]:
        yield from WARM
        found["start"].append(waited()[0] / WORKERS)
        for _ in range(rounds):
            before, began = waited()[0], time.perf_counter()
            yield from trials  # the next is asked for when one of both is done
            after, ended = waited()
            together, between = ended - began, time.perf_counter()
            found["serial"].append(took(lambda: list(serial(DIGITS, trials))) / WORKERS)
            found["walls"].append(together / (time.perf_counter() - between))
            found["processes"].append((after - before) / WORKERS)
            found["ratio"].append(found["processes"][-1] / found["serial"][-1])
            progress(", ".join(f"{name} {found[name][-1]:.3f}" for name in names))

    list(Processes(WORKERS)(DIGITS, work()))
    return found


def reading(rounds: int, seeds: int, momenta: list[float], steps: int) -> tuple[int, dict[str, list[float]]]:
    """CPU seconds of each way of reading a large sweep; how many trials it has."""
    with tempfile.TemporaryDirectory() as place:
        task, folder = task_named("linear-regression"), Path(place)
        sweep(task, logspace(1e-3, 1, 13), seeds, steps=steps, folder=folder, engine=serial, momentum=momenta)
        progress("trained")
        found: dict[str, list[float]] = {"importing matplotlib": [took(matplotlib)]}
        for number in range(rounds):
            swept = Sweep.open(folder)
            variant = swept.variants[0]
            ways: dict[str, Callable[[], Any]] = {
                "opening": lambda: Sweep.open(folder),
                "best rates": swept.best,
                "curves": swept.curves,
                "training curves of a variant": lambda swept=swept, variant=variant: swept.training_curves(variant),
                "picture": lambda swept=swept: sweep_picture(swept),
            }
            for name, way in ways.items():
                # the first picture also finds and reads the fonts
                key = "first picture" if name == "picture" and number == 0 else name
                found.setdefault(key, []).append(took(way))
        return len(swept.outcomes), found


def matplotlib() -> None:
    import matplotlib.backends.backend_agg
    import matplotlib.figure  # noqa: F401


def shown(values: list[float], unit: str = "s") -> str:
    median, low, high = interval(values)
    return f"{median:.3f} {unit} ({low:.3f} to {high:.3f})".replace(" )", ")")


def main() -> None:
    quick = arguments(__doc__ or "").quick
    before = os.getloadavg()[0]
    trials, read = reading(*((2, 2, [0.0, 0.9], 3) if quick else (9, 7, [each / 11 for each in range(11)], 20)))
    found = engines(*((1, 20) if quick else (10, 200)))
    after = os.getloadavg()[0]
    sums = {
        kind: sum(interval(read[name])[0] for name in read if name not in left_out) for kind, left_out in SUMS.items()
    }
    lines = [
        f"digits, {20 if quick else 200} steps, {WORKERS} workers of one thread, {torch.get_num_threads()} thread here",
        f"  CPU time of a trial, serial      {shown(found['serial'])}",
        f"  CPU time of a trial, processes   {shown(found['processes'])}",
        f"  processes / serial               {shown(found['ratio'], '')}",
        f"  start of one worker, CPU time    {shown(found['start'])}",
        f"  wall time, processes / serial    {shown(found['walls'], '')}",
        f"a sweep of {trials:,} trials, CPU time",
        *(f"  {name:30s}   {shown(values)}" for name, values in read.items()),
        *(f"  {kind:30s}   {value:.3f} s" for kind, value in sums.items()),
        f"load of the machine at the start and end: {before:.1f} and {after:.1f} on {os.cpu_count()} cores",
    ]
    conclude("sweep", lines, {"engines": found, "trials": trials, "reading": read, "load": [before, after]}, quick)


SUMS = {
    "together": ("importing matplotlib", "first picture"),
    "together in a new process": ("picture",),
}

if __name__ == "__main__":
    main()
