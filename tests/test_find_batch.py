"""The largest batch that is nearly free, by branches from one checkpoint."""

import json
import math

import pytest
import torch
from torch import nn

from stepsize import Task
from stepsize.cli import run
from stepsize.scale import find_batch
from stepsize.task import task_named


class Weights(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.full((20,), 3.0, dtype=torch.float64))


def quadratic(noise):
    """The gradient is the weight plus noise of a deviation in every example."""

    def batches(generator, size):
        while True:
            yield noise * torch.randn(size, 20, generator=generator, dtype=torch.float64)

    return Task(
        "noisy",
        Weights,
        batches,
        lambda model, pushes: model.weight.square().sum() / 2 + (pushes.mean(0) * model.weight).sum(),
        lambda parameters, lr: torch.optim.SGD(parameters, lr=lr),
        score=lambda model: 1 + float(model.weight.detach().square().sum()) / 2,
        steps=400,
        batch_size=4,
        examples=lambda: 10_000,
        schedule="constant()",
    )


def test_without_noise_more_than_the_own_batch_is_not_free_at_a_rate_that_does_not_make_up_for_it():
    found = find_batch(quadratic(0.0), 0.005, rule="sqrt")
    assert found.batch == 4
    losses = [branch.loss for branch in found.branches]
    assert losses == sorted(losses)


def test_where_noise_rules_the_linear_rule_makes_more_nearly_free():
    found = find_batch(quadratic(20.0), 0.005, rule="linear", margin=0.05)
    assert found.batch >= 16


def test_branches_see_equally_many_examples_from_the_runs_own_rate_and_price_is_counted():
    found = find_batch(quadratic(1.0), 0.01, at=0.2, share=0.16, factors=[0.5, 4, 16, 10_000])
    assert [branch.batch for branch in found.branches] == [2, 4, 16, 64]  # 40,000 is more than the data
    assert {branch.batch * branch.steps for branch in found.branches} == {256}
    for branch in found.branches:
        assert branch.lr == pytest.approx(0.01 * math.sqrt(branch.batch / 4))
    assert found.price == pytest.approx(0.2 + 4 * 0.16)


def test_a_schedule_that_has_fallen_is_gone_on_with_from_where_it_is():
    found = find_batch(quadratic(1.0), 0.01, at=0.5, factors=[1], schedule="linear()")
    assert found.branches[0].lr == pytest.approx(0.005)


def test_by_default_it_costs_a_fifth_of_a_sweep_over_these_batches():
    found = find_batch(quadratic(1.0), 0.01)
    assert len(found.branches) == 7
    assert found.price <= 0.2 * 7


def test_the_optimizers_memory_goes_along():
    task = task_named("digits-mlp")
    found = find_batch(task, 0.05, steps=100, factors=[1], share=0.01)
    assert found.branches[0].loss < 1  # one step after 25 that have learnt


def test_the_command_answers(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["scale", "digits-mlp", "--batch", "--lr", "0.05", "--rule", "linear", "--steps", "100", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["batch"] in {branch["batch"] for branch in answer["branches"]}
    assert answer["price"] == pytest.approx(0.25 + 0.1 * len(answer["branches"]))


def test_a_run_that_breaks_is_an_error():
    with pytest.raises(ValueError, match="lr must be one at which 100 steps do not break"):
        find_batch(quadratic(1.0), 1e9)
