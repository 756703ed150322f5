"""Forks of a run from its checkpoint: exact, squeezed, within their price, and right where the truth is known."""

import json
import math
import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from stepsize import RateSearch, Symptom, Task, Trial, train, verify
from stepsize.cli import run
from stepsize.diagnosis import Seen, Series, median_curvature
from stepsize.finder import Verification
from stepsize.search import Recheck, Tried
from stepsize.task import Branches, CheckpointError, steps_done, task_named

TOTAL, EVERY, CRASH = 200, 25, 60
GOOD, LOW = 0.05, 0.0005


class Rows:
    """Batches that can go on where they were."""

    def __init__(self, generator):
        self.generator = generator

    def __iter__(self):
        return self

    def __next__(self):
        return torch.randn(16, 4, generator=self.generator)

    def state_dict(self):
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state):
        self.generator.set_state(state["generator"])


def task(crash=None, schedule="warmup(10%) >> cosine()", **more):
    """A regression with dropout and momentum, which breaks off in a step if asked to."""
    calls = []

    def loss(model, batch):
        calls.append(model.training)
        if crash is not None and sum(calls) > crash:
            raise RuntimeError("the machine went down")
        return (model(batch) - batch.sum(1, keepdim=True)).square().mean()

    return Task(
        name="rows",
        model=lambda: torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(0.1), torch.nn.Linear(8, 1)),
        batches=Rows,
        loss=loss,
        optimizer=lambda parameters, lr: torch.optim.SGD(parameters, lr=lr, momentum=0.5),
        metrics=lambda model: {"validation_loss": float(sum(each.square().sum() for each in model.parameters()))},
        steps=TOTAL,
        evaluate_every=EVERY,
        schedule=schedule,
        **more,
    )


def stopped(folder, lr, **more):
    """The folder of a run that broke off at a step, with a checkpoint of one before."""
    with pytest.raises(RuntimeError, match="went down"):
        train(task(CRASH), lr=lr, folder=folder, **more)
    assert steps_done(folder) == CRASH // EVERY * EVERY
    return folder


def contents(folder):
    return {each.name: (each.read_bytes(), each.stat().st_mtime_ns) for each in sorted(folder.iterdir())}


def trial(lr):
    return Trial("rows", {"lr": lr}, 0, TOTAL)


def test_a_branch_at_factor_one_is_the_run_that_was_never_stopped(tmp_path):
    folder = stopped(tmp_path / "run", 0.1)
    branch = Branches.of(folder, task(), trial(0.1)).start()
    whole = task().start(trial(0.1))
    losses = whole.advance(TOTAL)
    assert branch.advance(TOTAL - 50) == losses[50:]
    assert all(
        torch.equal(one, other) for one, other in zip(branch.model.parameters(), whole.model.parameters(), strict=True)
    )


@pytest.mark.parametrize(("factor", "steps"), [(0.1, 5), (1.0, 8), (10.0, 3)])
def test_what_is_left_of_the_schedule_is_squeezed_into_a_branch(tmp_path, factor, steps):
    branch = Branches.of(stopped(tmp_path / "run", 0.01), task(), trial(0.01)).start(factor, steps)
    for step in range(steps):
        position = 50 + step * 150 / steps
        share = (position - 20) / (TOTAL - 20)  # of the cosine, which the warm-up of 20 steps precedes
        wanted = 0.01 * factor * (1 + math.cos(math.pi * share)) / 2
        assert branch.control.rates["group0"] == pytest.approx(wanted, rel=1e-9)
        branch.advance(1)
    assert branch.control.rates["group0"] == pytest.approx(0, abs=1e-12)


def test_folder_generators_and_what_comes_of_the_run_stay_as_they_were(tmp_path):
    folder = stopped(tmp_path / "run", LOW)
    before, drawn = contents(folder), (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state())
    verify(task(), folder, lr=LOW)
    assert contents(folder) == before
    assert (random.getstate(), np.random.get_state()[1].tolist()) == drawn[:2]
    assert torch.equal(torch.get_rng_state(), drawn[2])
    gone_on = train(task(), lr=LOW, folder=folder, resume=True)
    assert gone_on.losses == train(task(), lr=LOW).losses


def test_a_rate_far_too_low_is_found_and_a_good_one_kept(tmp_path):
    found = verify(task(), stopped(tmp_path / "low", LOW), lr=LOW)
    assert found.factor > 10
    assert found.low < GOOD / LOW < found.high
    assert found.worth > found.worth_low > 0
    kept = verify(task(), stopped(tmp_path / "good", GOOD), lr=GOOD)
    assert kept.keep
    assert kept.rate == GOOD
    assert 1 in {fork.factor for fork in kept.forks}
    assert verify(task(), tmp_path / "low", lr=LOW) == found  # nothing is drawn anew


