"""The gradient's noise scale against truth: unbiased, intervals that hold, per layer, parts of one process or two."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.distributed as dist
from children import side_by_side
from test_distributed import TASK, batches
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.functional import cross_entropy

from stepsize import Control, JsonLines, Run, train
from stepsize.control.signals import Ratio
from stepsize.scale import example_noise
from stepsize.task import together


class Seen:
    """Keeps what it is told of some signals."""

    def __init__(self, *signals):
        self.signals, self.values = signals, []

    def wants(self, step):
        return self.signals

    def begin(self, facts): ...

    def on(self, record):
        if record.kind == "step":
            self.values.append(dict(record.values))

    def end(self, status): ...


def standing(loss_of, weights, updates, accumulate, *signals, lr=0.0):
    """What is seen of updates that do not move the weights."""
    seen = Seen(*(signals or ("noise_scale", "noise_scale/*")))
    optimizer = torch.optim.SGD(weights, lr=lr)
    control = Control(optimizer, accumulate=accumulate, watch=seen, remind=False)
    for _ in range(updates * accumulate):
        loss = loss_of() / accumulate
        loss.backward()
        control.step(loss)
    return seen.values


def quadratic(batch, noise, size=40, seed=0):
    """A loss whose gradient is the weights plus noise of a given deviation in each entry and example."""
    generator = torch.Generator().manual_seed(seed)
    weights = torch.ones(size, dtype=torch.float64, requires_grad=True)

    def loss():
        pushes = noise * torch.randn(batch, size, generator=generator, dtype=torch.float64)
        return weights.square().sum() / 2 + (pushes.mean(0) * weights).sum()

    return loss, weights


@pytest.mark.parametrize(("batch", "accumulate", "noise"), [(4, 2, 1.0), (1, 8, 3.0), (8, 4, 0.5)])
def test_on_a_quadratic_it_is_noise_over_gradient_of_an_update(batch, accumulate, noise):
    loss, weights = quadratic(batch, noise)
    found = standing(loss, [weights], 400, accumulate)
    truth = noise**2 / (batch * accumulate)  # 40 entries above as below
    tail = [each["noise_scale"] for each in found[64::32]]
    assert sum(tail) / len(tail) == pytest.approx(truth, rel=0.1)
    assert found[-1]["noise_scale/0.0"] == found[-1]["noise_scale"] if "noise_scale/0.0" in found[-1] else True


def test_the_interval_holds_the_truth_as_often_as_it_says():
    """Of pairs as they are on a quadratic: four parts, 40 entries, noise and gradient equal."""
    generator, inside = np.random.default_rng(0), 0
    for _ in range(1000):
        ratio = Ratio()
        for parts in 1 + 2 * generator.standard_normal((40, 4, 40)):
            whole = float((parts.mean(0) ** 2).sum())
            noise = (float((parts**2).sum()) / 4 - whole) / 3
            ratio = ratio.with_pair(noise, whole - noise)
        low, high = ratio.interval()
        inside += low <= 1 <= high
    assert 925 <= inside <= 975  # 95 % of 1,000, give or take three and a half deviations


def test_without_a_gradient_the_interval_has_no_end():
    loss, weights = quadratic(1, 2.0)
    with torch.no_grad():
        weights.zero_()
    found = standing(loss, [weights], 40, 4)
    assert sum("noise_scale/high" not in each for each in found) > 30


def test_it_does_not_matter_whether_the_loss_is_divided():
    def run(factor):
        loss, weights = quadratic(2, 1.0)
        return standing(lambda: factor * loss(), [weights], 5, 3)

    for one, other in zip(run(1.0), run(3.0), strict=True):
        assert one == pytest.approx(other)


def digits():
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return torch.tensor(images / 16, dtype=torch.float64), torch.tensor(labels)


def net():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(64, 16), torch.nn.Tanh(), torch.nn.Linear(16, 10)).double()


def truth_of(model, images, labels):
    """From the gradient of every image by itself: noise of one over the full gradient, by parameter."""
    rows = {name: [] for name, _ in model.named_parameters()}
    for image, label in zip(images, labels, strict=True):
        grads = torch.autograd.grad(cross_entropy(model(image[None]), label[None]), list(model.parameters()))
        for name, grad in zip(rows, grads, strict=True):
            rows[name].append(grad.flatten())
    parts = {}
    for name, each in rows.items():
        stacked = torch.stack(each)
        parts[name] = float(stacked.var(0, correction=0).sum()), float(stacked.mean(0).square().sum())
    parts[""] = tuple(map(sum, zip(*parts.values(), strict=True)))
    return {name: noise / gradient for name, (noise, gradient) in parts.items()}


@pytest.mark.slow
def test_on_digits_it_is_that_of_the_full_gradient_within_a_tenth_also_by_layer():
    model, (images, labels) = net(), digits()
    generator = torch.Generator().manual_seed(1)

    def loss():
        picked = torch.randint(len(labels), (64,), generator=generator)
        return cross_entropy(model(images[picked]), labels[picked])

    found = standing(loss, model.named_parameters(), 600, 4)
    truth = truth_of(model, images, labels)
    assert set(truth) == {"", "0.weight", "0.bias", "2.weight", "2.bias"}
    for name, value in truth.items():
        key = f"noise_scale/{name}" if name else "noise_scale"
        tail = [each[key] for each in found[48::48]]
        assert 256 * sum(tail) / len(tail) == pytest.approx(value, rel=0.1), name


@pytest.mark.parametrize(
    ("accumulate", "passes", "words"),
    [(1, 1, "an update has one part"), (2, 2, "4 backward passes to 2 calls of step")],
)
def test_what_it_cannot_see_is_said_once(accumulate, passes, words):
    loss, weights = quadratic(1, 1.0)
    seen = Seen("noise_scale")
    control = Control(torch.optim.SGD([weights], lr=0.0), accumulate=accumulate, watch=seen, remind=False)

    def updates():
        for _ in range(3):
            for _ in range(accumulate):
                for _ in range(passes):
                    loss().backward()
                control.step()

    with pytest.warns(UserWarning, match=words) as caught:
        updates()
    assert len(caught) == 1
    assert seen.values == [{}] * 3


@pytest.mark.parametrize("layers", [[0], [0, 1, 2]])
def test_sharded_weights_are_refused_also_beside_others(tmp_path, layers):
    """Those of some layers alone would be missing in the noise, and count in the gradient."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'group'}", rank=0, world_size=1)
    try:
        model, mesh = net(), init_device_mesh("cpu", (1,))
        for layer in layers:
            fully_shard(model[layer], mesh=mesh)
        images, labels = digits()
        seen = Seen("noise_scale")
        optimizer = torch.optim.SGD(model.named_parameters(), lr=0.1)
        control = Control(optimizer, accumulate=2, watch=seen, remind=False)
        for part in range(4):
            here = slice(8 * part, 8 * part + 8)
            cross_entropy(model(images[here]), labels[here]).backward()
            if part == 1:
                with pytest.warns(UserWarning, match=r"0\.weight is sharded over processes \(FSDP\)"):
                    control.step()
            else:
                control.step()
        assert not any("noise_scale" in each for each in seen.values)
    finally:
        dist.destroy_process_group()


