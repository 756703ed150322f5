"""Tensor rates stay the same tensors, and a compiled optimizer step is not compiled again."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._dynamo.testing import CompileCounter
from torch._dynamo.utils import counters

from stepsize import Control, Scheduler, cosine, linear, warmup
from stepsize.control._cells import FEW, TensorCells

SCHEDULE = warmup("10%") >> cosine()
OPTIMIZERS = {
    "SGD": (lambda p: torch.optim.SGD(p, lr=torch.tensor(0.1), momentum=0.9), {}),
    "AdamW": (lambda p: torch.optim.AdamW(p, lr=torch.tensor(0.1)), {}),
    "Adam, betas": (
        lambda p: torch.optim.Adam(p, lr=torch.tensor(0.1), betas=(torch.tensor(0.9), torch.tensor(0.999))),
        {"beta1": linear(start=1, end=0.9), "beta2": linear(start=1, end=0.99)},
    ),
    "SGD, float momentum driven": (
        lambda p: torch.optim.SGD(p, lr=torch.tensor(0.1), momentum=0.9),
        {"momentum": linear(start=0.5, end=1)},
    ),
}
GRAPHS = {"SGD": 2, "AdamW": 1, "Adam, betas": 1, "SGD, float momentum driven": 2}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_compiled_step_gets_no_new_graph_after_its_second_over_a_thousand_steps(name):
    torch._dynamo.reset()
    counters.clear()
    make, driven = OPTIMIZERS[name]
    layer = torch.nn.Linear(3, 3)
    optimizer = make(layer.parameters())
    graphs = CompileCounter()
    optimizer.step = torch.compile(optimizer.step, backend=graphs)
    control = Control(optimizer, lr=SCHEDULE, total=1_000, **driven)
    rate = optimizer.param_groups[0]["lr"]
    seen, breaks = [], []
    for _ in range(1_000):
        layer.weight.grad, layer.bias.grad = torch.ones(3, 3), torch.ones(3)
        control.step()
        seen.append(graphs.frame_count)
        breaks.append(sum(counters["graph_break"].values()))
    assert optimizer.param_groups[0]["lr"] is rate
    assert seen[1] == seen[-1] == GRAPHS[name]
    assert breaks[1] == breaks[-1]


@pytest.mark.filterwarnings("ignore")
def test_a_scheduler_counts_the_updates_of_a_compiled_step():
    torch._dynamo.reset()
    layer = torch.nn.Linear(3, 3)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=torch.tensor(0.1))
    scheduler, graphs = Scheduler(optimizer, SCHEDULE, 50), CompileCounter()
    optimizer.step = torch.compile(optimizer.step, backend=graphs)
    for _ in range(50):
        layer.weight.grad, layer.bias.grad = torch.ones(3, 3), torch.ones(3)
        optimizer.step()
        scheduler.step()
    assert (scheduler.last_epoch, graphs.frame_count) == (50, 1)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 10), min_size=FEW + 1, max_size=40), st.sampled_from([torch.float32, torch.float64]))
def test_many_tensors_written_in_one_call_are_those_written_one_by_one(values, dtype):
    def cells():
        groups = [{"lr": torch.zeros((), dtype=dtype)} for _ in values]
        count = len(groups)
        return groups, TensorCells(groups, ["lr"] * count, [None] * count, [group["lr"] for group in groups])

    fast, at_once = cells()
    slow, each = cells()
    assert at_once.buffer is not None
    at_once.write(values)
    each.write_one_by_one(values)
    assert all(torch.equal(a["lr"], b["lr"]) for a, b in zip(fast, slow, strict=True))
    assert at_once.untouched()
    fast[3]["lr"].mul_(0.5)
    assert not at_once.untouched()


def test_hundreds_of_tensor_rates_stay_the_same_tensors_with_the_formulas_values():
    groups = [{"params": [torch.zeros(1)], "lr": torch.tensor(0.1 * (1 + i))} for i in range(300)]
    tensors = [group["lr"] for group in groups]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    control = Control(optimizer, lr=SCHEDULE, total=20)
    for step in range(20):
        factor = SCHEDULE.over(20)(float(step))
        for i, (group, tensor) in enumerate(zip(optimizer.param_groups, tensors, strict=True)):
            assert group["lr"] is tensor
            assert torch.equal(tensor, torch.tensor(float(torch.tensor(0.1 * (1 + i))) * factor))
        control.step()


def test_numbers_and_tensors_may_be_mixed():
    rates = [0.1, torch.tensor(0.2), torch.tensor(0.3), 0.4]
    groups = [{"params": [torch.zeros(1)], "lr": rate} for rate in rates]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    control = Control(optimizer, lr=linear(), total=10, foreign="raise")
    for _ in range(5):
        control.step()
    assert [float(group["lr"]) for group in optimizer.param_groups] == pytest.approx([0.05, 0.1, 0.15, 0.2])
    assert optimizer.param_groups[1]["lr"] is rates[1]
    optimizer.param_groups[2]["lr"].fill_(3)
    with pytest.raises(RuntimeError, match="lr of group2 to 3"):
        control.step()
