"""The finder: right where the answer is known in closed form, honest where there is none."""

import itertools
import math
import re
from dataclasses import replace

import pytest
import torch

from stepsize import Task, Trial, find
from stepsize.engine import Result
from stepsize.finder import Budget, budget_of
from stepsize.search._answer import DRIFT
from stepsize.search._rung import BEYOND, CURVED, Rung
from stepsize.task import task_named


def bowl(curvatures, steps=200, optimizer=torch.optim.SGD, schedule="constant()", **changes):
    """Gradient descent on sum(h x^2 / 2): with a constant rate, stable below 2 / max h."""
    h = torch.tensor(curvatures)

    class Point(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.x = torch.nn.Parameter(torch.ones(len(h)))

    settings = {
        "name": "bowl",
        "model": Point,
        "batches": lambda generator: itertools.repeat(None),
        "loss": lambda model, batch: (h * model.x.square()).sum() / 2,
        "optimizer": lambda parameters, lr: optimizer(parameters, lr=lr),
        "score": lambda model: float((h * model.x.square()).sum() / 2),
        "metrics": lambda model: {},
        "steps": steps,
        "schedule": schedule,
    }
    return Task(**(settings | changes))


class Floor(torch.nn.Module):
    """A number that begins at nought."""

    def __init__(self):
        super().__init__()
        self.x = torch.nn.Parameter(torch.zeros(1))


@pytest.mark.parametrize("largest", [1e-2, 1.0, 100.0])
def test_on_a_quadratic_it_stays_below_two_over_the_curvature_and_near_the_best(largest):
    finding = find(bowl([largest, largest / 10]))
    assert finding.low <= finding.rate <= finding.high
    assert finding.rate < 2 / largest
    # the best of a long run is 2 / (h_max + h_min); errors high are ruin, errors low cost progress
    assert abs(math.log10(finding.rate * largest / 2)) < 0.75


def test_the_same_search_gives_the_same_answer_and_every_trial_is_kept():
    task, seen = bowl([1.0, 0.01]), []
    first, second = find(task, on_result=seen.append), find(task)
    assert first.rate == second.rate
    assert tuple(seen) == first.results
    assert first.cost.steps == sum(len(result.losses) for result in seen)
    assert first.cost.runs == pytest.approx((first.cost.steps + first.cost.forwards / 3) / 200)


def test_it_walks_on_where_the_best_is_at_the_border_and_says_so_at_the_end_of_the_range():
    far = find(bowl([1e-4]))

    def vertex(distance, steps):  # of gradient descent on h x^2 / 2, from 100 and the rate tried below
        below, best = (0.5 * (1 - 1e-4 * 10**exponent) ** (2 * steps) for exponent in (2 - distance, 2))
        away = (below - best) / (2 * CURVED * (0.5 - best) * distance)
        return 2 - max(distance / 2 - away, -BEYOND * distance)

    drift = DRIFT * (vertex(0.35, 50) - vertex(1, 8)) * math.log2(200 / 50) / math.log2(50 / 8)
    assert far.rate == pytest.approx(10 ** (2 + drift), rel=0.005)
    assert max(result.trial.settings["lr"] for result in far.results) <= 100 * (1 + 1e-9)
    assert "still improving at the border" in far.verdict
    assert find(bowl([1e-4]), high=1e6).rate > 1e3


@pytest.mark.parametrize(
    ("task", "said"),
    [
        (bowl([1.0], loss=lambda model, batch: 0 * model.x.sum()), "nothing was learnt at any rate"),
        (bowl([1.0], loss=lambda model, batch: -model.x.sum() * float("nan")), "the loss is nan before any training"),
    ],
)
def test_where_there_is_no_answer_it_gives_none(task, said):
    finding = find(task)
    assert finding.rate is finding.low is finding.high is None
    assert said in finding.verdict
    assert str(finding).startswith("no usable rate")


def test_the_answer_stays_in_the_range_and_no_trial_is_done_twice():
    finding = find(bowl([1.0]), low=0.05, high=0.06)
    assert 0.05 <= finding.low <= finding.rate <= finding.high <= 0.06
    short = find(bowl([1.0]), steps=1)
    assert len({result.trial.key for result in short.results}) == len(short.results)


def test_an_absolute_schedule_is_refused():
    with pytest.raises(ValueError, match="leave out absolute"):
        find(bowl([1.0]), schedule="absolute(cosine())")


def test_progress_tells_how_far_it_is():
    told = []
    finding = find(bowl([1.0]), progress=lambda done, total, note: told.append((done, total, note)))
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    assert all(done <= total for done, total, _ in told)
    assert told[-1][0] == finding.cost.steps


@pytest.mark.parametrize(
    ("text", "steps", "seconds"),
    [
        (None, 600, math.inf),
        ("0.3x", 300, math.inf),
        ("2x", 2000, math.inf),
        (50, 50, math.inf),
        ("50", 50, math.inf),
        ("90s", math.inf, 90),
        ("10min", math.inf, 600),
        ("1h", math.inf, 3600),
    ],
)
def test_a_budget_is_shares_steps_or_time(text, steps, seconds):
    assert budget_of(text, 1000) == Budget(steps, seconds)


def test_a_run_that_nothing_is_said_of_costs_about_one_run_and_long_ones_less():
    task = bowl([1.0, 0.01])
    assert 0.4 < find(task).cost.runs < 1.2
    assert find(task, budget="0.3x").cost.runs < find(task).cost.runs < find(task, budget="2x").cost.runs < 2.4
    assert find(task, steps=6000).cost.runs < 0.15
    assert find(task, budget="1s").rate is not None


def test_settings_are_those_of_every_run():
    finding = find(task_named("digits"), steps=60, optimizer="adamw", clip=1.0, schedule="linear()")
    said = {key: value for key, value in finding.results[0].trial.settings.items() if key != "lr"}
    assert said == {"clip": 1.0, "optimizer": "adamw", "schedule": "linear()"}
    assert finding.rate < 0.1  # of AdamW
    with pytest.raises(TypeError, match="find has no argument 'optimiser'; did you mean 'optimizer'"):
        find(task_named("digits"), optimiser="adamw")
    with pytest.raises(ValueError, match="'frozenlake' takes no clip"):
        find(task_named("frozenlake"), clip=1.0)


def test_of_rates_that_nothing_tells_apart_the_lower_is_taken():
    # downhill on a straight line to a floor: every rate that gets there is as good as any other
    def loss(model, batch):
        return (1 - model.x).clamp(min=0).sum()

    finding = find(bowl([1.0], loss=loss, model=lambda: Floor()), high=1e6)
    ends = re.search(r"rates from (\S+) to (\S+) are indistinguishable: the lower is taken", finding.verdict)
    assert ends
    assert finding.rate <= float(ends[1]) < float(ends[2])
    longest = max(result.trial.steps for result in finding.results)
    reached = {result.trial.settings["lr"]: result.score for result in finding.results if result.trial.steps == longest}
    assert all(reached[rate] == 0 for rate in reached if rate >= 0.999 * float(ends[1]))


def test_a_live_model_is_put_back_before_each_run_and_at_the_end():
    task = bowl([1.0, 0.01])
    live = task.model()
    with torch.no_grad():
        live.x.copy_(torch.tensor([0.5, 2.0]))

    def rebuilt():
        model = task.model()
        model.load_state_dict({"x": torch.tensor([0.5, 2.0])})
        return model

    mine, other = find(replace(task, model=lambda: live)), find(replace(task, model=rebuilt))
    assert mine.rate == other.rate
    assert [result.score for result in mine.results] == [result.score for result in other.results]
    assert "one live object, put back before each run" in mine.verdict
    assert "live" not in other.verdict
    assert live.x.tolist() == [0.5, 2.0]


def test_stages_say_what_was_tried_and_concluded():
    finding = find(bowl([1.0, 0.01]))
    assert [stage.length for stage in finding.stages] == sorted({result.trial.steps for result in finding.results})
    tried = {result.trial.settings["lr"] for result in finding.results}
    assert {rate for stage in finding.stages for rate in stage.rates} == tried
    assert all(stage.concluded for stage in finding.stages)


@pytest.mark.parametrize(
    ("low", "middle", "high", "vertex"),
    [(2.0, 1.0, 2.0, 0.0), (2.0, 1.0, 10.0, -1 / 8), (10.0, 1.0, 2.0, 1 / 8), (1.25, 1.0, 1.75, -1 / 8)],
)
def test_the_vertex_is_that_of_the_parabola_and_a_cliff_does_not_push_it_far(low, middle, high, vertex):
    results = {
        exponent: Result(Trial("t", {"lr": 10**exponent}), score, (0.0,), {}, 0.0, "serial")
        for exponent, score in ((-0.5, low), (0.0, middle), (0.5, high))
    }
    assert Rung(10, 0.5, (20.0,), results=results).vertex == pytest.approx(vertex)


@pytest.mark.parametrize("best", [-0.3, -0.1, 0.2, 0.4])
def test_of_two_rates_the_vertex_is_that_of_the_usual_parabola(best):
    scores = {exponent: 10 * CURVED * (exponent - best) ** 2 for exponent in (-0.25, 0.25)}
    start = min(scores.values()) + 10  # so that all of the progress is 10
    results = {
        exponent: Result(Trial("t", {"lr": 10**exponent}), score, (0.0,), {}, 0.0, "serial")
        for exponent, score in scores.items()
    }
    assert Rung(10, 0.5, (start,), results=results).vertex == pytest.approx(best)


def test_after_a_flat_start_little_is_believed_that_is_no_accident():
    def rung(losses, later):
        result = Result(Trial("t", {"lr": 1.0}), sum(losses) / 4, (0.0,), {}, 0.0, "serial", probed=losses)
        return Rung(10, 0.5, (1.0, 2.0, 3.0, 2.0), later=later, results={0.0: result})

    little, accident = (0.98, 1.98, 2.979, 1.98), (1.5, 1.5, 2.0, 2.9)
    assert rung(little, later=True).learnt
    assert not rung(little, later=False).learnt
    assert not rung(accident, later=True).learnt


class Unprobed:
    """A task whose runs have no probe, such as FrozenLake's: they are scored."""

    name, steps = "unprobed", 20

    def __init__(self, scores):
        self.scores = scores

    def start(self, trial, watch=()):
        run = bowl([1.0]).start(replace(trial, task="bowl"), watch)

        class Scored:
            advance, metrics, score = run.advance, run.metrics, lambda _: self.scores(run.score())

        return Scored()


def test_runs_that_cannot_be_probed_go_by_their_score():
    assert find(Unprobed(lambda score: score)).rate == pytest.approx(find(bowl([1.0], steps=20)).rate, rel=1e-6)
    assert find(Unprobed(lambda score: math.inf)).verdict == (
        "the loss is inf before any training; look at the data and the model"
    )


@pytest.mark.slow
def test_digits_is_learnt_at_the_found_rate():
    from stepsize import train

    finding = find(task_named("digits"), seed=11)
    assert finding.cost.runs < 2.5
    assert train(task_named("digits"), lr=finding.rate, seed=11).metrics["accuracy"] >= 0.98
