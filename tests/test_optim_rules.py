"""LARS and LAMB against twins in float64 that are written like the papers, and against torch where the ratio is 1."""

import copy
import math
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounter

from stepsize import Control, cosine, warmup
from stepsize.optim import LAMB, LARS, no_decay
from stepsize.optim._norms import squared_norm

SHAPES = [(7, 5), (5,), (4, 3, 3, 3), (2, 600), ()]
RULES = {"LARS": LARS, "LAMB": LAMB}


class PaperLARS:
    """You et al. 2017, algorithm 1, with equation 6 for the local rate; in float64."""

    def __init__(self, weights, momentum=0.9, weight_decay=1e-4, trust_coefficient=1e-3):
        self.weights = [weight.detach().double().clone() for weight in weights]
        self.velocity = [torch.zeros_like(weight) for weight in self.weights]
        self.m, self.beta, self.eta = momentum, weight_decay, trust_coefficient

    def step(self, gradients, rate):
        for w, v, g in zip(self.weights, self.velocity, gradients, strict=True):
            g = g.double()
            local_rate = self.eta * w.norm() / (g.norm() + self.beta * w.norm())
            v.copy_(self.m * v + rate * local_rate * (g + self.beta * w))
            w.sub_(v)


class PaperLAMB:
    """You et al. 2019, algorithm 2, phi the identity; in float64."""

    def __init__(self, weights, betas=(0.9, 0.999), eps=1e-6, weight_decay=0.01):
        self.weights = [weight.detach().double().clone() for weight in weights]
        self.m, self.v = ([torch.zeros_like(weight) for weight in self.weights] for _ in range(2))
        self.betas, self.eps, self.decay, self.t = betas, eps, weight_decay, 0

    def step(self, gradients, rate):
        self.t += 1
        beta1, beta2 = self.betas
        for x, m, v, g in zip(self.weights, self.m, self.v, gradients, strict=True):
            g = g.double()
            m.copy_(beta1 * m + (1 - beta1) * g)
            v.copy_(beta2 * v + (1 - beta2) * g * g)
            r = (m / (1 - beta1**self.t)) / ((v / (1 - beta2**self.t)).sqrt() + self.eps)
            update = r + self.decay * x
            x.sub_(rate * x.norm() / update.norm() * update)


TWINS = {"LARS": PaperLARS, "LAMB": PaperLAMB}


def weights(dtype=torch.float32, seed=0):
    torch.manual_seed(seed)
    return [nn.Parameter(torch.randn(shape, dtype=torch.float64).to(dtype)) for shape in SHAPES]


def gradients(step, dtype=torch.float32):
    generator = torch.Generator().manual_seed(100 + step)
    return [torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) * 0.1 for shape in SHAPES]


def rate_at(step, total=50):
    return (warmup(5) >> cosine(total - 5))(step)


def travelled(name, dtype, steps=50, rate=1.0, prepare=lambda ws: None, **options):
    """The rule and its twin side by side under warm-up and cosine; the worst tensor's relative difference of travel."""
    mine = weights(dtype)
    start = [weight.detach().double().clone() for weight in mine]
    prepare(mine)
    rule, twin = RULES[name](mine, lr=rate, **options), TWINS[name](mine, **options)
    for step in range(steps):
        now = rate * rate_at(step, steps)
        given = gradients(step, dtype)
        for weight, gradient in zip(mine, given, strict=True):
            weight.grad = gradient.clone(memory_format=torch.preserve_format)
        rule.param_groups[0]["lr"] = now
        rule.step()
        twin.step(given, now)
        assert all(torch.equal(w.grad, g) for w, g in zip(mine, given, strict=True)), "gradients are the user's"
    moved = [
        ((weight.detach().double() - twin_weight).norm() / (twin_weight - first).norm()).item()
        for weight, twin_weight, first in zip(mine, twin.weights, start, strict=True)
    ]
    return max(moved)


