"""A Ray cluster of two machines whose second one is killed in the middle of a sweep, twenty times.

Both machines are on this one: a raylet with one CPU each. A sweep of 12 trials runs on both; at a moment drawn
uniformly over the time that an undisturbed one takes, the second raylet and its workers get SIGKILL, and the sweep has
to end on the first. Then a new second machine joins, and the next sweep begins. Every sweep is compared with one by the
serial engine in this process: each trial once, every loss, score and figure bit for bit the same. How many trials were
begun again is counted by the task itself.

Prediction, written before the first run: all complete and identical; about one trial begun again for each kill, since
one is under way on the machine that dies. (In the first tries the raylet alone was killed, and only one trial in eleven
kills was begun again: a worker lives long enough after it to end its trial and hand the result over.)
"""

import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from _common import arguments, conclude, interval, progress

from stepsize import Trial, sweep
from stepsize.engine import Ray, Result, serial
from stepsize.task import task_named

MACHINE = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
RATES, SEEDS, STEPS = [0.003, 0.01, 0.03, 0.1], 3, 300
Figures = dict[str, tuple[Any, ...]]


def swept(task: Any, engine: Any, steps: int) -> tuple[Figures, int, float]:
    """What a sweep finds by trial, how many results it has, and its time."""
    came: list[Result] = []
    began = time.perf_counter()
    sweep(task, RATES, SEEDS, steps=steps, engine=engine, on_result=came.append)
    figures = {each.trial.key: (each.score, each.losses, each.metrics) for each in came}
    return figures, len(came), time.perf_counter() - began


def patiently(start: Callable[[], Any]) -> Any:
    """Ray gives a machine half a minute to begin, which is not always enough on a busy one."""
    for _ in range(2):
        try:
            return start()
        except Exception as error:
            if "timed out" not in str(error):
                raise
    return start()


def children(pid: int) -> list[int]:
    """All processes below one."""
    mine = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [*mine, *(below for each in mine for below in children(each))]


def killed(cluster: Any, machine: Any) -> None:
    """What a power cut does: the raylet and its workers at once, so that no worker ends its trial first."""
    raylet = machine.all_processes["raylet"][0].process.pid
    for pid in [raylet, *children(raylet)]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    cluster.remove_node(machine, allow_graceful=False)


@dataclass
class Found:
    """What came of the kills."""

    trials: int
    usual: float  # seconds of a sweep that nothing disturbs
    again: list[int] = field(default_factory=list)  # trials begun again, by kill
    seconds: list[float] = field(default_factory=list)
    complete: int = 0
    identical: int = 0
    missed: int = 0


def kills(cluster: Any, wanted: int, notes: Path, steps: int = STEPS) -> Found:
    """Kill the second machine of a cluster so many times, each time in a sweep.

    Args:
        cluster: of Ray, with its first machine alone.
        wanted: kills.
        notes: a file to which a trial adds a byte when it begins; workers know it by ``STEPSIZE_NOTES``.
        steps: of a trial.
    """
    draw = random.Random(0)
    task = task_named(f"{Path(__file__).parent / '_noted_task.py'}:task")
    engine = Ray(cluster.address)
    expected, count, _ = swept(task, serial, steps)
    found, normal = None, 0
    while found is None or len(found.seconds) < wanted:
        second = patiently(lambda: cluster.add_node(**MACHINE))
        cluster.wait_for_nodes()
        list(engine(task, [Trial("noted", {"lr": rate}, 0, 5) for rate in (0.1, 0.2)]))  # both have begun to work
        begun = notes.stat().st_size
        if found is None:
            *_, usual = swept(task, engine, steps)
            found = Found(count, usual)
            normal, begun = notes.stat().st_size - begun, notes.stat().st_size
        kill = threading.Timer(draw.uniform(0, found.usual), killed, (cluster, second))
        kill.start()
        figures, results, took = swept(task, engine, steps)
        in_time = not kill.is_alive()
        kill.join()
        if not in_time:  # the sweep was quicker than the moment that was drawn
            found.missed += 1
            continue
        found.seconds.append(took)
        found.again.append(notes.stat().st_size - begun - normal)
        found.complete += results == len(figures) == len(expected) == count
        found.identical += figures == expected
        progress(
            f"{len(found.seconds)} kills, {sum(found.again)} trials begun again, {found.complete} complete, "
            f"{found.identical} identical"
        )
    return found


def main() -> None:
    quick, before = arguments(__doc__ or "").quick, os.getloadavg()[0]
    wanted = 1 if quick else 20
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    with tempfile.TemporaryDirectory() as place, redirect_stdout(sys.stderr):  # Ray says there what dies
        notes = Path(place, "notes")
        notes.touch()
        os.environ["STEPSIZE_NOTES"] = str(notes)
        import ray
        from ray.cluster_utils import Cluster

        head = {**MACHINE, "include_dashboard": False}
        cluster = patiently(lambda: Cluster(initialize_head=True, head_node_args=head))
        found = kills(cluster, wanted, notes)
        ray.shutdown()
        cluster.shutdown()
    middle, low, high = interval(found.seconds)
    again, missed, complete, identical = found.again, found.missed, found.complete, found.identical
    lines = [
        f"{wanted} kills of a machine, each in a sweep of {found.trials} trials; {missed} more came when it had ended",
        f"{complete} of {wanted} sweeps complete, every trial once; {identical} of {wanted} identical to serial",
        f"{sum(again)} trials begun again, at most {max(again)} in one sweep",
        f"a sweep undisturbed {found.usual:.1f} s, with a kill {middle:.1f} s [{low:.1f}, {high:.1f}]",
        f"load of the machine at the start and end: {before:.1f}, {os.getloadavg()[0]:.1f}; {os.cpu_count()} cores",
    ]
    data = {"kills": wanted, "complete": complete, "identical": identical, "begun_again": again}
    data |= {"seconds": found.seconds, "undisturbed": found.usual, "missed": missed}
    conclude("ray_kills", lines, data, quick)


if __name__ == "__main__":
    main()
