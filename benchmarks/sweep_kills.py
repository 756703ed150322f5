"""A sweep killed a hundred times: SIGKILL of the process that leads it, inside its transactions, and of its workers.

A sweep of 200 trials with two workers is killed, the same command is given again, killed again and so on until it has
ended by itself; then the next begins. Every ended sweep is compared with one that was never disturbed: each trial there
once, status, score, validation figures and every training loss bit for bit the same. Workers whose leader was killed
must go by themselves. Moments are uniform over the time of an undisturbed sweep, or between the statements of a
transaction, or during its commit.

Prediction, written before the first run: all identical; every orphan gone within two seconds. (In the first run one was
not gone after 60 seconds, on two cores with ten other jobs, and gone later; probably a worker looks for its leader only
when it has imported torch. The wait before an orphan counts as one that stays is ten minutes since.)
"""

import json
import math
import os
import random
import signal
import sqlite3
import statistics
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

from _common import arguments, conclude, progress
from _killed_sweep import go_on

from stepsize.sweeps import NAME

SHARES = {"transaction": 0.5, "driver": 0.35, "worker": 0.15}
TRIALS = 200
PATIENCE = 600.0  # seconds for an orphan to go, before it counts as one that stays


def started(folder: Path, moment: str, seed: int, seconds: float, notes: Path) -> bool:
    """Whether it was killed; anything but that and a good end is an error."""
    child = os.fork()  # a process that has imported torch already; its workers import it each
    if child == 0:
        try:
            go_on(folder, moment, seed, seconds, notes)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code not in (0, -signal.SIGKILL):
        raise RuntimeError(f"exit code {code} of {moment} {seed}, its own message is above")
    return code != 0


def seen(folder: Path) -> dict[str, Any]:
    """Everything the file says, but for times and for who did it."""
    with sqlite3.connect(folder / NAME) as db:
        trials = db.execute(
            "SELECT key, settings, seed, steps, status, done, score, metrics, losses, threads FROM trials"
        )
        whole = {
            "sound": db.execute("PRAGMA integrity_check").fetchall(),
            "trials": sorted(trials),
            "rungs": sorted(db.execute("SELECT * FROM rungs")),
            "starts": sorted(db.execute("SELECT * FROM starts")),
            "facts": sorted(db.execute("SELECT * FROM sweep")),
            "claims": db.execute("SELECT key FROM trials WHERE owner IS NOT NULL").fetchall(),
        }
    db.close()
    return whole


def once(whole: dict[str, Any]) -> bool:
    return len(whole["trials"]) == len({row[0] for row in whole["trials"]}) == len(whole["rungs"]) == TRIALS


def is_there(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def gone_after(pids: list[int]) -> float:
    """Seconds until none of the orphans is left, infinite if one stays."""
    began = time.perf_counter()
    while any(map(is_there, pids)):
        if time.perf_counter() - began > PATIENCE:
            return float("inf")
        time.sleep(0.02)
    return time.perf_counter() - began


def main() -> None:
    quick, before = arguments(__doc__ or "").quick, os.getloadavg()[0]
    wanted = 3 if quick else 100  # the first three draws have each kind
    draw = random.Random(0)
    kills: Counter[str] = Counter()
    orphans: list[float] = []
    inside = read = sweeps = identical = 0
    with tempfile.TemporaryDirectory() as place:
        notes = Path(place, "notes")
        notes.touch()
        whole, now = Path(place, "whole"), Path(place, "killed-0")
        began = time.perf_counter()
        started(whole, "never", 0, 0, notes)
        seconds, expected = time.perf_counter() - began, seen(whole)
        if not once(expected):
            raise RuntimeError("the sweep that was not disturbed does not have every trial once")
        while sum(kills.values()) < wanted or now.exists():
            over = sum(kills.values()) >= wanted
            moment = "never" if over else draw.choices(list(SHARES), SHARES.values())[0]  # type: ignore[arg-type]
            was_killed = started(now, moment, draw.randrange(10**6), seconds, notes)
            lines = [json.loads(line) for line in notes.read_text().splitlines()]
            for line in lines[read:]:
                kills[line["who"]] += 1
                inside += line["inside"]
                if line["workers"]:
                    orphans += [gone_after(line["workers"])] * len(line["workers"])
            read = len(lines)
            if not was_killed:
                sweeps, identical = sweeps + 1, identical + (seen(now) == expected)
                now = Path(place, f"killed-{sweeps}")
            progress(f"{dict(kills)}, {inside} inside a transaction, {sweeps} sweeps ended, {identical} identical")
    slowest = max(orphans, default=0.0)
    lines = [
        f"{sum(kills.values())} kills: {kills['worker']} of workers, {kills['driver']} of the leading process",
        f"{inside} of them inside a transaction",
        f"{sweeps} sweeps of {TRIALS} trials ended, {identical} identical to the one never disturbed, every trial once",
        f"{len(orphans)} workers were left without their leader, {sum(map(math.isfinite, orphans))} of them went",
        f"half of them within {statistics.median(orphans or [0]):.2f} s, the last one after {slowest:.1f} s",
        f"load of the machine at the start and end: {before:.1f}, {os.getloadavg()[0]:.1f}; {os.cpu_count()} cores",
    ]
    data = {"kills": dict(kills), "inside": inside, "sweeps": sweeps, "identical": identical}
    conclude("sweep_kills", lines, {**data, "orphans_gone_after": sorted(orphans)}, quick)


if __name__ == "__main__":
    main()