@pytest.mark.parametrize("name", RULES)
def test_float64_is_the_papers_under_warm_up_and_cosine(name):
    rate = {"LARS": 3.0, "LAMB": 0.02}[name]
    assert travelled(name, torch.float64, rate=rate) < 1e-12
    assert travelled(name, torch.float64, rate=rate, weight_decay=0.3) < 1e-12
    assert travelled(name, torch.float64, rate=rate, weight_decay=0) < 1e-12


@pytest.mark.parametrize("name", RULES)
def test_float32_is_the_papers_up_to_its_rounding(name):
    assert travelled(name, torch.float32, rate={"LARS": 3.0, "LAMB": 0.02}[name]) < 2e-5


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_lars_with_other_momenta_too(momentum):
    assert travelled("LARS", torch.float64, rate=3.0, momentum=momentum) < 1e-12


@pytest.mark.parametrize("name", RULES)
def test_the_plain_way_of_accelerators_is_the_fused_one_of_the_cpu(name, monkeypatch):
    """Elsewhere than on the CPU plain operations do the same, and read nothing back."""
    rate = {"LARS": 3.0, "LAMB": 0.02}[name]
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    reads = []
    for reader in ("item", "tolist", "__bool__"):
        original = getattr(torch.Tensor, reader)
        monkeypatch.setattr(torch.Tensor, reader, lambda t, o=original, *a: reads.append(1) or o(t, *a))
    built = len(reads)
    worst = travelled(name, torch.float64, rate=rate)
    assert worst < 1e-12
    assert len(reads) - built <= 1 + len(SHAPES), "the check for zero weights at the beginning, and nothing after it"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", RULES)
def test_half_precision_moves_about_as_the_paper_says(name, dtype):
    assert travelled(name, dtype, steps=5, rate={"LARS": 300.0, "LAMB": 1.0}[name]) < 0.05


@pytest.mark.parametrize("name", RULES)
def test_a_tensor_rate_is_the_same_rate(name):
    first, second = weights(), weights()
    one, other = RULES[name](first, lr=0.1), RULES[name](second, lr=torch.tensor(0.1, dtype=torch.float64))
    for optimizer, mine in ((one, first), (other, second)):
        for step in range(3):
            for weight, gradient in zip(mine, gradients(step), strict=True):
                weight.grad = gradient
            optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def run_beside(mine, theirs, optimizer, other, rates):
    for step, rate in enumerate(rates):
        for a, b, gradient in zip(mine, theirs, gradients(step), strict=True):
            a.grad, b.grad = gradient, gradient.clone()
        for each in (optimizer, other):
            for group in each.param_groups:
                group["lr"] = rate
            each.step()


def groups_at_ratio_one(mine):
    return [{"params": mine, "adapt": False}]


def test_lars_at_ratio_one_is_torch_sgd():
    """At a constant rate wherever it stands, and at any when it stands outside the momentum."""
    moving, still = [rate_at(step) for step in range(30)], [0.1] * 30
    for place, rates in (("inside", still), ("outside", still), ("outside", moving)):
        mine, theirs = weights(), weights()
        ours = LARS(groups_at_ratio_one(mine), lr=0.1, weight_decay=0.01, rate=place)
        run_beside(mine, theirs, ours, torch.optim.SGD(theirs, lr=0.1, momentum=0.9, weight_decay=0.01), rates)
        for a, b in zip(mine, theirs, strict=True):
            torch.testing.assert_close(a, b, rtol=2e-6, atol=2e-6)


def test_lamb_at_ratio_one_is_torch_adamw():
    mine, theirs = weights(), weights()
    ours = LAMB(groups_at_ratio_one(mine), lr=0.1, eps=1e-8)
    run_beside(mine, theirs, ours, torch.optim.AdamW(theirs, lr=0.1), [0.1 * rate_at(step) for step in range(30)])
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=2e-6, atol=2e-6)


