"""Engines: the same bits from every engine; workers that die, tasks that cannot be pickled, runs in several legs."""

import itertools
import multiprocessing
import os
import pickle
import signal
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from children import forked, once, ran

from stepsize import Task, Trial
from stepsize.engine import Leg, Processes, engine_named, serial
from stepsize.task import packed, task_named, unpacked


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def figures(results):
    return {r.trial.key: (r.score, r.losses, r.metrics, r.threads) for r in results}


TRIALS = [Trial("linear-regression", {"lr": lr}, seed, 40) for seed in (0, 1) for lr in (0.01, 0.1, 1e6)]

FILE = """
    import itertools, os, signal
    from pathlib import Path
    import torch
    from stepsize import Task

    x = torch.linspace(-1, 1, 32).unsqueeze(1)
    HERE = Path(__file__).parent

    def model():
        return torch.nn.Linear(1, 1)

    def batches(generator):
        return itertools.repeat((x, 3 * x))

    def loss(model, batch):
        {before}
        return (model(batch[0]) - batch[1]).square().mean()

    def sgd(parameters, lr):
        return torch.optim.SGD(parameters, lr=lr)

    def score(model):
        return float((model(x) - 3 * x).square().mean())

    def metrics(model):
        return {{}}

    task = Task("line", model, batches, loss, sgd, score, metrics, steps=20)
"""


def task_file(folder, before="pass"):
    path = Path(folder) / "line.py"
    path.write_text(textwrap.dedent(FILE).format(before=before))
    return path


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_processes_give_the_bits_of_serial_as_they_finish_and_ask_for_work_one_by_one(workers, request):
    if workers > 1:
        request.getfixturevalue("quick_workers")
    task, asked = task_named("linear-regression"), []

    def work():
        for trial in TRIALS:
            asked.append(trial)
            yield trial

    results = Processes(workers)(task, work())
    first = next(results)
    assert len(asked) < len(TRIALS)
    several = [first, *results]
    assert figures(several) == figures(serial(task, TRIALS))
    assert {result.engine for result in several} == {"processes"}
    assert {result.threads for result in several} == {1}


@pytest.mark.parametrize(
    ("engine", "ends"), [(serial, (7, 20, 30)), (Processes(1), (20, 30))], ids=["serial", "processes"]
)
def test_legs_put_together_are_the_whole_trial(engine, ends, tmp_path, quick_workers):
    task, trial = task_named("digits-mlp"), Trial("digits-mlp", {"lr": 0.05}, 0, 30)
    (whole,) = serial(task, [trial])
    keep = tmp_path / "kept" / "state.pt"
    for until in ends:
        (leg,) = engine(task, [Leg(trial, until, keep)])
        assert len(leg.losses) == until
        assert leg.losses == whole.losses[:until]
        assert keep.exists() is (until < 30)
    assert leg.score == whole.score
    assert leg.metrics == whole.metrics


def test_a_leg_of_no_steps_measures_the_start():
    task, trial = task_named("linear-regression"), TRIALS[0]
    (start,) = serial(task, [Leg(trial, 0)])
    assert start.losses == ()
    assert start.score == task.start(trial).score()


def test_what_is_kept_of_another_trial_is_refused(tmp_path):
    task, keep = task_named("linear-regression"), tmp_path / "state.pt"
    list(serial(task, [Leg(TRIALS[0], 10, keep)]))
    before = keep.read_bytes()
    with pytest.raises(ValueError, match="not of an earlier leg of this trial"):
        list(serial(task, [Leg(TRIALS[1], 20, keep)]))
    assert keep.read_bytes() == before


def test_a_worker_that_is_killed_is_replaced_and_its_trial_begun_again(tmp_path, quick_workers):
    kill = "(HERE / 'killed').exists() or ((HERE / 'killed').touch(), os.kill(os.getpid(), signal.SIGKILL))"
    path = task_file(tmp_path, kill)
    trials = [Trial("line", {"lr": lr}, 0, 20) for lr in (0.1, 0.2, 0.3, 0.4)]
    results = figures(Processes(1)(task_named(f"{path}:task"), trials))
    assert (tmp_path / "killed").exists()
    assert results == figures(serial(task_named(f"{path}:task"), trials))


