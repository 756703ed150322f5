"""Several trials at once on a Ray cluster, or on this machine through Ray: each trial a Ray task."""

import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from stepsize import _check, _extras
from stepsize.engine._processes import ATTEMPTS, Failed, cores
from stepsize.engine._serial import check_trial, check_work
from stepsize.engine._work import Leg, Result, done
from stepsize.task import Parcel, Startable, Trial, device_of, packed, unpacked

RETRIES = 4 * ATTEMPTS  # of a trial whose worker or machine dies; machines of a cluster go more often than processes
PATIENCE = 5.0  # seconds for anything to listen at an address
LIMIT = 30.0  # seconds for what listens there to answer as Ray does
CONNECT = "import sys, ray; ray.init(sys.argv[1], log_to_driver=False, logging_level='ERROR')"
STORE = 80 * 2**20  # bytes of shared memory where Ray is started here; results are small
START = "ray start --head"


@dataclass(frozen=True)
class Ray:
    """Train trials as Ray tasks, as many at once as the cluster has room for; results come as they finish.

    The figures are those of ``serial`` with as many threads, bit for bit on processors of one kind. A trial whose
    worker or machine dies is begun again elsewhere. Ray stays connected until the program ends; if it is connected
    already, that cluster is used. On other machines stepsize must be installed, and a task's file at the same place.

    Args:
        address: of a cluster, such as ``"10.0.0.1:6379"`` or ``"auto"``; Ray is started on this machine when left out.
        workers: trials at once, >= 1; as many as the cluster has room for when left out.
        threads: CPU threads of each, and CPUs it takes of the cluster, >= 1.
        gpus: what each takes of the cluster's GPUs, such as 0.5, >= 0; one if the task trains on ``"cuda"``, else none,
            when left out.

    Raises:
        TypeError, ValueError: an argument is invalid.

    Example:
        >>> from stepsize.engine import Ray
        >>> engine = Ray("10.0.0.1:6379", gpus=0.5)  # for sweep(task, rates, engine=engine), and find
        >>> engine.gpus, engine.threads
        (0.5, 1)

    Source: Moritz et al. 2018, "Ray: a distributed framework for emerging AI applications" (arXiv 1712.05889).
    """

    address: str | None = None
    workers: int | None = None
    threads: int = 1
    gpus: float | None = None

    def __post_init__(self) -> None:
        if self.address is not None and (not isinstance(self.address, str) or not _is_address(self.address)):
            raise ValueError(_check.message("address", self.address, 'HOST:PORT, such as "10.0.0.1:6379", or "auto"'))
        if self.workers is not None:
            _check.whole("workers", self.workers, least=1)
        _check.whole("threads", self.threads, least=1)
        if self.gpus is not None:
            _check.number("gpus", self.gpus, least=0)

    def __call__(self, task: Startable, trials: Iterable[Trial | Leg]) -> Iterator[Result]:
        """Train the trials.

        Args:
            task: what the trials are of; built in, from ``task_named("file.py:task")``, or one that can be pickled.
            trials: what is to be trained; the next is asked for when there is room.

        Raises:
            TypeError: the task cannot be sent to another process.
            ImportError: Ray is not installed.
            ConnectionError: no cluster answers at the address.
            ValueError: the cluster has no machine with so many CPUs or GPUs.
            RuntimeError: the workers of one trial died again and again.
        """
        check_work(task, trials)
        parcel = packed(task)
        ray = self.connect()
        on_card = device_of(task).startswith("cuda")
        needs = {"CPU": float(self.threads), "GPU": float(on_card) if self.gpus is None else float(self.gpus)}
        _check_room(ray, needs)
        return self._results(ray, parcel, needs, map(check_trial, trials))

    def connect(self) -> Any:
        """The module ``ray``, connected, as the first call would do it: to learn at once whether that can be done.

        Raises:
            ImportError: Ray is not installed.
            ConnectionError: no cluster answers at the address.
        """
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        ray = _extras.load("ray", "ray", "the engine ray")
        if ray.is_initialized():
            return ray
        quiet = {"log_to_driver": False, "logging_level": "ERROR"}
        address = self.address or os.environ.get("RAY_ADDRESS")
        if address is None:
            return self._started_here(ray, quiet)
        _check_answers(address)
        try:
            ray.init(address, **quiet)
        except (ConnectionError, RuntimeError) as error:
            raise ConnectionError(_unreachable(address, _check.in_one_line(error))) from error
        return ray

    def _started_here(self, ray: Any, quiet: dict[str, Any]) -> Any:
        count = max(cores(), self.threads * (self.workers or 1))
        try:
            ray.init("local", num_cpus=count, include_dashboard=False, object_store_memory=STORE, **quiet)
        except Exception as error:  # Ray raises no class of its own for it
            why = _check.in_one_line(error)
            remedy = "the engine processes needs no Ray, and another try may do on a busy machine"
            raise ConnectionError(f"Ray could not be started on this machine ({why}); {remedy}") from error
        return ray

    def _results(
        self, ray: Any, parcel: Parcel, needs: dict[str, float], trials: Iterator[Trial | Leg]
    ) -> Iterator[Result]:
        takes = {"num_cpus": needs["CPU"], "num_gpus": needs["GPU"], "max_retries": RETRIES}
        begin = ray.remote(**takes)(_trained).remote
        sent = ray.put(pickle.dumps(parcel)), self.threads, os.environ.get("STEPSIZE_DATA")
        working: dict[Any, Trial | Leg] = {}
        try:
            while True:
                room = self.workers or _room(ray, needs)
                while len(working) < room and (work := next(trials, None)) is not None:
                    working[begin(*sent, work)] = work
                if not working:
                    return
                (first,), _ = ray.wait(list(working))
                yield _received(ray, first, working.pop(first))
        finally:
            for running in working:
                with suppress(Exception):  # the cluster may be gone
                    ray.cancel(running, force=True)