def test_the_rate_inside_and_outside_the_momentum_are_the_same_only_while_it_is_constant():
    def difference(rates):
        one, other = weights(torch.float64), weights(torch.float64)
        start = [weight.detach().clone() for weight in one]
        first, second = (LARS(each, lr=1.0, rate=place) for each, place in ((one, "inside"), (other, "outside")))
        for step, rate in enumerate(rates):
            for optimizer, mine in ((first, one), (second, other)):
                optimizer.param_groups[0]["lr"] = rate
                for weight, gradient in zip(mine, gradients(step, torch.float64), strict=True):
                    weight.grad = gradient
                optimizer.step()
        travel = [((a - b).norm() / (a - s).norm()).item() for a, b, s in zip(one, other, start, strict=True)]
        return max(travel)

    assert difference([1.0] * 30) < 1e-12
    assert difference([rate_at(step, 30) for step in range(30)]) > 0.1


@pytest.mark.parametrize("decay", [0.0, 1e-2])
def test_a_layer_moves_by_its_share_and_decays_without_a_gradient(decay):
    """One step from rest moves a layer by lr trust_coefficient ||w|| at most, whatever its gradient's scale."""
    for scale in (1e-6, 1.0, 1e6):
        weight = nn.Parameter(torch.full((4, 4), 0.5))
        before = weight.detach().clone()
        weight.grad = torch.randn(4, 4, generator=torch.Generator().manual_seed(0)) * scale
        LARS([weight], lr=2.0, weight_decay=decay).step()
        moved = ((weight - before).norm() / before.norm()).item()
        assert moved == pytest.approx(2e-3, rel=1e-5) or (decay and moved < 2e-3)
    still = nn.Parameter(torch.full((4, 4), 0.5))
    still.grad = torch.zeros(4, 4)
    LARS([still], lr=2.0, weight_decay=decay).step()  # ratio = trust_coefficient / decay, or no direction at all
    assert still[0, 0].item() == pytest.approx(0.5 * (1 - (2e-3 if decay else 0)), rel=1e-6)


def test_what_has_no_norm_is_refused_in_construction_and_stays_later():
    zero, other = nn.Parameter(torch.zeros(3)), nn.Parameter(torch.ones(3))
    for rule in RULES.values():
        with pytest.raises(ValueError, match=r"all zero, of shape \(3,\).*adapt"):
            rule([other, zero], lr=0.1)
        rule([{"params": [zero], "adapt": False}, {"params": [other]}], lr=0.1)
        weight = nn.Parameter(torch.ones(3))
        optimizer = rule([weight], lr=0.1)
        weight.data.zero_()
        weight.grad = torch.ones(3)
        optimizer.step()
        assert torch.equal(weight.detach(), torch.zeros(3))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("name", RULES)
def test_gradients_that_are_not_finite_are_not_hidden(name, bad):
    weight = nn.Parameter(torch.ones(3))
    optimizer = RULES[name]([weight], lr=0.1)
    weight.grad = torch.tensor([1.0, bad, 1.0])
    optimizer.step()
    assert not torch.isfinite(weight).all()


@pytest.mark.parametrize("scale", [1e-25, 1e22])
def test_norms_beyond_float32_squares(scale):
    tensor = torch.full((3, 4), scale)
    assert math.sqrt(squared_norm(tensor)) == pytest.approx(scale * math.sqrt(12), rel=1e-6)


def test_norms_of_large_tensors_are_summed_in_pieces():
    """One float32 sum over so many entries is off by 1e-4 and more."""
    tensor = torch.randn(6_000_000, generator=torch.Generator().manual_seed(0))
    assert squared_norm(tensor) == pytest.approx(tensor.double().square().sum().item(), rel=1e-5)


