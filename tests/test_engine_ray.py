"""Ray: the bits of serial, whatever dies; what is missing or cannot be reached is said at once."""

import contextlib
import gc
import importlib
import os
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_engine import TRIALS, figures, task_file

from stepsize import Trial, sweep
from stepsize.cli import run
from stepsize.engine import Ray, _ray, engine_named, serial
from stepsize.task import task_named

pytestmark = pytest.mark.xdist_group("ray")  # one cluster at a time: two starve each other
SMALL = {"object_store_memory": 80 * 2**20, "num_cpus": 1}


def patiently(start):
    """Ray gives a machine half a minute to begin, which is not always enough on a busy one."""
    for _ in range(2):
        try:
            return start()
        except Exception as error:
            if "timed out" not in str(error):
                raise
    return start()


def ended(ray):
    """Disconnect, and wait for the processes that Ray has begun here: it does not, and Python warns of that."""
    ray.shutdown()
    for each in gc.get_objects():
        if type(each) is subprocess.Popen and each.returncode is None and "ray" in str(each.args):
            each.wait(60)


@pytest.fixture(scope="module")
def notes(tmp_path_factory):
    """A file in which trials of the benchmark's task write down that they are begun."""
    path = tmp_path_factory.mktemp("notes") / "notes"
    path.touch()
    return path


@pytest.fixture(scope="module")
def cluster(notes):
    """A machine that leads and another one that works, both here, each with room for one trial."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["STEPSIZE_NOTES"] = str(notes)  # of the workers' environment, which is that of the machines' beginning
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    torch.set_num_threads(1)
    started = patiently(lambda: Cluster(initialize_head=True, head_node_args={**SMALL, "include_dashboard": False}))
    patiently(lambda: started.add_node(**SMALL))
    started.wait_for_nodes()
    yield started
    ray.shutdown()
    started.shutdown()
    ended(ray)


@pytest.mark.slow
def test_a_sweep_is_complete_and_the_same_to_the_bit_though_a_machine_is_killed(cluster, tmp_path):
    task = task_named("linear-regression")
    words = {"rates": [0.003, 0.01, 0.03, 0.1, 0.3], "seeds": 4, "steps": 60}
    expected, came = [], []
    whole = sweep(task, **words, engine=serial, on_result=expected.append)

    def kill(result):
        came.append(result)
        if len(came) == 6:
            cluster.remove_node(cluster.list_all_nodes()[-1], allow_graceful=False)
            patiently(lambda: cluster.add_node(**SMALL))

    swept = sweep(task, **words, folder=tmp_path / "swept", engine=Ray(cluster.address), on_result=kill)
    assert len(came) == len({result.trial.key for result in came}) == 20
    assert figures(came) == figures(expected)
    for ours, theirs in zip(swept.outcomes, whole.outcomes, strict=True):
        assert replace(ours, engine="", seconds=0) == replace(theirs, engine="", seconds=0)


@pytest.mark.slow
def test_the_shortened_benchmark_kills_a_machine_and_finds_all_identical_to_serial(cluster, notes, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    cluster.remove_node(cluster.list_all_nodes()[-1])
    found = importlib.import_module("ray_kills").kills(cluster, 1, notes, steps=30)
    patiently(lambda: cluster.add_node(**SMALL))
    cluster.wait_for_nodes()
    assert (found.trials, found.complete, found.identical) == (12, 1, 1)
    assert len(found.seconds) == len(found.again) == 1


@pytest.mark.slow
def test_results_come_as_they_finish_with_the_bits_of_serial(cluster):
    task, asked = task_named("linear-regression"), []

    def work():
        for trial in TRIALS:
            asked.append(trial)
            yield trial

    results = Ray(cluster.address)(task, work())
    first = next(results)
    assert len(asked) < len(TRIALS)
    assert figures([first, *results]) == figures(serial(task, TRIALS))
    assert (first.engine, first.threads) == ("ray", 1)


@pytest.mark.slow
def test_a_worker_that_is_killed_is_replaced_and_what_a_task_raises_arrives(cluster, tmp_path):
    kill = "(HERE / 'killed').exists() or ((HERE / 'killed').touch(), os.kill(os.getpid(), signal.SIGKILL))"
    task = task_named(f"{task_file(tmp_path, kill)}:task")
    trials = [Trial("line", {"lr": lr}, 0, 20) for lr in (0.1, 0.2, 0.3)]
    results = figures(Ray(cluster.address)(task, trials))
    assert (tmp_path / "killed").exists()
    assert results == figures(serial(task, trials))
    (tmp_path / "raising").mkdir()
    bad = task_named(f"{task_file(tmp_path / 'raising', 'raise ArithmeticError(42)')}:task")
    with pytest.raises(ArithmeticError, match="42") as caught:
        list(Ray(cluster.address)(bad, trials[:1]))
    assert "line.py" in "".join(caught.value.__notes__)


@pytest.mark.slow
def test_what_the_cluster_has_no_room_for_is_refused(cluster):
    with pytest.raises(ValueError, match=r"gpus must be at most 0, the GPUs of the cluster's largest machine, got '1'"):
        Ray(cluster.address, gpus=1)(task_named("digits"), [])
    with pytest.raises(ValueError, match="threads must be at most 1"):
        Ray(cluster.address, threads=9)(task_named("digits"), [])


@pytest.mark.parametrize("address", ["127.0.0.1:9", "ray://127.0.0.1:9"])
def test_a_cluster_that_cannot_be_reached_is_said_within_seconds(address, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    _not_connected()
    began = time.perf_counter()
    with pytest.raises(ConnectionError, match=r"no Ray cluster answers.*ray start --head"):
        Ray(address)(task_named("digits"), [])
    assert run(["sweep", "digits", "--lr", "0.1", "--engine", "ray", "--address", address]) == 2
    assert "stepsize: no Ray cluster answers at the address" in capsys.readouterr().err
    assert time.perf_counter() - began < 60


def test_without_ray_its_extra_is_named(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "ray", None)
    assert run(["sweep", "digits", "--lr", "0.1", "--engine", "ray"]) == 2
    assert "pip install 'stepsize[ray]'" in capsys.readouterr().err


def test_ray_by_name():
    assert engine_named("ray", 3) == Ray(workers=3)
    assert engine_named("ray", address="auto") == Ray("auto")
    with pytest.raises(ValueError, match="address goes with the engine ray"):
        engine_named("processes", address="auto")


def _not_connected():
    ray = pytest.importorskip("ray")
    if ray.is_initialized():
        ended(ray)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
@pytest.mark.parametrize("kind", ["", "ray://"])
def test_where_something_listens_that_is_no_ray_there_is_a_time_limit(answer, kind, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    _not_connected()
    monkeypatch.setattr(_ray, "LIMIT", 1.0)
    server = socket.create_server(("127.0.0.1", 0))
    address = f"{kind}127.0.0.1:{server.getsockname()[1]}"
    answering = threading.Thread(target=_answering, args=(server, answer))
    answering.start()
    try:
        assert run(["sweep", "quadratic", "--lr", "0.1", "--engine", "ray", "--address", address]) == 2
    finally:
        server.shutdown(socket.SHUT_RDWR)  # wakes the thread
        answering.join()
        server.close()
    (said,) = capsys.readouterr().err.splitlines()
    assert f"no Ray cluster answers at the address '{address}'" in said
    assert "has not answered as Ray does within 1 s" in said
    assert list(tmp_path.iterdir()) == []


def _answering(server, answer):
    with contextlib.ExitStack() as connections:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:  # the test is over
                return
            connections.enter_context(connection)
            with contextlib.suppress(OSError):
                connection.sendall(answer)
