"""A run that goes on does again what it was told, another run in the same folder does not; where a run is, is said."""

import gc
import json
import os
import warnings

import pytest
import torch
from children import ran

from stepsize import Control, Steer, train
from stepsize.control import Command, Commands
from stepsize.control.steering import About, read_answers
from stepsize.task import task_named


def run(folder, **words):
    weight = torch.zeros(1, requires_grad=True)
    return Control(torch.optim.SGD([weight], lr=1.0), total=100, steer=folder, **{"remind": False, **words})


def steps(control, count):
    for _ in range(count):
        control._obey.commands.wake_time = 0.0  # so short a step is not looked before
        control.step()
    return control.rates["group0"]


def halved(folder):
    """A run that was told to halve its rate at step 3, stopped at step 5."""
    control = run(folder)
    steps(control, 1)
    Steer(folder).scale(0.5, at=3)
    assert steps(control, 4) == 0.5
    control.detach()


def test_a_new_run_in_a_used_folder_does_not_do_again_what_the_other_was_told_and_says_so(tmp_path):
    halved(tmp_path)
    control = run(tmp_path)
    with pytest.warns(UserWarning, match=r"of an earlier run, which are not done again and kept as commands-1\.jsonl"):
        steps(control, 1)
    assert steps(control, 9) == 1.0
    assert (tmp_path / "commands.jsonl").read_bytes() == b""
    assert Command.parse((tmp_path / "commands-1.jsonl").read_bytes()).at == 3
    assert "earlier run" in control.log[-1].reason
    sent = Steer(tmp_path).scale(0.25)
    assert steps(control, 2) == 0.25
    assert sent.answer.step == 10  # and not where the earlier run was
    control.detach()
    with pytest.warns(UserWarning, match=r"commands-2\.jsonl"):
        steps(run(tmp_path), 1)


def test_what_was_not_answered_is_left_to_the_new_run(tmp_path):
    halved(tmp_path)
    waits = Steer(tmp_path).set(0.125)  # as the command line says: taken when it goes on
    control = run(tmp_path)
    with pytest.warns(UserWarning, match="earlier run"):
        assert steps(control, 5) == 0.125
    assert waits.answer.line == 1
    assert waits.answer.state == "done"


@pytest.mark.parametrize("way", ["resume", "state"])
def test_a_run_that_goes_on_does_it_again(tmp_path, way):
    state = run(tmp_path / "other").state_dict()
    halved(tmp_path)
    control = run(Commands(tmp_path, resume=way == "resume"))
    if way == "state":
        control.load_state_dict(state)
    assert steps(control, 3) == 1.0
    assert steps(control, 1) == 0.5
    assert [answer.state for answer in read_answers(tmp_path)] == ["taken", "done"]  # once


def test_a_trained_task_goes_on_only_if_asked_to(tmp_path):
    digits = task_named("digits")

    class Hand:
        def wants(self, step):
            return {"loss"}

        def begin(self, facts):
            pass

        def on(self, record):
            if record.kind == "step" and record.step == 3:
                Steer(tmp_path).scale(0.5, at=5)
            if record.kind == "step" and record.step == 8:
                raise OSError("killed")

        def end(self, status):
            pass

    with pytest.raises(OSError, match="killed"):
        train(digits, lr=0.1, steps=12, folder=tmp_path, watch=[Hand()])
    resumed = train(digits, lr=0.1, steps=12, folder=tmp_path, resume=True)
    with pytest.warns(UserWarning, match="earlier run"):
        anew = train(digits, lr=0.1, steps=12, folder=tmp_path)
    assert resumed.losses[:6] == anew.losses[:6]
    assert resumed.losses[6] != anew.losses[6]
    assert anew.losses == train(digits, lr=0.1, steps=12).losses


def test_hostile_answers_are_said_and_stay_where_they_are(tmp_path):
    halved(tmp_path)
    (tmp_path / "commands.jsonl").chmod(0o666)
    control = run(tmp_path)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert steps(control, 5) == 1.0
    assert "others may write it" in str(said[0].message)
    assert not (tmp_path / "commands-1.jsonl").exists()


def test_where_the_run_has_ended_is_said(tmp_path):
    control = run(tmp_path)
    steps(control, 100)
    assert Steer(tmp_path).about.is_alive
    del control
    gc.collect()
    about = About.read(tmp_path)
    assert (about.step, about.position, about.is_alive) == (100, 100.0, False)
    train(task_named("digits"), lr=0.1, steps=20, folder=tmp_path / "digits")
    assert About.read(tmp_path / "digits").step == 20


def test_a_process_that_ends_says_so_too(tmp_path):
    code = "import sys, torch\nfrom stepsize import Control\nweight = torch.zeros(1, requires_grad=True)\n"
    code += "control = Control(torch.optim.SGD([weight], lr=1.0), steer=sys.argv[1])\n"
    code += "[control.step() for _ in range(7)]"
    assert ran(["-c", code, tmp_path]).returncode == 0
    assert json.loads((tmp_path / "steering.json").read_text())["step"] == 7
    assert not About.read(tmp_path).is_alive


def test_a_copy_of_the_process_says_nothing_of_the_run(tmp_path):
    control = run(tmp_path)
    steps(control, 5)
    child = os.fork()
    if not child:
        control._obey.commands.close()
        os._exit(0)
    os.waitpid(child, 0)
    assert About.read(tmp_path).is_alive


def test_where_a_long_run_is_comes_anew(tmp_path):
    control = run(tmp_path)
    steps(control, 50)
    assert About.read(tmp_path).step == 0
    control._obey.commands._old = 0.0  # ten seconds later
    steps(control, 1)
    assert About.read(tmp_path).step == 50


def test_who_sends_at_the_moment_of_a_new_run_sends_to_the_new_file(tmp_path):
    from stepsize.control.steering import _files

    halved(tmp_path)
    command, real = Command("scale", 0.5), _files._alone

    def late(descriptor):
        if (tmp_path / "answers.jsonl").exists():  # another process was first
            _files._alone = real
            _files.set_aside(tmp_path, lambda content: b"")
        return real(descriptor)

    _files._alone = late
    try:
        Steer(tmp_path).send(command)
    finally:
        _files._alone = real
    assert (tmp_path / "commands.jsonl").read_bytes() == command.line()


@pytest.mark.parametrize("told", [True, False])
def test_a_run_that_was_told_to_stop_is_not_warned_of_stopping(tmp_path, told):
    control = run(Commands(tmp_path, verbs=["stop"]), remind=True)
    steps(control, 1)
    Steer(tmp_path).stop(at=4 if told else 40)
    steps(control, 4)
    assert control.asked("stop") is told
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        del control
        gc.collect()
    assert [each.category.__name__ for each in said] == ([] if told else ["ShortRunWarning"])