@pytest.mark.parametrize("name", RULES)
def test_layouts_of_memory_do_not_matter(name):
    """Channels last, gradients laid out otherwise than their weights, slices: torch's fused updates are wrong there."""
    plain = [nn.Parameter(torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0))) for _ in range(3)]
    odd = [nn.Parameter(weight.detach().clone()) for weight in plain]
    odd[0].data = odd[0].data.to(memory_format=torch.channels_last)
    odd[1].data = odd[1].data.to(memory_format=torch.channels_last)
    odd[2].data = torch.stack([odd[2].data, odd[2].data], dim=-1)[..., 0]
    first, second = RULES[name](plain, lr=0.5), RULES[name](odd, lr=0.5)
    for step in range(5):
        for index, (a, b) in enumerate(zip(plain, odd, strict=True)):
            a.grad = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(step))
            b.grad = a.grad.to(memory_format=torch.channels_last) if index == 0 else a.grad.clone()
        first.step()
        second.step()
    for a, b in zip(plain, odd, strict=True):
        torch.testing.assert_close(a.detach(), b.detach().contiguous(), rtol=1e-5, atol=1e-6)


def sgd_beside_unfused(make, prepare):
    """Whether fused steps are those of torch's plain SGD."""
    mine, theirs = weights(), weights()
    for each in (mine, theirs):
        for weight in each:
            weight.data = prepare(weight.data)
    optimizer, other = make(mine), torch.optim.SGD(theirs, lr=0.1, momentum=0.9, foreach=False)
    for step in range(3):
        for a, b, gradient in zip(mine, theirs, gradients(step), strict=True):
            a.grad, b.grad = gradient.to(a.dtype), gradient.to(b.dtype)
        optimizer.step()
        other.step()
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=2e-2, atol=2e-2)


SGDS = [
    pytest.param(lambda w: LARS(groups_at_ratio_one(w), lr=0.1, weight_decay=0), id="stepsize"),
    pytest.param(
        lambda w: torch.optim.SGD(w, lr=0.1, momentum=0.9, fused=True),
        id="torch",
        marks=pytest.mark.xfail(reason="torch's fused SGD on the CPU", strict=True),
    ),
]