def test_a_trial_whose_workers_always_die_is_told_apart(tmp_path, quick_workers):
    path = task_file(tmp_path, "os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(RuntimeError, match="died 3 times"):
        list(Processes(1)(task_named(f"{path}:task"), [Trial("line", {"lr": 0.1}, 0, 20)]))


def test_what_a_task_raises_in_a_worker_arrives_with_where_it_was_raised(tmp_path, quick_workers):
    path = task_file(tmp_path, "raise ArithmeticError('no such luck')")
    with pytest.raises(ArithmeticError, match="no such luck") as caught:
        list(Processes(1)(task_named(f"{path}:task"), [Trial("line", {"lr": 0.1}, 0, 20)]))
    assert "line.py" in "".join(caught.value.__notes__)


def test_a_task_that_cannot_travel_is_refused_before_the_first_trial():
    built_in = task_named("linear-regression")
    own = replace(built_in, name="own", loss=lambda model, batch: model(batch[0]).mean())
    with pytest.raises(TypeError, match=r"loss.*cannot be found from there; define its functions"):
        Processes(2)(own, [])
    assert len(list(serial(own, [Trial("own", {"lr": 0.1}, 0, 3)]))) == 1


def test_tasks_travel_by_name_with_their_changes(tmp_path):
    task = replace(task_named("digits"), clip=2.0, accumulate=2)
    parcel = pickle.loads(pickle.dumps(packed(task)))
    assert parcel.name == "digits"
    assert unpacked(parcel) == task
    own = task_named(f"{task_file(tmp_path)}:task")
    assert unpacked(packed(own)).name == "line"
    assert Path(packed(own).name.rpartition(":")[0]).is_absolute()


def test_module_level_functions_travel_pickled(quick_workers):
    own = Task("own", _model, _batches, _loss, _sgd, _score, _metrics, 5)
    assert packed(own).name is None
    results = Processes(1)(own, itertools.repeat(Trial("own", {"lr": 0.1}, 0, 5)))
    result = next(results)
    (worker,) = multiprocessing.active_children()
    results.close()
    worker.join(60)  # it goes, though there was more to do
    assert not worker.is_alive()
    assert figures([result]) == figures(serial(own, [Trial("own", {"lr": 0.1}, 0, 5)]))


def _model():
    return torch.nn.Linear(1, 1)


def _batches(generator):
    while True:
        yield torch.rand(4, 1, generator=generator)


def _loss(model, batch):
    return (model(batch) - 3 * batch).square().mean()


def _sgd(parameters, lr):
    return torch.optim.SGD(parameters, lr=lr)


def _score(model):
    return float((model(torch.ones(1, 1)) - 3).square().mean())


def _metrics(model):
    return {}


@pytest.mark.slow
def test_a_script_without_a_guard_is_told_what_to_write(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from stepsize import Trial\n"
        "from stepsize.engine import Processes\n"
        "from stepsize.task import task_named\n"
        "list(Processes(1)(task_named('quadratic'), [Trial('quadratic', {'lr': 0.1}, 0, 5)]))\n"
    )
    done = ran([script])
    assert done.returncode != 0
    assert 'if __name__ == "__main__":' in done.stderr.strip().splitlines()[-1]


def test_workers_go_with_the_process_that_began_them(tmp_path):
    path = task_file(tmp_path, "(HERE / f'worker-{os.getpid()}').touch(); __import__('time').sleep(60)")
    script = tmp_path / "script.py"
    script.write_text(
        "from stepsize import Trial\n"
        "from stepsize.engine import Processes\n"
        "from stepsize.task import task_named\n"
        "if __name__ == '__main__':\n"
        f"    list(Processes(1)(task_named({str(path) + ':task'!r}), [Trial('line', {{'lr': 0.1}}, 0, 5)]))\n"
    )
    with forked([script]) as driver:
        pids = once(lambda: [int(mark.name.partition("-")[2]) for mark in tmp_path.glob("worker-*")], driver)
        driver.send_signal(signal.SIGKILL)
        driver.wait()
        once(lambda: not _is_alive(pids[0]))


def _is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # one that has ended and that nobody has asked about still has its number
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


def test_engines_by_name():
    assert engine_named("serial") is serial
    assert engine_named("processes", 3) == Processes(3)
    with pytest.raises(ValueError, match="did you mean 'processes'"):
        engine_named("proceses")