def test_gradients_that_are_not_finite_are_passed_over():
    loss, weights = quadratic(1, 1.0)
    calls = iter(range(100))
    found = standing(lambda: loss() * (math.nan if next(calls) == 7 else 1.0), [weights], 10, 2)
    assert all(math.isfinite(value) for each in found for value in each.values())
    assert found[3] == found[2]


def test_parameters_that_a_part_does_not_use_have_none_of_its_gradient():
    left, right = (torch.ones(3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    turns = iter(range(100))
    found = standing(lambda: 2 * (left if next(turns) % 2 else right).sum(), [left, right], 1, 2)
    # two parts, each with half of the entries: the mean's square is 6, that of each part 12; noise (12 - 6) / 1
    assert found[0] == {"noise_scale/low": 0.0}


def test_clipping_and_a_moving_weight_change_nothing_of_what_came(tmp_path):
    loss, weights = quadratic(2, 1.0)
    optimizer = torch.optim.SGD([("w", weights)], lr=0.1)
    watch = JsonLines(tmp_path / "m.jsonl", signals=["noise_scale/*", "noise_scale"])
    control = Control(optimizer, accumulate=2, clip=1e-3, watch=watch, remind=False)
    kept = []
    for _ in range(6):
        part = loss() / 2
        before = None if weights.grad is None else weights.grad.clone()
        part.backward()
        kept.append(weights.grad - (0 if before is None else before))
        control.step(part)
    lines = Run.open(tmp_path / "m.jsonl").steps
    ratio = Ratio()
    for pair, line in zip(zip(kept[::2], kept[1::2], strict=True), lines, strict=True):
        whole = float(sum(pair).square().sum())
        noise = 2 * sum(float(part.square().sum()) for part in pair) - whole
        ratio = ratio.with_pair(noise, whole - noise)
        assert line["noise_scale"] == pytest.approx(ratio.value)
        assert line["noise_scale/w"] == line["noise_scale"]


def test_a_loop_that_accumulates_by_itself_is_heard_too():
    def run(accumulate):
        loss, weights = quadratic(2, 1.0)
        seen = Seen("noise_scale")
        control = Control(torch.optim.SGD([weights], lr=0.0), accumulate=accumulate, watch=seen, remind=False)
        for _ in range(5):
            for part in range(3):
                (loss() / 3).backward()
                if accumulate == 3 or part == 2:
                    control.step()
        return seen.values

    assert run(1) == run(3)


def test_nothing_is_heard_where_nobody_wants_it():
    loss, weights = quadratic(1, 1.0)
    standing(loss, [weights], 3, 2, "loss")
    assert not weights._backward_hooks


def test_a_control_that_is_gone_leaves_no_hooks():
    loss, weights = quadratic(1, 1.0)
    standing(loss, [weights], 3, 2)
    import gc

    gc.collect()
    assert not weights._backward_hooks


def halves(generator, size):
    """Each batch in two, as two processes share it."""
    for batch in batches(generator, 2 * size):
        for rows in (slice(None, size), slice(size, None)):
            yield {"x": batch["x"][rows], "y": batch["y"][rows], "of": 256}


def watched(task):
    seen = Seen("noise_scale", "noise_scale/*")
    train(task, lr=0.02, steps=12, clip=0.05, watch=seen)
    return seen.values


def worker(rank, world, place):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{place / 'meeting'}", rank=rank, world_size=world)
    try:
        with together():
            found = [watched(TASK), watched(replace(TASK, accumulate=2, batch_size=8))]
        if rank == 0:
            torch.save(found, place / "found.pt")
    finally:
        dist.destroy_process_group()


def quarters(generator, size):
    """Two batches of eight, each in two; the halves of one process first, as it adds them up."""
    source = batches(generator, 2 * size)
    for first in source:
        second = next(source)
        for rows in (slice(None, size), slice(size, None)):
            for batch in (first, second):
                yield {"x": batch["x"][rows], "y": batch["y"][rows], "of": 256}


@pytest.mark.slow
def test_two_processes_are_one_with_accumulation(tmp_path):
    side_by_side(worker, (2, tmp_path), 2)
    found = torch.load(tmp_path / "found.pt", weights_only=True)
    alone = [
        watched(replace(TASK, accumulate=2, batch_size=8, batches=halves)),
        watched(replace(TASK, accumulate=4, batch_size=4, batches=quarters)),
    ]
    for ours, theirs in zip(found, alone, strict=True):
        assert len(ours) == len(theirs) == 12
        assert len(theirs[-1]) >= 4  # by layer too
        for one, other in zip(ours, theirs, strict=True):
            assert one == pytest.approx(other, rel=1e-9)


def test_per_example_it_is_that_of_all_examples_to_rounding():
    model, (images, labels) = net(), digits()
    images, labels = images[:300], labels[:300]
    found = example_noise(model, cross_entropy, images, labels)
    noise, n = truth_of(model, images, labels)[""], len(labels)  # of the 300 themselves, not of what they stand for
    unbiased = noise * n / (n - 1)
    assert found.value == pytest.approx(unbiased / (1 - unbiased / n), rel=1e-9)
    assert model.training


def test_the_interval_of_examples_holds_as_often_as_it_says():
    generator, inside = torch.Generator().manual_seed(0), 0
    model = torch.nn.Linear(30, 1, bias=False).double()
    with torch.no_grad():
        model.weight.fill_(1.0)
    for _ in range(200):
        pushes = 1 + 3 * torch.randn(100, 30, generator=generator, dtype=torch.float64)
        found = example_noise(model, lambda out, _: out.mean(), pushes, torch.zeros(100))  # the gradient is the input
        inside += found.low <= 9.0 <= found.high
    assert 178 <= inside <= 200


def test_gradients_that_are_not_finite_have_no_noise_scale():
    model = torch.nn.Linear(2, 1)
    with pytest.raises(ValueError, match="gradients of inputs are not finite"):
        example_noise(model, torch.nn.MSELoss(), torch.full((4, 2), math.nan), torch.ones(4, 1))


def test_without_a_gradient_no_number_is_made_up():
    model = torch.nn.Linear(2, 1, bias=False)
    signs = torch.tensor([[1.0, 0.0], [-1.0, 0.0]] * 4)
    found = example_noise(model, lambda out, _: out.mean(), signs, torch.zeros(8))
    assert (found.value, found.low, found.high) == (math.inf, 0.0, math.inf)
