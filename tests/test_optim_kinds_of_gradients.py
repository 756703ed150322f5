"""Gradients of half precision, sparse and complex ones: norms, clipping and watching are those of the same numbers."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from stepsize import Control
from stepsize.optim import LAMB, LARS, clip_adaptively, clip_by_norm, clip_by_value, gradient_norm, total_norm

pytestmark = pytest.mark.filterwarnings("ignore:Sparse:UserWarning")  # torch's, of its own sparse tensors
HALVES = [torch.float16, torch.bfloat16]
WAYS = [clip_by_norm, clip_by_value, clip_adaptively]


def with_gradients(shapes, scale, dtype, seed=0):
    generator = torch.Generator().manual_seed(seed)
    found = []
    for shape in shapes:
        weight = nn.Parameter(torch.randn(shape, generator=generator).to(dtype))
        weight.grad = (torch.rand(shape, generator=generator) * scale).to(dtype)
        found.append(weight)
    return found


def twins(parameters, dtype=torch.float64):
    found = []
    for parameter in parameters:
        twin = nn.Parameter(parameter.detach().to(dtype))
        twin.grad = parameter.grad.to(dtype)
        found.append(twin)
    return found


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.sampled_from([(3,), (4, 5), (2, 3, 2), (1,)]), min_size=1, max_size=4),
    st.sampled_from([1e-6, 1e-3, 1.0, 3e4, 6.5e4]),
    st.sampled_from(HALVES),
    st.sampled_from(WAYS),
    st.sampled_from([1e-4, 0.1, 1e6]),
)
def test_half_precision_is_clipped_as_its_numbers_are_in_float64(shapes, scale, dtype, clip, threshold):
    mine = with_gradients(shapes, scale, dtype)
    theirs = twins(mine)
    assert gradient_norm(mine).dtype is torch.float32
    clipped, wanted = clip(mine, threshold), clip(theirs, threshold)
    assert clipped.norm.item() == pytest.approx(wanted.norm.item(), rel=1e-5)
    assert clipped.factor.item() == pytest.approx(wanted.factor.item(), rel=1e-4)
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a.grad.double(), b.grad, rtol=8e-3, atol=6e-8)


@pytest.mark.parametrize("dtype", HALVES)
def test_a_large_finite_gradient_of_half_precision_moves_the_weights(dtype):
    seen = []

    class Watcher:
        def wants(self, step):
            return {"gradient_norm", "update_ratio"}

        def on_step(self, record):
            seen.append(record)

        def on_observe(self, step, values): ...

        def on_event(self, step, event): ...

    weight = nn.Parameter(torch.full((400,), 3e4, dtype=dtype))
    control = Control(torch.optim.SGD([weight], lr=1e4), clip=1.0, nonfinite="skip", watch=Watcher())
    weight.grad = torch.full((400,), 3e4, dtype=dtype)
    step = control.step()
    assert step.updated
    assert step.clipped
    assert step.norm.item() == pytest.approx(6e5, rel=0.01)
    assert (weight < 3e4).all()
    assert seen[0]["gradient_norm"] == pytest.approx(6e5, rel=0.01)
    assert seen[0]["update_ratio"] == pytest.approx(1e4 / 6e5, rel=0.1)


def looked_up(indices, sparse, dtype=torch.float32, scale=1.0):
    torch.manual_seed(0)
    table = nn.Embedding(12, 3, sparse=sparse, dtype=dtype)
    (scale * (table(torch.tensor(indices)) + 1).square().sum()).backward()
    return table


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(0, 11), min_size=1, max_size=20),
    st.sampled_from([torch.float64, torch.float32, torch.float16]),
    st.sampled_from(WAYS),
    st.sampled_from([1e-3, 0.1, 1e6]),
)
def test_sparse_gradients_are_clipped_as_their_dense_twins(indices, dtype, clip, threshold):
    sparse, dense = looked_up(indices, True, dtype), looked_up(indices, False, dtype)
    mine, theirs = clip(sparse.parameters(), threshold), clip(dense.parameters(), threshold)
    near = {"rtol": 1e-2, "atol": 1e-4} if dtype is torch.float16 else {}
    torch.testing.assert_close(mine.norm, theirs.norm, **near)
    torch.testing.assert_close(mine.factor, theirs.factor, **near)
    assert sparse.weight.grad.is_sparse
    torch.testing.assert_close(sparse.weight.grad.to_dense(), dense.weight.grad, **near)


def test_the_norm_of_a_row_that_is_looked_up_twice_is_that_of_the_sum():
    table = looked_up([4, 4, 4], sparse=True)
    assert gradient_norm(table.parameters()).item() == pytest.approx(table.weight.grad.to_dense().norm().item())
    assert not table.weight.grad.is_coalesced()  # asking changes nothing
    other = nn.Parameter(torch.ones(3))
    other.grad = torch.ones(3)
    both = gradient_norm([*table.parameters(), other])
    assert both.item() == pytest.approx(math.hypot(table.weight.grad.to_dense().norm().item(), math.sqrt(3)))


class Looker:
    def __init__(self):
        self.records = []

    def wants(self, step):
        return {"loss", "gradient_norm", "update_ratio"}

    def on_step(self, record):
        self.records.append(record)

    def on_observe(self, step, values): ...

    def on_event(self, step, event): ...


@pytest.mark.parametrize("make", [torch.optim.SGD, torch.optim.SparseAdam, torch.optim.Adagrad])
def test_watching_sparse_training_changes_no_bit(make):
    def trained(**looks):
        torch.manual_seed(0)
        table = nn.Embedding(30, 4, sparse=True)
        control = Control(make(table.parameters(), lr=0.1), total=20, **looks)
        for step in range(20):
            picked = torch.randint(30, (16,), generator=torch.Generator().manual_seed(step))
            loss = (table(picked) - 1).square().mean()
            loss.backward()
            control.step(loss)
        return table.weight.detach()

    looker = Looker()
    plain = trained()
    assert torch.equal(plain, trained(watch=looker, nonfinite="skip", clip=1e9))
    assert len(looker.records) == 20
    assert all(math.isfinite(record["update_ratio"]) for record in looker.records)
    assert not torch.equal(plain, trained(clip=1e-3))


def test_sparse_gradients_that_are_not_finite_are_left_out_or_named():
    table = nn.Embedding(10, 4, sparse=True)
    before = table.weight.detach().clone()
    control = Control(torch.optim.SGD(table.named_parameters(), lr=0.1), nonfinite="skip")
    (table(torch.tensor([1, 1])).sum() * math.nan).backward()
    assert not control.step().updated
    assert torch.equal(table.weight, before)
    control.detach()
    control = Control(torch.optim.SGD(table.named_parameters(), lr=0.1), nonfinite="raise")
    (table(torch.tensor([1, 1])).sum() * math.inf).backward()
    with pytest.raises(FloatingPointError, match="because of weight of group0"):
        control.step()


@pytest.mark.parametrize("rule", [LARS, LAMB])
def test_trust_ratios_refuse_sparse_gradients_in_one_line(rule):
    table = looked_up([1, 2], sparse=True)
    with pytest.raises(TypeError, match=r"layout of a gradient must be dense.*use sparse=False") as caught:
        rule(table.parameters(), lr=0.1).step()
    assert "\n" not in str(caught.value)


def test_complex_gradients_have_a_norm_and_no_order():
    weight = nn.Parameter(torch.ones(2, dtype=torch.complex64))
    weight.grad = torch.tensor([3 + 4j, 0])
    assert total_norm([weight.grad]).item() == pytest.approx(5)
    with pytest.raises(TypeError, match=r"gradients must be of real numbers.*clip by norm"):
        clip_by_value([weight], 1.0)
    assert clip_by_norm([weight], 1.0).norm.item() == pytest.approx(5)
    assert weight.grad.abs().max().item() == pytest.approx(1, rel=1e-4)


def test_units_of_gradients_compressed_by_rows_are_refused():
    weight = nn.Parameter(torch.eye(3).to_sparse_csr())
    weight.grad = torch.eye(3).to_sparse_csr()
    assert gradient_norm([weight]).item() == pytest.approx(math.sqrt(3))
    with pytest.raises(TypeError, match="layout of a gradient must be dense or sparse by coordinates"):
        clip_adaptively([weight], 0.01)
    assert clip_by_value([weight], 0.5).factor.item() == 0.5
    assert weight.grad.values().tolist() == [0.5, 0.5, 0.5]