@pytest.mark.parametrize("make", SGDS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_fused_updates_are_right_in_half_precision(make, dtype):
    sgd_beside_unfused(make, lambda data: data.to(dtype))


@pytest.mark.parametrize("make", SGDS)
def test_fused_updates_are_right_where_gradients_are_laid_out_otherwise(make):
    def last(data):
        return 0.1 * (data.to(memory_format=torch.channels_last) if data.ndim == 4 else data)

    sgd_beside_unfused(make, last)


@pytest.mark.parametrize("name", RULES)
def test_a_state_resumed_is_a_run_never_stopped(name):
    through, halves = weights(), weights()
    rates = [0.1 * rate_at(step, 10) for step in range(10)]

    def train(mine, optimizer, steps):
        for step in steps:
            for weight, gradient in zip(mine, gradients(step), strict=True):
                weight.grad = gradient
            optimizer.param_groups[0]["lr"] = rates[step]
            optimizer.step()

    train(through, RULES[name](through, lr=0.1), range(10))
    first = RULES[name](halves, lr=0.1)
    train(halves, first, range(5))
    state = copy.deepcopy(first.state_dict())
    second = RULES[name](halves, lr=0.1)
    second.load_state_dict(state)
    train(halves, second, range(5, 10))
    assert all(torch.equal(a, b) for a, b in zip(through, halves, strict=True))
    assert copy.deepcopy(second).state_dict()["param_groups"] == second.state_dict()["param_groups"]


@pytest.mark.parametrize("name", RULES)
def test_bad_groups_gradients_and_states_are_refused_and_nothing_is_changed(name):
    rule, other = RULES[name], {"LARS": LAMB, "LAMB": LARS}[name]
    mine = weights()
    optimizer = rule(mine, lr=0.1)
    for weight, gradient in zip(mine, gradients(0), strict=True):
        weight.grad = gradient
    optimizer.step()
    before, kept = [weight.detach().clone() for weight in mine], copy.deepcopy(optimizer.state_dict())

    def unchanged():
        now = optimizer.state_dict()
        assert len(now["param_groups"]) == 1
        for number, state in kept["state"].items():
            assert all(torch.equal(state[key], now["state"][number][key]) for key in state)
        assert all(torch.equal(a, b) for a, b in zip(mine, before, strict=True))

    fresh = nn.Parameter(torch.ones(2))
    cases = [
        ({"params": []}, "empty"),
        ({"params": [fresh, fresh]}, "twice"),
        ({"params": [mine[0]]}, "more than one parameter group"),
        ({"params": [fresh], "adapt": 1}, "adapt"),
        ({"params": [fresh], "lr": -1.0}, "lr"),
        ({"params": [fresh], "weight_decay": "a"}, "weight_decay"),
        ({"params": [nn.Parameter(torch.ones(2, dtype=torch.complex64))]}, "real"),
        ({"params": [torch.ones(2, 2).to_sparse().requires_grad_()]}, "dense"),
        ({"params": [torch.ones(2).long()]}, "floating"),
        ({"params": {fresh}}, "order"),
        ({"params": 3}, "params"),
        ({"params": ["weight"]}, "parameter 0"),
        ({"lr": 0.1}, "param_group"),
        ([fresh], "param_group"),
    ]
    for group, problem in cases:
        with pytest.raises((TypeError, ValueError), match=problem):
            optimizer.add_param_group(group)
        unchanged()

    alien = [
        other(weights(), lr=0.1).state_dict(),
        torch.optim.SGD(weights(), lr=0.1).state_dict(),
        rule(weights()[:3], lr=0.1).state_dict(),
        {},
        3,
    ]
    wrong = copy.deepcopy(kept)
    key = next(key for key in wrong["state"][0] if key != "step")
    wrong["state"][0][key] = torch.zeros(9)
    strange = copy.deepcopy(kept)
    strange["state"][0] = {"square_avg": torch.zeros(7, 5)}
    for state in (*alien, wrong, strange):
        with pytest.raises((TypeError, ValueError), match="state_dict"):
            optimizer.load_state_dict(state)
        unchanged()

    mine[1].grad = None
    mine[1].grad_dtype = None
    mine[1].grad = torch.ones(5, dtype=torch.float64)
    with pytest.raises(TypeError, match="dtype and device of a gradient"):
        optimizer.step()
    unchanged()
    mine[1].grad = torch.ones(5).to_sparse()
    with pytest.raises(TypeError, match="layout of a gradient"):
        optimizer.step()
    unchanged()


def test_a_closure_is_called_with_gradients():
    weight = nn.Parameter(torch.ones(3))
    optimizer = LARS([weight], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = weight.square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 3.0
    assert optimizer.step(closure).item() < 3.0


@pytest.mark.parametrize("name", RULES)
def test_they_train_under_control(name):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 1))
    optimizer = RULES[name](no_decay(model, adapt=False), lr={"LARS": 20.0, "LAMB": 0.05}[name])
    if name == "LARS":
        optimizer.param_groups[1]["lr"] = 0.05
    control = Control(optimizer, lr=warmup("10%") >> cosine(), total=150)
    x = torch.randn(256, 8)
    y = x[:, :1] * x[:, 1:2]
    losses = []
    for _ in range(150):
        loss = (model(x) - y).square().mean()
        loss.backward()
        control.step(loss)
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", RULES)
def test_a_compiled_step_is_one_graph_whatever_the_rate_does(name):
    torch._dynamo.reset()
    graphs, mine, theirs = CompileCounter(), weights(), weights()
    compiled, plain = RULES[name](mine, lr=torch.tensor(0.1)), RULES[name](theirs, lr=torch.tensor(0.1))
    compiled.step = torch.compile(compiled.step, backend=graphs)
    controls = [Control(each, lr=cosine(), total=10, remind=False) for each in (compiled, plain)]
    counts = []
    for step in range(5):
        for a, b, gradient in zip(mine, theirs, gradients(step), strict=True):
            a.grad, b.grad = gradient, gradient.clone()
        for control in controls:
            control.step()
        counts.append(graphs.frame_count)
    assert counts == [1, 2, 2, 2, 2], "one that makes the states, and one for all other steps"
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_our_optimizers_have_names_whatever_was_imported_before():
    program = "from stepsize.optim import kinds; print(*kinds())"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert {"lars", "lamb", "adamw"} <= set(done.stdout.split())
