"""Child processes of tests, which end with the test, whatever happens."""

import atexit
import contextlib
import importlib
import json
import multiprocessing
import os
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import types
from multiprocessing import forkserver
from pathlib import Path


@contextlib.contextmanager
def child(command, **words):
    """A child that leads a group of its own, as at a terminal; it ends with all it has begun when the block is left."""
    with subprocess.Popen(command, start_new_session=True, **words) as process:
        try:
            yield process
        finally:
            end(process.pid)


def end(pid):
    """End the group that a process leads, and all that it has begun."""
    below = descendants(pid)  # torchrun's lead groups of their own
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    for each in below:
        with contextlib.suppress(ProcessLookupError):
            os.kill(each, signal.SIGKILL)


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


ONE_AFTER_THE_OTHER = """
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
    command = [sys.executable, "-W", "ignore", "-c", ONE_AFTER_THE_OTHER, imports, json.dumps(programs)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    texts = [[(folder / f"{name}-{place}").read_text() for name in ("out", "err")] for place in range(len(programs))]
    return [(code, *text) for code, text in zip(json.loads(done.stdout), texts, strict=True)]


FORKS = multiprocessing.get_context("forkserver")
# what others have written and takes long, and nothing of stepsize, which a test may change before it is imported
IMPORTED = "torch torch._dynamo torch.distributed.fsdp torch.utils.tensorboard matplotlib.pyplot sklearn.datasets typer"
FORKS.set_forkserver_preload(IMPORTED.split())


class Fork:
    """A Python program in a process of its own, as ``python *words``, whose imports were done once for all of these.

    It is a fork of a process that has done nothing but the imports. What it has in common with the others is the seed
    of hashes, and the order of sets with it; where that or its beginning matters, take a `child`.
    """

    def __init__(self, words, cwd=".", env=None):
        self.folder = Path(tempfile.mkdtemp())
        self.texts = [self.folder / "out", self.folder / "err"]
        environment = dict(os.environ) if env is None else env
        arguments = [str(word) for word in words], str(Path(cwd).resolve()), environment, self.texts
        self.process = FORKS.Process(target=_as_python, args=arguments)
        self.process.start()
        self.pid = self.process.pid

    @property
    def returncode(self):
        return self.process.exitcode

    def poll(self):
        return self.process.exitcode

    def wait(self, timeout=None):
        self.process.join(timeout)
        assert self.returncode is not None, f"it has not ended within {timeout} s"
        return self.returncode

    def communicate(self, timeout=None):
        """What it has printed and its errors, when it has ended."""
        self.wait(timeout)
        return tuple(path.read_text() if path.exists() else "" for path in self.texts)

    @property
    def printed(self):
        """What it has printed so far."""
        return self.texts[0].read_text() if self.texts[0].exists() else ""

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)


def _as_python(words, folder, environment, texts):
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for descriptor, path in enumerate(texts, 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), descriptor)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # where the server was begun while workers were
    if threads := environment.get("OMP_NUM_THREADS"):
        sys.modules["torch"].set_num_threads(int(threads))
    first, *rest = words
    try:
        if first == "-c":
            sys.argv, sys.path[:0] = ["-c", *rest[1:]], [""]
            main = sys.modules["__main__"] = types.ModuleType("__main__")
            exec(compile(rest[0], "<string>", "exec"), vars(main))
        elif first == "-m":
            sys.argv, sys.path[:0] = rest, [folder]
            runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
        else:
            sys.argv, sys.path[:0] = words, [str(Path(first).resolve().parent)]
            runpy.run_path(first, run_name="__main__")
    finally:
        atexit._run_exitfuncs()


@contextlib.contextmanager
def forked(words, **more):
    """A `Fork`; it ends with all it has begun when the block is left."""
    process = Fork(words, **more)
    try:
        yield process
    finally:
        end(process.pid)
        process.send_signal(signal.SIGKILL)  # it may not lead a group yet
        process.process.join()
        shutil.rmtree(process.folder)


@contextlib.contextmanager
def ranks(words, count=2, **more):
    """Forks that are the processes of a group, as torchrun says it to them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {**os.environ, "WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    shared |= {"OMP_NUM_THREADS": "1"}
    with contextlib.ExitStack() as begun:
        of_each = [{**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(count)]
        yield [begun.enter_context(forked(words, env=env, **more)) for env in of_each]


def ran(words, timeout=600, **more):
    """A program that has ended, as `subprocess.run` gives it."""
    with forked(words, **more) as process:
        texts = process.communicate(timeout)
        return subprocess.CompletedProcess(words, process.returncode, *texts)


def side_by_side(worker, arguments, count):
    """As `torch.multiprocessing.spawn`, with the imports done."""
    processes = importlib.import_module("torch.multiprocessing")
    processes.start_processes(worker, arguments, nprocs=count, start_method="forkserver")


def end_forks():
    """End the process that they are forks of, if there is one, and wait for it."""
    server = forkserver._forkserver
    if server._forkserver_pid is not None:
        os.kill(server._forkserver_pid, signal.SIGTERM)  # it would wait for all that still have its pipe
        server._stop()