@pytest.mark.parametrize("share", [0.1, 0.08, 0.3])
def test_the_price_is_never_more_than_its_share(tmp_path, share):
    found = verify(task(), stopped(tmp_path / "run", LOW), lr=LOW, share=share)
    assert 0 < found.cost <= share
    probes = 2 + len(found.forks)
    assert found.cost >= sum(fork.steps for fork in found.forks if math.isfinite(fork.score)) / TOTAL + probes / TOTAL


@pytest.mark.parametrize("total", [140, 200, 501, 3000, 100_000])
@pytest.mark.parametrize("best", [-3.0, -0.5, 0.0, 1.3, 4.0])
def test_a_race_around_a_rate_ends_within_its_price_whatever_forks_do(total, best):
    recheck = Recheck(0.01, total, total // 2, begun=lambda count: [1.0] * count)
    while asks := recheck.ask():
        for ask in asks:
            assert 0.001 * (1 - 1e-9) <= ask.rate <= 0.01 * 10**2.5 * (1 + 1e-9)
            away = math.log10(ask.rate / 0.01) - best
            probed = [0.5 + 0.01 * away**2] * ask.probe if ask.steps else [0.9] * ask.probe
            recheck.tell(ask, Tried(ask.rate, ask.steps, probed[0], (0.5,) * ask.steps, tuple(probed)))
    assert recheck.spent <= 0.1 * total
    way = recheck.judgement.onward
    assert way > 0 if best > 1 else way < 0 if best < -1 else abs(way) <= 0.5


def race(exponents_to_scores, begun, step=300, **more):
    """A race whose forks end at given losses."""
    recheck = Recheck(1.0, 1000, 700, begun=lambda count: [begun] * count, **more)
    while asks := recheck.ask():
        for ask in asks:
            score = 1.0 if not ask.steps else exponents_to_scores(round(math.log10(ask.rate), 6))
            recheck.tell(ask, Tried(ask.rate, ask.steps, score, (1.0,) * ask.steps, (score,) * ask.probe))
    return Verification.of(recheck, step, False)


@pytest.mark.parametrize("eta", [0.02, 0.1])
def test_curvature_counts_as_at_the_highest_rate_before_the_checkpoint(eta):
    steps = np.arange(120.0)
    rates = eta * np.where(steps < 10, 0.01, np.where(steps < 50, 0.5, 1.0))  # a bowl of curvature 2
    curvature = np.where(steps < 10, 7.0, 2 * rates)  # of so low a rate it says nothing
    rates[100:], curvature[100:] = 9 * eta, 1e3
    curvature[20] = np.nan
    seen = Seen({"rate": Series(steps, rates), "curvature": Series(steps, curvature)})
    assert median_curvature(seen, 100) == pytest.approx(2 * eta)
    assert median_curvature(seen, 10) == pytest.approx(7.0)  # until then it is the highest
    assert median_curvature(Seen({"rate": Series(steps, rates)}), 100) is None
    assert median_curvature(seen, 0) is None


def test_the_less_curvature_the_likelier_a_rate_is_too_low_and_the_farther_it_has_to_go():
    found = [
        race(lambda at: 0.9 - 0.1 * at, begun=2.0, curvature=curvature) for curvature in (0.005, 0.02, 0.08, 0.3, 30.0)
    ]
    assert found[0].factor > found[1].factor > 10
    assert found[0].chance > found[1].chance > 0.9
    assert found[-1].factor == 1
    assert found[-1].chance is None
    flat = [race(lambda at: 1.0, begun=2.0, curvature=each) for each in (0.003, 0.1)]
    assert flat[0].factor > 10  # the record alone can say so, where forks see nothing; from here on it is kept
    assert [each.onward for each in flat] == [1, 1]
    assert flat[1].keep


def test_a_short_run_begun_anew_that_gets_further_says_that_the_rate_is_too_high():
    asked = []

    def anew(score):
        def begin(rate, steps, count):
            asked.append((rate, steps, count))
            return [score] * count

        return begin

    level = lambda at: 1.0 + 0.1 * at**2 - 0.01 * (at == 0)  # noqa: E731
    high, good = (race(level, begun=1.1, anew=anew(score)) for score in (0.3, 1.05))
    assert asked[0] == asked[1]
    assert asked[0][0] == pytest.approx(0.1)
    assert high.factor < 0.2
    assert high.chance > 0.5
    assert (high.anew.steps, high.anew.score) == (asked[0][1], 0.3)
    assert f"{high.anew.steps} steps begun anew" in str(high)
    assert good.keep
    assert max(high.cost, good.cost) <= 0.1
    assert high.cost == pytest.approx((sum(each.steps for each in high.forks) + 30 + (len(high.forks) + 3)) / 1000)
    assert json.loads(json.dumps(race(level, begun=1.1, anew=lambda *_: []).plain()))["anew"]["score"] is None
    asked.clear()
    race(lambda at: 0.9 - 0.1 * at, begun=2.0, anew=anew(0.3))  # a higher rate ends lower: nobody need ask
    assert not asked


@pytest.mark.parametrize("total", [140, 167, 300, 3000])
def test_what_is_begun_anew_keeps_to_the_price_and_is_as_long_as_a_fork_at_least(total):
    lengths = []
    words = {
        "begun": lambda count: [1.0] * count,
        "anew": lambda _, steps, count: lengths.append(steps) or [0.4] * count,
    }
    recheck = Recheck(0.01, total, total // 2, **words)
    while asks := recheck.ask():
        for ask in asks:
            recheck.tell(ask, Tried(ask.rate, ask.steps, 0.5, (0.5,) * ask.steps, (0.5,) * ask.probe))
    assert recheck.spent <= 0.1 * total
    assert all(recheck.length <= length <= math.ceil(0.03 * total) for length in lengths)
    assert len(lengths) == 1


def test_a_run_begun_anew_has_the_whole_schedule_squeezed_and_leaves_the_checkpoint_alone(tmp_path):
    folder = stopped(tmp_path / "run", 0.1)
    branches, before = Branches.of(folder, task(), trial(0.1)), contents(folder)
    fresh = branches.anew(0.1, 20)
    for step in range(20):
        position = step * 10
        wanted = (position + 1) / 21 if position < 20 else (1 + math.cos(math.pi * (position - 20) / 180)) / 2
        assert fresh.control.rates["group0"] == pytest.approx(0.01 * wanted, rel=0.5 if position < 20 else 1e-9)
        fresh.advance(1)
    assert contents(folder) == before
    whole = task().start(trial(0.1))
    assert branches.anew(1.0, TOTAL).advance(30) == whole.advance(30)


HIGH = Symptom("rate-too-high", "error", 4, {"rise": 3.0}, "lower it", 0.3)
SLOW = Symptom(
    "rate-too-low", "warning", None, {"curvature": 0.01, "factor_low": 2.0, "factor_high": 9.0}, "raise it", 4.0
)
SPIKES = Symptom("spikes", "warning", 9, {}, "clip")
BROKE = Symptom("not-finite", "error", 400, {}, "go back")


def test_a_finding_that_forks_bear_out_has_their_factor_and_keeps_the_evidence():
    found = race(lambda at: 0.9 - 0.2 * at, begun=2.0)
    (symptom,) = found.findings([SLOW])
    assert (symptom.name, symptom.severity, symptom.factor) == ("rate-too-low", "warning", found.factor)
    assert symptom.evidence["curvature"] == 0.01
    assert symptom.evidence["factor_low"] == found.low < found.factor < found.high == symptom.evidence["factor_high"]
    assert found.findings([SPIKES])[-1].name == "spikes" or found.findings([SPIKES])[0].name == "spikes"
    assert len(found.findings([SPIKES])) == 2  # what the record did not show becomes a finding


def test_a_finding_that_forks_refute_is_a_remark_without_a_factor():
    found = race(lambda at: 0.9 + 0.2 * at**2, begun=2.0)
    assert found.keep
    assert [(each.name, each.severity, each.factor) for each in found.findings([HIGH, SLOW, SPIKES])] == [
        ("spikes", "warning", None),
        ("rate-too-high", "info", None),
        ("rate-too-low", "info", None),
    ]
    assert found.findings([BROKE, HIGH]) == (BROKE, HIGH)  # it broke later than forks could see


def test_steps_that_give_back_more_than_was_gained_say_that_the_rate_is_too_high():
    found = race(lambda at: 0.5 + 0.5 * max(at, 0) + 0.01 * at**2, begun=1.1)
    assert found.factor < 1
    assert found.onward == 1
    assert not found.keep
    assert "from here on" in str(found)
    assert json.loads(json.dumps(found.plain()))["factor"] == found.factor
    assert race(lambda at: 0.5 + 0.5 * max(at, 0) + 0.01 * at**2, begun=5.0).keep


@pytest.mark.parametrize(("step", "where"), [(20, "beginning"), (900, "end")])
def test_a_checkpoint_near_the_beginning_or_the_end_says_nothing_of_a_run_begun_anew(step, where):
    found = race(lambda at: 0.9 - 0.2 * at, begun=2.0, step=step)
    assert found.factor == 1
    assert found.onward > 10
    assert not found.speaks_of_whole
    assert found.findings([SLOW]) == (SLOW,)
    assert f"near its {where}" in str(found)


def test_what_is_needed_is_said_where_there_is_no_checkpoint_or_the_run_is_over(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match=r"has no checkpoint last\.pt.*stop a run on its way"):
        verify(task(), tmp_path / "empty", lr=0.1)
    folder = tmp_path / "over"
    train(replace(task(), metrics=None), lr=0.1, folder=folder)
    with pytest.raises(CheckpointError, match="is of a run that is over, and has no checkpoint from before"):
        verify(replace(task(), metrics=None), folder, lr=0.1)


def test_a_run_that_is_over_is_forked_from_its_best_checkpoint(tmp_path):
    folder = tmp_path / "over"
    grows = {"metrics": lambda model: {"validation_loss": 1.0}}  # the first stays the best
    train(replace(task(), **grows), lr=LOW, folder=folder)
    found = verify(replace(task(), **grows), folder, lr=LOW)
    assert found.finished
    assert found.step < TOTAL
    assert found.onward > 1


def test_a_run_that_goes_on_meanwhile_is_forked_from_one_checkpoint(tmp_path):
    folder = stopped(tmp_path / "run", LOW)
    branches = Branches.of(folder, task(), trial(LOW))
    found = verify(task(), folder, lr=LOW)
    asked = []

    def goes_on(done, steps, note):
        if not asked:
            train(task(), lr=LOW, folder=folder, resume=True)
        asked.append(note)

    assert verify(task(), folder, lr=LOW, progress=goes_on) == found
    assert len(asked) == len(found.forks)
    assert steps_done(folder) == TOTAL
    assert branches.start(steps=5).advance(5)[:1] == task().start(trial(LOW)).advance(51)[50:]


def test_a_run_of_another_rate_or_too_short_or_without_a_control_is_refused(tmp_path):
    folder = stopped(tmp_path / "run", 0.1)
    with pytest.raises(CheckpointError, match=r"with lr 0\.1"):
        verify(task(), folder, lr=0.2)
    with pytest.raises(ValueError, match=r"a run of \d+ or more can be verified"):
        verify(task(), folder, lr=0.1, share=0.05)
    lake = task_named("frozenlake")
    train(lake, lr=0.1, steps=300, folder=tmp_path / "lake", evaluate_every=100)
    with pytest.raises((TypeError, CheckpointError), match=r"without a Control|is over"):
        verify(lake, tmp_path / "lake", lr=0.1, steps=300)


@pytest.mark.parametrize("others", [{"folder": 3}, {"task": 3}, {"trial": "x"}, {"lr": None}])
def test_bad_arguments_are_named(tmp_path, others):
    words = {"task": task(), "folder": tmp_path, "lr": 0.1, **others}
    with pytest.raises(TypeError, match=next(iter(others))):
        verify(words.pop("task"), words.pop("folder"), **words)


@pytest.mark.parametrize(("lr", "way"), [(LOW, 1), (0.1, 0)])
def test_in_a_loop_of_ones_own_rate_search_around_its_rate_keeps_or_raises_it(lr, way):
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.5)
    batches = [torch.randn(16, 4) for _ in range(64)]
    for batch in batches[:50]:
        (model(batch) - batch.sum(1, keepdim=True)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    before = [each.detach().clone() for each in model.parameters()]
    moments = [optimizer.state[each]["momentum_buffer"].clone() for each in model.parameters()]
    rates = []

    def squeezed(short):
        rates.append((short.rate, optimizer.param_groups[0]["lr"]))

    loss_of = lambda model, batch: (model(batch) - batch.sum(1, keepdim=True)).square().mean()  # noqa: E731
    words = {"lr": "cosine()", "total": 200, "position": 50, "loader": batches, "around": lr, "loss": loss_of}
    search = RateSearch(optimizer, model, **words)
    for short in search:
        squeezed(short)
        for batch in short.batches():
            loss = (model(batch) - batch.sum(1, keepdim=True)).square().mean()
            loss.backward()
            short.step(loss)
        if short.steps:
            assert optimizer.param_groups[0]["lr"] == pytest.approx(0, abs=1e-9)  # at the schedule's end
    now = (1 + math.cos(math.pi * 50 / 200)) / 2  # of the cosine, where forks begin
    assert all(shown == pytest.approx(rate * now) for rate, shown in rates)
    assert search.finding.cost.runs <= 0.1
    assert (search.finding.rate > lr) == (way > 0)
    assert search.finding.rate == lr or way
    assert all(map(torch.equal, before, model.parameters()))
    assert all(
        torch.equal(kept, optimizer.state[each]["momentum_buffer"])
        for kept, each in zip(moments, model.parameters(), strict=True)
    )
    assert optimizer.param_groups[0]["lr"] == lr
    assert search.unrestored == ()


FILE = """
import os
import torch
from stepsize import Task

STEPS = []

def loss(model, batch):
    if model.training:
        STEPS.append(1)
        if "CRASH" in os.environ and len(STEPS) > int(os.environ["CRASH"]):
            raise {"stop": KeyboardInterrupt, "break": RuntimeError}[os.environ["HOW"]]("the machine went down")
    return (model(batch) - batch.sum(1, keepdim=True)).square().mean()

def batches(generator):
    while True:
        yield torch.randn(16, 4, generator=generator)

task = Task("rows", lambda: torch.nn.Linear(4, 1), batches, loss,
            lambda parameters, lr: torch.optim.SGD(parameters, lr=lr), steps=200, evaluate_every=25)
"""


@pytest.fixture
def begun(tmp_path, monkeypatch, capsys):
    """The folder of a run of the command line that broke off at step 60."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.py").write_text(FILE)
    monkeypatch.setenv("CRASH", "60")
    monkeypatch.setenv("HOW", "break")
    assert run(["train", "rows.py", "--lr", str(LOW), "--out", "run"]) == 1
    monkeypatch.delenv("CRASH")
    capsys.readouterr()
    return tmp_path / "run"


def answer(capsys, *words):
    code = run(["diagnose", *words])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return code, out, err


def test_the_command_keeps_the_form_of_its_answer_and_adds_what_was_verified(begun, capsys):
    before = contents(begun)
    code, out, _ = answer(capsys, "run", "--verify", "--json")
    told = json.loads(out)
    assert code == 0
    assert contents(begun) == before
    (finding,) = [each for each in told["findings"] if each["name"] == "rate-too-low"]
    assert set(finding) == {"name", "severity", "step", "evidence", "remedy", "factor"}
    verified = told["verified"]
    assert finding["factor"] == verified["factor"] > 10
    assert finding["evidence"]["chance"] == verified["chance"] > 0.9  # its record has the curvature
    assert (verified["step"], verified["steps"], verified["keep"], verified["finished"]) == (50, 200, False, False)
    assert verified["cost"] <= 0.1
    assert json.loads(answer(capsys, "run", "--json")[1]).keys() == {"findings"}
    assert "forks from step 50 of 200" in answer(capsys, "run", "--verify")[1]


def test_ctrl_c_among_the_forks_leaves_everything_as_it_was(begun, capsys, monkeypatch):
    before = contents(begun)
    monkeypatch.setenv("CRASH", "4")
    monkeypatch.setenv("HOW", "stop")
    code, out, err = answer(capsys, "run", "--verify")
    assert (code, out) == (130, "")
    assert "stopped; run is as it was" in err
    assert contents(begun) == before


def test_what_cannot_be_verified_is_said_in_one_clear_line(begun, capsys, tmp_path):
    lines = {}
    (begun / "last.pt").rename(tmp_path / "kept.pt")
    lines["no checkpoint"] = answer(capsys, "run", "--verify")
    (tmp_path / "kept.pt").rename(begun / "last.pt")
    (tmp_path / "rows.py").rename(tmp_path / "moved.py")
    lines["no task"] = answer(capsys, "run", "--verify")
    (tmp_path / "log.csv").write_text("step,loss\n" + "".join(f"{step},{2 - step / 900}\n" for step in range(300)))
    lines["foreign"] = answer(capsys, "log.csv", "--verify")
    lines["not asked"] = answer(capsys, "run", "--task", "moved.py")
    wanted = {
        "no checkpoint": "no last.pt to go on from",
        "no task": "stepsize diagnose run --verify --task rows.py:task",
        "foreign": "was not written by stepsize train",
        "not asked": "--task goes with --verify",
    }
    for what, (code, out, err) in lines.items():
        assert (code, out) == (2, ""), what
        assert wanted[what] in err
        assert len(err.strip().splitlines()) <= 1 + ("note" in err), err
    assert answer(capsys, "run", "--verify", "--task", "moved.py", "--accept-changes")[0] == 0
