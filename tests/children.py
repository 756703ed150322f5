"""Child processes of tests, which end with the test, whatever happens."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


@contextlib.contextmanager
def child(command, **words):
    """A child that leads a group of its own, as at a terminal; it ends with all it has begun when the block is left."""
    with subprocess.Popen(command, start_new_session=True, **words) as process:
        try:
            yield process
        finally:
            below = descendants(process.pid)  # torchrun's lead groups of their own
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            for pid in below:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def children(pid):
    """The processes that a process has begun, as far as the system tells."""
    try:
        told = [each.read_text().split() for each in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:  # it has just ended
        return []
    return [int(each) for part in told for each in part]


def descendants(pid):
    """Those, and what they have begun."""
    return [each for below in children(pid) for each in (below, *descendants(below))]


def once(question, process=None, seconds=120):
    """The answer to a question once there is one, while the child that is to bring it about runs."""
    end = time.monotonic() + seconds
    while not (answer := question()):
        assert process is None or process.poll() is None, "the child has ended before it happened"
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)
    return answer


FORKS = """
import json, os, sys
imports, programs = sys.argv[1], json.loads(sys.argv[2])
exec(imports)
ends = []
for place, (program, *arguments) in enumerate(programs):
    if not (pid := os.fork()):
        for descriptor, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{name}-{place}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
        sys.argv[1:] = arguments
        exec(compile(program, "<program>", "exec"), {"__name__": "__main__"})
        break
    ends.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
else:
    print(json.dumps(ends))
"""


def ended(folder, imports, *programs):
    """The exit code, output and errors of programs, one after the other, each in a process of its own.

    Each is a program and its arguments, and ends as a program does. What takes the time, the imports, is done once: the
    processes are forks of one that has done nothing else.
    """
    command = [sys.executable, "-W", "ignore", "-c", FORKS, imports, json.dumps(programs)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    texts = [[(folder / f"{name}-{place}").read_text() for name in ("out", "err")] for place in range(len(programs))]
    return [(code, *text) for code, text in zip(json.loads(done.stdout), texts, strict=True)]
