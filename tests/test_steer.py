"""Steering: commands are checked, taken for one step, answered once, and repeated exactly where a run goes on."""

import json
import math
import os
import warnings

import numpy as np
import pytest
import torch
from children import ranks

from stepsize import Control, JsonLines, Plan, Steer, train
from stepsize.control import Command, Commands, replay
from stepsize.control.steering import About, latest, read_answers
from stepsize.task import TrainingInterrupted, task_named

RATES = (0.5, 0.2)


def optimizer():
    groups = [{"params": [torch.zeros(1, requires_grad=True)], "lr": rate} for rate in RATES]
    return torch.optim.SGD(groups, lr=0.1)


def begun(folder, **words):
    control = Control(optimizer(), **{"lr": "linear()", "total": 100, "remind": False, "steer": folder, **words})
    control.step()
    return control


def steps(control, count):
    """The rates of so many updates, each of which looks for commands: they are too short for that otherwise."""
    rates = []
    for _ in range(count):
        if control._obey is not None:
            control._obey.commands.wake_time = 0.0
        rates.append(control.step().rates)
    return rates


def put(folder, *lines):
    """Lines of the command file, written by hand."""
    folder.mkdir(exist_ok=True)
    descriptor = os.open(folder / "commands.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(descriptor, b"".join(line if isinstance(line, bytes) else line.line() for line in lines))
    os.close(descriptor)


def answers(folder):
    return {answer.line: answer for answer in read_answers(folder)}


def test_verbs_do_what_those_of_control_do(tmp_path):
    steered, plain = begun(tmp_path), Control(optimizer(), lr="linear()", total=100, remind=False)
    steps(plain, 1)
    hand = Steer(tmp_path)
    hand.scale(0.5, "group0", at=2)
    hand.set(0.01, "group1", at=3)
    hand.rebase(0.3, "group0", at=4)
    hand.release("group1", at=5)
    hand.extend(20, at=6)
    hand.cooldown(10, at=8)
    by_hand = {
        2: lambda: plain.scale(0.5, "group0"),
        3: lambda: plain.set(0.01, "group1"),
        4: lambda: plain.rebase(0.3, "group0"),
        5: lambda: plain.release("group1"),
        6: lambda: plain.extend(120, "stretch"),
        8: lambda: plain.extend(18, "cooldown"),
    }
    for step in range(1, 18):
        by_hand.get(step, lambda: None)()
        assert steps(steered, 1) == steps(plain, 1), step
    assert steered.total == plain.total == 18
    assert [(event.step, event.what) for event in steered.log] == [(event.step, event.what) for event in plain.log]
    assert [event.what for event in steered.log if event.step in (6, 8)] == ["extend", "cooldown"]


def test_an_answer_has_step_and_values_and_so_has_the_event(tmp_path):
    control = begun(tmp_path)
    sent = Steer(tmp_path).scale(0.5, "group1", at=10, reason="why not")
    steps(control, 3)
    assert sent.answer.state == "taken"
    assert sent.answer.step == 10
    steps(control, 8)
    before, after = 0.2 * 0.9, 0.2 * 0.9 * 0.5
    assert sent.answer.before == pytest.approx({"group1": before})
    assert sent.answer.after == pytest.approx({"group1": after})
    event = control.log[-1]
    assert (event.step, event.what, event.value, event.group) == (10, "scale", 0.5, "group1")
    assert (event.before, event.after) == pytest.approx((before, after))
    assert "why not" in event.reason
    assert sent.command.id in event.reason


def test_clipping_can_begin_and_change(tmp_path):
    control = begun(tmp_path)
    Steer(tmp_path).clip(0.25, at=2)
    Steer(tmp_path).clip(0.5, at=3)
    assert [control.step().threshold for _ in range(3)] == [None, 0.25, 0.5]


@pytest.mark.parametrize(
    ("verb", "words", "problem"),
    [
        ("scale", {}, "scale needs a value"),
        ("scale", {"value": -1}, "value of scale must be"),
        ("scale", {"value": math.nan}, "value of scale must be"),
        ("scale", {"value": 1e19}, "at most 1e"),
        ("scal", {"value": 1}, "did you mean 'scale'"),
        ("scale", {"value": 1, "group": "head"}, "no parameter group 'head'"),
        ("scale", {"value": 1, "of": "momentun"}, "'momentun' is not driven"),
        ("release", {"value": 1}, "release takes no value"),
        ("clip", {"value": 0}, "value of clip must be"),
        ("clip", {"value": 1, "group": "group0"}, "clip takes no group"),
        ("extend", {"value": 5, "how": "more"}, "how must be"),
        ("stop", {}, "the loop around this run does no stop"),
        ("set", {"value": 0.1, "reason": "a\nb"}, "reason must be one line"),
        ("set", {"value": 0.1, "at": 1.5}, "at must be a whole number"),
    ],
)
def test_what_the_run_cannot_take_is_refused_before_it_is_written(tmp_path, verb, words, problem):
    begun(tmp_path)
    with pytest.raises((TypeError, ValueError), match=problem):
        Steer(tmp_path).send(Command(verb, **words))
    assert (tmp_path / "commands.jsonl").read_bytes() == b""


def test_a_folder_without_a_run_says_how_to_get_one(tmp_path):
    with pytest.raises(ValueError, match="no run that can be steered"):
        Steer(tmp_path)


LINES = {
    "half a line": (b'{"id": "aaaaaaaaaaaaaaaa", "verb": "sc\n', "one JSON object a line"),
    "no object": (b"[1]\n", "must be a JSON object"),
    "not UTF-8": (b"\xff\xfe\n", "one JSON object a line"),
    "no number": (
        b'{"id": "aaaaaaaaaaaaaaaa", "verb": "scale", "value": NaN, "sent": 1}\n',
        "NaN is not a JSON number",
    ),
    "too long": (b" " * 3_000 + b"{}\n", "at most 2,000 bytes"),
    "deep": (b"[" * 1_900 + b"\n", "one JSON object a line"),
    "another name": (b'{"id": "aaaaaaaaaaaaaaaa", "verb": "scale", "sent": 1, "run": "rm"}\n', "has no 'run'"),
    "no verb": (b'{"id": "aaaaaaaaaaaaaaaa", "verb": "exec", "sent": 1}\n', "no verb 'exec'"),
    "a list": (b'{"id": "aaaaaaaaaaaaaaaa", "verb": ["scale"], "sent": 1}\n', "verb must be"),
    "an id of its own": (b'{"id": "../../x", "verb": "release", "sent": 1}\n', "16 hexadecimal digits"),
    "unknown group": (Command("scale", 0.5, "head").line(), "no parameter group 'head'"),
    "past": (Command("scale", 0.5, at=0).line(), "a step to come"),
}


@pytest.mark.parametrize("name", LINES)
def test_a_bad_line_is_refused_with_its_reason_and_changes_nothing(tmp_path, name):
    line, problem = LINES[name]
    control, plain = begun(tmp_path), Control(optimizer(), lr="linear()", total=100, remind=False)
    steps(plain, 1)
    good = Command("scale", 0.5, at=4)
    put(tmp_path, line, good)
    assert steps(control, 3) == steps(plain, 3)
    assert answers(tmp_path)[1].state == "refused"
    assert problem in answers(tmp_path)[1].reason
    plain.scale(0.5)
    assert steps(control, 3) == steps(plain, 3)
    assert answers(tmp_path)[2].state == "done"


def test_a_replayed_line_is_refused(tmp_path):
    control = begun(tmp_path)
    command = Command("scale", 0.5, at=3)
    put(tmp_path, command, command)
    before = steps(control, 5)
    assert before[-1]["group0"] == pytest.approx(0.5 * 0.95 * 0.5)
    assert "was read before, in line 1" in answers(tmp_path)[2].reason


def test_half_a_line_waits_for_its_other_half(tmp_path):
    control, line = begun(tmp_path), Command("set", 0.125, at=20).line()
    put(tmp_path, line[:20])
    steps(control, 5)
    assert not answers(tmp_path)
    put(tmp_path, line[20:])
    steps(control, 5)
    assert answers(tmp_path)[1].state == "taken"


def others(path):
    os.chown(path, 12345, -1)


HOSTILE = {
    "a link": lambda path: (path.unlink(), path.symlink_to("/etc/passwd")),
    "a pipe": lambda path: (path.unlink(), os.mkfifo(path)),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "written by all": lambda path: path.chmod(0o666),
    "of 1 GB": lambda path: os.truncate(path, 10**9),
    "of a million lines": lambda path: path.write_bytes(b"\n" * 10**6),
    "another user's": others,
    "another file": lambda path: (path.unlink(), put(path.parent, Command("set", 9.0))),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.filterwarnings("always")
def test_a_hostile_file_is_refused_said_once_and_training_goes_on(tmp_path, name):
    if name == "another user's" and os.geteuid() != 0:
        pytest.skip("only root can give files away")
    control, plain = begun(tmp_path), Control(optimizer(), lr="linear()", total=100, remind=False)
    steps(plain, 1)
    put(tmp_path, Command("scale", 1.0, at=2))
    steps(control, 3), steps(plain, 3)
    HOSTILE[name](tmp_path / "commands.jsonl")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        again = []
        for _ in range(6):
            again += steps(control, 1)
    assert again == steps(plain, 6)
    assert len(said) == 1, [str(each.message) for each in said]
    assert "commands.jsonl" in str(said[0].message)
    assert [event.what for event in control.log].count("steer") == 1


def test_a_hostile_file_stops_no_program_that_makes_warnings_errors(tmp_path):
    control = begun(tmp_path)
    (tmp_path / "commands.jsonl").chmod(0o666)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        steps(control, 3)
    assert control.log[-1].what == "steer"


def test_files_are_their_owners_alone(tmp_path):
    control = begun(tmp_path)
    Steer(tmp_path).scale(1.0)
    steps(control, 3)
    for name in ("commands.jsonl", "answers.jsonl"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    (tmp_path / "commands.jsonl").chmod(0o622)
    with pytest.raises(PermissionError, match="others may write it"):
        Steer(tmp_path).scale(1.0)


def test_a_hand_gone_wild_is_slowed_down(tmp_path):
    begun(tmp_path)
    put(tmp_path, *(Command("scale", 1.0) for _ in range(100)))
    with pytest.raises(ValueError, match="more than 100 commands"):
        Steer(tmp_path).scale(1.0)


def test_a_state_goes_on_with_what_waits_and_takes_what_came_after_it_at_the_same_steps(tmp_path):
    straight = begun(tmp_path / "a")
    hand = Steer(tmp_path / "a")
    hand.scale(0.5, at=4)
    hand.scale(0.5, at=30)
    steps(straight, 9)
    state = json.loads(json.dumps(straight.state_dict()))  # at 10: one is done, one waits
    hand.set(0.03, "group1", at=20)
    rest = steps(straight, 30)
    told = (tmp_path / "a" / "answers.jsonl").read_bytes()
    straight.detach()
    again = Control(optimizer(), lr="linear()", total=100, remind=False, steer=tmp_path / "a")
    again.load_state_dict(state)
    assert steps(again, 30) == rest
    assert (tmp_path / "a" / "answers.jsonl").read_bytes() == told  # nothing is answered twice
    assert again.state_dict()["shares"] == straight.state_dict()["shares"]


def test_what_is_new_waits_until_the_run_is_where_it_was(tmp_path):
    control = begun(tmp_path)
    state = control.state_dict()
    steps(control, 20)
    first = Steer(tmp_path).scale(0.5)
    steps(control, 5)
    control.load_state_dict(state)
    second = Steer(tmp_path).scale(0.25)
    steps(control, 40)
    assert first.answer.step == 21
    assert second.answer.step == 21
    assert second.answer.before == first.answer.after


def test_commands_in_a_state_without_a_folder_are_said(tmp_path):
    control = begun(tmp_path)
    Steer(tmp_path).scale(0.5, at=50)
    steps(control, 3)
    plain = Control(optimizer(), lr="linear()", total=100, remind=False)
    plain.load_state_dict(control.state_dict())
    assert "1 commands that wait" in plain.log[-1].reason


def test_a_loop_of_ones_own_is_asked_for_what_it_offers(tmp_path):
    control = begun(Commands(tmp_path, verbs=["validate", "stop"]))
    Steer(tmp_path).stop(at=3)
    asked = [(control.step(), control.asked(), control.asked("stop"), control.asked("stop"))[1:] for _ in range(4)]
    assert asked == [(False, False, False), (False, False, False), (True, True, False), (False, False, False)]
    with pytest.raises(ValueError, match="'checkpoint' is not offered"):
        control.asked("checkpoint")


def test_one_folder_steers_one_run(tmp_path):
    control = begun(tmp_path)
    with pytest.raises(ValueError, match="no other run is steered by"):
        Control(optimizer(), steer=tmp_path)
    control.detach()
    Control(optimizer(), steer=tmp_path, remind=False)


def test_a_slow_file_system_is_looked_at_seldom(tmp_path, monkeypatch):
    from stepsize.control.steering import _commands

    control, looks = begun(tmp_path), []

    def slow(path):
        looks.append(path)
        end = _commands.time.perf_counter() + 2e-3
        while _commands.time.perf_counter() < end:
            pass

    monkeypatch.setattr(_commands, "seen", slow)
    control._obey.commands._took = []
    for _ in range(300):
        control.step()
    assert len(looks) <= 5  # four to know it, and another only after 0.4 seconds


def trail(folder):
    """Every command with the step that it was taken for."""
    taken = [answer for answer in read_answers(folder) if answer.state == "taken"]
    return [Command(**{**answer.command, "at": answer.step}) for answer in taken]


class Hand:
    """Sends commands from within a run, and breaks it."""

    def __init__(self, folder, commands, breaks=None):
        self.folder, self.commands, self.breaks = folder, commands, breaks

    def wants(self, step):
        return {"loss"}

    def begin(self, facts):
        pass

    def on(self, record):
        if record.kind == "step":
            if record.step in self.commands:
                Steer(self.folder).send(self.commands[record.step])
            if record.step == self.breaks:
                raise OSError("killed")

    def end(self, status):
        pass


STEERED = {
    5: Command("scale", 0.5),
    12: Command("set", 0.05, at=16),
    18: Command("validate"),
    20: Command("release"),
    22: Command("clip", 0.5),
    24: Command("extend", 8),
    30: Command("checkpoint"),
    33: Command("cooldown", 10),
}


def same(one, other):
    assert one.losses == other.losses
    assert one.history == other.history
    for name, tensor in one.state["model"].items():
        assert torch.equal(tensor, other.state["model"][name]), name


def test_a_killed_run_ends_with_the_bits_of_one_that_had_the_commands_from_the_start(tmp_path):
    digits = task_named("digits")
    with pytest.raises(OSError, match="killed"):
        train(digits, lr=0.1, steps=40, folder=tmp_path / "a", watch=[Hand(tmp_path / "a", STEERED, breaks=36)])
    told = (tmp_path / "a" / "answers.jsonl").read_bytes()
    resumed = train(digits, lr=0.1, steps=40, folder=tmp_path / "a", resume=True)
    assert (tmp_path / "a" / "answers.jsonl").read_bytes().startswith(told)
    put(tmp_path / "b", *trail(tmp_path / "a"))
    straight = train(digits, lr=0.1, steps=40, folder=tmp_path / "b")
    same(resumed, straight)
    last = latest(read_answers(tmp_path / "a"))
    assert {answer.state for answer in last.values()} == {"done"}
    assert len(last) == len(STEERED)
    assert resumed.steps == last[STEERED[33].id].step + 10


def test_stop_is_stop_once(tmp_path):
    digits, hand = task_named("digits"), Hand(tmp_path, {5: Command("stop", at=9)})
    with pytest.raises(TrainingInterrupted) as stopped:
        train(digits, lr=0.1, steps=20, folder=tmp_path, watch=[hand])
    assert stopped.value.trained.steps == 10
    resumed = train(digits, lr=0.1, steps=20, folder=tmp_path, resume=True)
    same(resumed, train(digits, lr=0.1, steps=20))


def test_a_longer_run_can_be_stopped_and_gone_on_with_behind_its_trials_steps(tmp_path):
    digits = task_named("digits")
    hand = Hand(tmp_path, {5: Command("extend", 10), 21: Command("stop", at=24)})
    with pytest.raises(TrainingInterrupted):
        train(digits, lr=0.1, steps=20, folder=tmp_path, watch=[hand])
    assert train(digits, lr=0.1, steps=20, folder=tmp_path, resume=True).steps == 30


def test_the_trail_as_a_plan_gives_the_same_rates(tmp_path):
    control = begun(tmp_path, lr="warmup(10%) >> cosine()", total=60)
    rates = [[0.5 / 7, 0.2 / 7]]
    hand = Steer(tmp_path)
    hand.scale(0.5, at=5)
    hand.set(0.03, "group1", at=10)
    hand.rebase(0.7, "group0", at=12)
    hand.release(at=20)
    hand.extend(20, at=25)
    hand.set(0.01, at=30)
    hand.scale(0.7, at=33)
    hand.release("group0", at=36)
    hand.cooldown(15, at=40)
    while control.position < control.total:
        rates.append(list(control.step().values))
    found = replay(tmp_path)
    assert not found.left_out
    assert (found.commands, found.total) == (9, 55)
    again = Control(optimizer(), plan=Plan.parse(found.plan), total=found.total, remind=False)
    np.testing.assert_allclose([list(again.step().values) for _ in range(55)], rates, rtol=1e-12, atol=1e-15)


def test_a_trail_says_what_no_plan_can_say(tmp_path):
    control = begun(Commands(tmp_path, verbs=["validate"]), cap=1.0)
    Steer(tmp_path).set(0.1, at=3)
    Steer(tmp_path).validate(at=4)
    Steer(tmp_path).scale(0.5, at=5)
    steps(control, 9)
    found = replay(tmp_path)
    assert [(verb, why) for _, verb, why in found.left_out] == [
        ("set", "a rate held by a schedule is not free of the plan's cap"),
        ("validate", "a plan says nothing of it"),
    ]
    assert found.commands == 1


def test_what_can_be_steered_is_said_and_read_again(tmp_path):
    control = begun(tmp_path, lr={"group0": "linear()", "group1": "absolute(constant(value=0.1))"}, clip=1.0)
    about = About.read(tmp_path)
    assert about.absolute == {"lr": ["group1"]}
    assert about.clip == 1.0
    assert about.begun.bases["lr"]["group0"] == 0.5
    assert about.is_alive
    with pytest.raises(ValueError, match="gives values itself"):
        Steer(tmp_path).rebase(0.1)
    assert control.total == 100


RANKS = """
import json, sys, time, torch
import torch.distributed as dist
from stepsize import Control, Steer
dist.init_process_group("gloo")
rank, folder = dist.get_rank(), sys.argv[1]
weight = torch.zeros(1, requires_grad=True)
control = Control(torch.optim.SGD([weight], lr=0.5), lr="linear()", total=600, remind=False, steer=folder)
rates = []
while control.position < 600:
    time.sleep(0.002)
    if rank == 1 and control.position == 10:  # any process may send
        Steer(folder).scale(0.5)
        Steer(folder).set(0.125, at=590)
    rates += control.step().values
states = [None, None]
dist.all_gather_object(states, (rates, control.state_dict()["shares"]))
assert states[0] == states[1]
if rank == 0:
    print(json.dumps(rates))
dist.destroy_process_group()
"""


def test_all_ranks_take_a_command_at_the_same_step(tmp_path):
    with ranks(["-c", RANKS, "a"], cwd=tmp_path) as both:
        (out, err), _ = (rank.communicate(120) for rank in both)
    assert out, err
    rates = np.array(json.loads(out))
    first, second = answers(tmp_path / "a").values()
    at = first.step
    expected = 0.5 * (1 - np.arange(600) / 600)
    expected[at:] *= 0.5
    expected[second.step :] = 0.125
    assert 10 <= at < 590
    np.testing.assert_allclose(rates, expected)


@pytest.mark.filterwarnings("always")
def test_a_file_that_grows_is_too_large_once(tmp_path):
    control = begun(tmp_path)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for size in (2, 3, 5):
            os.truncate(tmp_path / "commands.jsonl", size * 10**6)
            control._obey.commands.wake_time = 0.0
            control.step()
    assert [str(each.message) for each in said] == [
        f"steering: {tmp_path}/commands.jsonl has 2,000,000 bytes, and 1,048,576 is the most"
    ]


@pytest.mark.parametrize("writes", [True, False])
def test_a_run_is_diagnosed_when_a_command_says_so(writes, tmp_path):
    hand, heard = Hand(tmp_path, {5: Command("diagnose", at=100)}), []
    lines = [JsonLines(tmp_path / "metrics.jsonl", every=1)] if writes else []
    watch = [*lines, hand, Hears(heard)]
    train(task_named("digits"), lr=1e-6, steps=140, folder=tmp_path, watch=watch)
    assert [answer.state for answer in answers(tmp_path).values()] == ["done"]
    events = [record for record in heard if record.kind == "event" and record.step == 101]
    if writes:
        [found] = [record for record in events if record.text["what"] == "rate-too-low"]
        assert (found.text["severity"], found.values["value"] > 3) == ("warning", True)
    else:
        [found] = events
        assert found.text["what"] == "diagnose"
        assert str(tmp_path) in found.text["reason"]  # where no record is


class Hears:
    """Keeps every record."""

    def __init__(self, heard):
        self.heard = heard

    def wants(self, step):
        return ()

    def begin(self, facts):
        pass

    def on(self, record):
        self.heard.append(record)

    def end(self, status):
        pass
