"""What importing stepsize adds to importing torch, timed inside fresh processes, with torch's own import beside.

Prediction, written down before the first run: ``import stepsize`` adds under 10 ms to ``import torch``, because it
loads one small file; ``from stepsize import Control`` adds under 50 ms.

A first version compared whole processes with and without stepsize: torch's own import varies by 100 ms and more from
process to process, and the difference (27 ms, interval -55 to 171) said nothing.
"""

import subprocess
import sys

from _common import arguments, conclude, interval

CASES = {
    "import torch": ("", "import torch"),
    "import stepsize, after torch": ("import torch", "import stepsize"),
    "from stepsize import Control, after torch": ("import torch", "from stepsize import Control"),
    "import numpy": ("", "import numpy"),
    "from stepsize import cosine, after numpy": ("import numpy", "from stepsize import cosine"),
}
TIMED = "{before}\nimport time\nbegan = time.perf_counter()\n{code}\nprint(time.perf_counter() - began)"


def milliseconds(before: str, code: str) -> float:
    command = [sys.executable, "-c", TIMED.format(before=before, code=code)]
    return 1000 * float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    quick = arguments(__doc__ or "").quick
    rounds, unseen = (1, 0) if quick else (15, 1)  # the first round warms the file cache
    times: dict[str, list[float]] = {name: [] for name in CASES}
    for number in range(unseen + rounds):
        for name, case in CASES.items():
            taken = milliseconds(*case)
            if number >= unseen:
                times[name].append(taken)
    lines = [f"{rounds} interleaved rounds; median (95 % interval of the median), milliseconds"]
    for name, values in times.items():
        median, low, high = interval(values)
        lines.append(f"  {name:45s} {median:8.1f}  ({low:.1f} to {high:.1f})")
    conclude("imports", lines, {"milliseconds": times}, quick)


if __name__ == "__main__":
    main()
