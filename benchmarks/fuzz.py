"""The parser under fire: texts made from the grammar and mutated; see ``tests/test_schedule_text.py`` for the maker.

It must raise nothing but its own error, give back what it accepts, take at most 50 brackets and 10,000 characters, and
stay within a limit of memory (1 GiB of address space more than at the start) and time. At least 30 % must parse.

Prediction, written down before the first run: 40 % parse, nothing else is raised, about 10 minutes.
"""

import random
import resource
import sys
import time
from pathlib import Path

from _common import arguments, conclude, progress

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from test_schedule_text import mutated

from stepsize.schedule import Schedule, ScheduleTextError


def main() -> None:
    quick = arguments(__doc__ or "").quick
    count = 5_000 if quick else 1_000_000
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    source = random.Random(1)
    parsed, refused, slowest, longest = 0, 0, 0.0, 0
    began = time.perf_counter()
    for number in range(count):
        text = mutated(source)
        longest = max(longest, len(text))
        started = time.perf_counter()
        try:
            schedule = Schedule.parse(text)
        except ScheduleTextError:
            refused += 1
        else:
            parsed += 1
            if Schedule.parse(str(schedule)) != schedule:
                raise SystemExit(f"does not round-trip: {text!r}")
        slowest = max(slowest, time.perf_counter() - started)
        if number % 100_000 == 0:
            progress(f"{number:,} texts, {parsed:,} parsed")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - used
    if grown > 2**30 or parsed < 0.3 * count:
        raise SystemExit(f"memory grew by {grown:,} bytes, {parsed:,} of {count:,} parsed")
    lines = [
        f"{count:,} texts in {time.perf_counter() - began:.0f} s",
        f"{parsed:,} parsed and round-tripped, {refused:,} refused",
        "nothing else was raised",
        f"slowest {1000 * slowest:.1f} ms, longest text {longest:,} characters, memory grew by {grown / 2**20:.0f} MiB",
    ]
    conclude("fuzz", lines, {"count": count, "parsed": parsed, "refused": refused, "slowest": slowest}, quick)


if __name__ == "__main__":
    main()