def _is_address(text: str) -> bool:
    host, _, port = text.removeprefix("ray://").rpartition(":")
    return text in ("auto", "local") or bool(host and port.isdecimal())


def _check_answers(address: str) -> None:
    """Raise ConnectionError if nothing listens there, or something that is no Ray: Ray itself would wait for minutes.

    Ray takes no time limit and may end the process that waits, so that another one tries to connect first.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), PATIENCE).close()
    except OSError as error:
        raise ConnectionError(_unreachable(address, str(error.strerror or error))) from None
    try:
        tried = subprocess.run([sys.executable, "-c", CONNECT, address], capture_output=True, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        why = f"something listens there, and has not answered as Ray does within {LIMIT:g} s"
        raise ConnectionError(_unreachable(address, why)) from None
    if tried.returncode:
        lines = [line for line in tried.stderr.splitlines() if line and not line[0].isspace()]
        raise ConnectionError(_unreachable(address, " ".join(lines[-1:])[:200] or f"exit code {tried.returncode}"))


def _unreachable(address: str, why: str) -> str:
    remedy = f"start one with `{START}` and give the address it prints, or leave the address out to use this machine"
    return f"no Ray cluster answers at the address {address!r} ({why}); {remedy}"


def _machines(ray: Any) -> list[dict[str, float]]:
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _check_room(ray: Any, needs: dict[str, float]) -> None:
    """Raise ValueError if no machine of the cluster could ever take a trial."""
    for kind, count in needs.items():
        most = max((machine.get(kind, 0.0) for machine in _machines(ray)), default=0.0)
        if count > most:
            name = "threads" if kind == "CPU" else "gpus"
            rule = f"at most {most:g}, the {kind}s of the cluster's largest machine"
            raise ValueError(_check.message(name, f"{count:g}", rule))


def _room(ray: Any, needs: dict[str, float]) -> int:
    """How many trials fit into the cluster as it is now."""
    wanted = {kind: count for kind, count in needs.items() if count}
    fits = (min(int(machine.get(kind, 0) / count) for kind, count in wanted.items()) for machine in _machines(ray))
    return max(1, sum(fits))


def _received(ray: Any, reference: Any, work: Trial | Leg) -> Result:
    try:
        answer = ray.get(reference)
    except ray.exceptions.RayError as error:
        why = _check.in_one_line(error, 300)
        raise RuntimeError(
            f"{work} could not be trained: its workers died {RETRIES + 1} times ({why}); a machine out of memory does "
            "so, and fewer workers help"
        ) from error
    if isinstance(answer, Failed):
        raise answer.raised()
    result: Result = answer
    return result


def _trained(parcel: bytes, threads: int, data: str | None, work: Trial | Leg) -> Result | Failed:
    """The body of a Ray task, in a worker that may run many."""
    try:
        if data is not None:
            os.environ["STEPSIZE_DATA"] = data
        task = _task(parcel)
        torch.set_num_threads(threads)  # after the task's file, which may have set another number
        return done(task, work, "ray")
    except (Exception, SystemExit) as error:
        return Failed.of(error)


@cache
def _task(parcel: bytes) -> Startable:
    return unpacked(pickle.loads(parcel))  # noqa: S301 - made by this program for this program
