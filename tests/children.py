"""Child processes of tests, which end with the test, whatever happens."""

import contextlib
import os
import signal
import subprocess
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
