"""Capture: whatever optimizers, models and loaders keep, and wherever they keep it, is as before after a range test."""

import copy
import random
import types
import warnings
from collections import OrderedDict, defaultdict, deque

import numpy as np
import pytest
import torch
import torch.distributed as dist
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from stepsize import Scheduler, range_test
from stepsize.optim import LAMB, LARS
from stepsize.state import RandomState, capture

with warnings.catch_warnings():  # torch's own, about torch.jit
    warnings.simplefilter("ignore", DeprecationWarning)
    from torch.distributed.optim import ZeroRedundancyOptimizer


# What public code has: optimizers that keep state outside ``.state``, or inside another optimizer.


class SAM(torch.optim.Optimizer):
    """Sharpness-aware minimisation as most people copy it: the groups are shared, weights are swapped by ``.data``."""

    def __init__(self, params, base, rho=0.05, **options):
        super().__init__(params, {"rho": rho, **options})
        self.base_optimizer = base(self.param_groups, **options)
        self.param_groups = self.base_optimizer.param_groups

    @torch.no_grad()
    def step(self, closure):
        closure = torch.enable_grad()(closure)
        loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p]["old"] = p.data.clone()
                p.add_(p.grad, alpha=group["rho"])
        closure()
        for group in self.param_groups:
            for p in group["params"]:
                p.data = self.state[p]["old"]
        self.base_optimizer.step()
        return loss


class HoldingSAM(torch.optim.Optimizer):
    """The other shape: around a ready optimizer, perturbations in a list, counters as attributes."""

    def __init__(self, inner):
        self.parts = {"inner": [inner]}
        self.defaults, self.state = {}, defaultdict(dict)
        self.perturbations, self.calls, self.recent = [], 0, deque(maxlen=3)

    @property
    def param_groups(self):
        return self.parts["inner"][0].param_groups

    def zero_grad(self, set_to_none=True):
        self.parts["inner"][0].zero_grad(set_to_none)

    def step(self, closure):
        closure()
        self.calls += 1
        parameters = [p for group in self.param_groups for p in group["params"]]
        self.perturbations = [0.01 * p.grad for p in parameters]
        with torch.no_grad():
            torch._foreach_add_(parameters, self.perturbations)
        loss = closure()
        with torch.no_grad():
            torch._foreach_sub_(parameters, self.perturbations)
        self.recent.append(loss.item())
        self.parts["inner"][0].step()
        return loss


class Lookahead(torch.optim.Optimizer):
    """As timm's, which never calls ``Optimizer.__init__``; slow weights in the base optimizer's state."""

    def __init__(self, base, alpha=0.5, k=2):
        self._optimizer_step_pre_hooks, self._optimizer_step_post_hooks = OrderedDict(), OrderedDict()
        self._base_optimizer, self.param_groups, self.defaults = base, base.param_groups, base.defaults
        self.state = defaultdict(dict)
        for group in self.param_groups:
            group.update(alpha=alpha, k=k, slow_steps=0)

    def step(self, closure=None):
        loss = self._base_optimizer.step(closure)
        for group in self.param_groups:
            group["slow_steps"] += 1
            if group["slow_steps"] % group["k"] == 0:
                for p in group["params"]:
                    state = self._base_optimizer.state[p]
                    slow = state.setdefault("slow", p.detach().clone())
                    slow.add_(p.detach() - slow, alpha=group["alpha"])
                    p.data.copy_(slow)
        return loss


class Radius:
    """A schedule that is called, and counts its calls."""

    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return 0.05 / self.calls


class Helper:
    """Slow weights and a count in an object of its own, in slots."""

    __slots__ = ("noise", "steps", "weights")

    def __init__(self, weights):
        self.weights, self.steps, self.noise = weights, 0, np.random.default_rng(3)


class SlowLookahead(torch.optim.Optimizer):
    """Slow weights as attributes, a helper with its own generators, and a reference to itself."""

    def __init__(self, base, k=2):
        super().__init__(base.param_groups, {})
        self.base, self.k, self.itself = base, k, self
        self.slow = [[p.detach().clone() for p in group["params"]] for group in self.param_groups]
        self.helper, self.draws = Helper(torch.zeros(3)), random.Random(5)
        self.history, self.radius = np.zeros(4), Radius()

    def step(self, closure=None):
        loss = self.base.step(closure)
        self.helper.steps += 1
        self.helper.weights += self.helper.noise.random() * self.radius()
        self.history[self.helper.steps % 4] = self.draws.random()
        if self.helper.steps % self.k == 0:
            for group, slow in zip(self.param_groups, self.slow, strict=True):
                for p, kept in zip(group["params"], slow, strict=True):
                    kept.lerp_(p.detach(), 0.5)
                    p.data = kept.clone()
        return loss


def split(model):
    """Two groups with rates of their own."""
    parameters = list(model.parameters())
    return [{"params": parameters[:2], "lr": 0.05}, {"params": parameters[2:]}]


def adapted(model):
    return [{"params": [p], "adapt": p.dim() > 1} for p in model.parameters()]


OPTIMIZERS = {
    "sgd": lambda model: torch.optim.SGD(split(model), lr=0.01),
    "momentum": lambda model: torch.optim.SGD(split(model), lr=0.01, momentum=0.9, nesterov=True),
    "adam": lambda model: torch.optim.Adam(split(model), lr=0.01),
    "adamw": lambda model: torch.optim.AdamW(model.parameters(), lr=torch.tensor(0.01), amsgrad=True),
    "fused": lambda model: torch.optim.AdamW(split(model), lr=0.01, fused=True),
    "rmsprop": lambda model: torch.optim.RMSprop(model.parameters(), lr=0.01, centered=True, momentum=0.5),
    "lars": lambda model: LARS(adapted(model), lr=0.01, momentum=0.9),
    "lamb": lambda model: LAMB(adapted(model), lr=0.01),
    "lbfgs": lambda model: torch.optim.LBFGS(model.parameters(), lr=0.01, max_iter=2, history_size=3),
    "sam": lambda model: SAM(split(model), torch.optim.SGD, lr=0.01, momentum=0.9),
    "sam around": lambda model: HoldingSAM(torch.optim.Adam(split(model), lr=0.01)),
    "lookahead": lambda model: Lookahead(torch.optim.Adam(split(model), lr=0.01)),
    "slow lookahead": lambda model: SlowLookahead(torch.optim.SGD(split(model), lr=0.01, momentum=0.9)),
    "both": lambda model: SlowLookahead(Lookahead(torch.optim.Adam(split(model), lr=0.01))),
    "zero": lambda model: ZeroRedundancyOptimizer(split(model), optimizer_class=torch.optim.Adam, lr=0.01),
    "list": lambda model: [
        torch.optim.SGD(list(model.parameters())[:2], lr=0.01, momentum=0.9),
        Lookahead(torch.optim.Adam(list(model.parameters())[2:], lr=0.02)),
    ],
}
CLOSURE = {"lbfgs", "sam", "sam around"}


class Net(nn.Module):
    """Buffers, dropout, modes of their own, and state that is in no state dict: a hidden state, a count, a memory."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Dropout(0.2))
        self.head = nn.Linear(6, 1)
        self.frozen = nn.BatchNorm1d(4).eval()
        self.hidden, self.calls, self.memory = torch.zeros(6), 0, {"seen": [], "sizes": set()}
        self.scale = torch.ones(1).expand(4)  # the same place in memory four times

    def forward(self, x):
        h = self.body(self.frozen(x) * self.scale)
        if self.training:
            self.hidden = 0.5 * self.hidden + h.mean(0).detach()
            self.calls += 1
            self.memory["seen"].append(x[0].detach().clone())
            self.memory["sizes"].add(self.calls)
        return self.head(h + 0.01 * self.hidden)


DATA = TensorDataset(torch.randn(40, 4, generator=torch.Generator().manual_seed(0)))


class Loop:
    """A training loop of every sort, with all that it changes."""

    def __init__(self, kind, scaled, averaged, seed):
        for seeded in (torch.manual_seed, random.seed, np.random.seed):
            seeded(seed)
        self.kind, self.model = kind, Net()
        self.given = OPTIMIZERS[kind](self.model)
        self.optimizers = self.given if isinstance(self.given, list) else [self.given]
        self.loader = DataLoader(DATA, 8, shuffle=True, generator=torch.Generator().manual_seed(seed), drop_last=True)
        self.batches = iter(())
        self.scaler = torch.amp.GradScaler("cpu", init_scale=64.0, growth_interval=2) if scaled else None
        self.average = AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(0.9)) if averaged else None

    def batch(self):
        found = next(self.batches, None)
        if found is None:
            self.batches = iter(self.loader)
            found = next(self.batches)
        return found[0] + 0.1 * torch.randn(1) * random.random() * np.random.rand()

    def loss(self, x):
        return (self.model(x) - x.sum(1, keepdim=True)).square().mean()

    def step(self):
        x = self.batch()
        for optimizer in self.optimizers:
            optimizer.zero_grad()

        def closure():
            self.given.zero_grad()
            loss = self.loss(x)
            loss.backward()
            return loss

        if self.kind in CLOSURE:
            loss = self.given.step(closure)
        elif self.scaler is None:
            loss = self.loss(x)
            loss.backward()
            for optimizer in self.optimizers:
                optimizer.step()
        else:
            loss = self.loss(x)
            self.scaler.scale(loss).backward()
            for optimizer in self.optimizers:
                self.scaler.step(optimizer)
            self.scaler.update()
        if self.average is not None:
            self.average.update_parameters(self.model)
        return torch.as_tensor(loss).item()


def picture(thing, seen=None):
    """All that is reachable, by identity and value, found by another way than the library's: Python's own pickling."""
    seen = {} if seen is None else seen
    if isinstance(thing, torch.Tensor):
        grad = None if not thing.is_leaf or thing.grad is None else (id(thing.grad), thing.grad.numpy().tobytes())
        memory = thing.data_ptr(), thing.stride(), tuple(thing.shape), thing.requires_grad
        return id(thing), memory, thing.detach().numpy().tobytes(), grad
    if isinstance(thing, np.ndarray):
        return id(thing), thing.tobytes()
    if isinstance(thing, torch.Generator):
        return thing.get_state().numpy().tobytes()
    if isinstance(thing, random.Random):
        return thing.getstate()
    if isinstance(thing, np.random.Generator):
        return repr(thing.bit_generator.state)
    if isinstance(thing, types.FunctionType | types.BuiltinFunctionType | types.MethodType | type | types.ModuleType):
        return None
    if isinstance(thing, bool | int | float | str | bytes | type(None) | torch.dtype | torch.device):
        return thing if thing == thing else "nan"
    if id(thing) in seen:
        return seen[id(thing)]
    seen[id(thing)] = f"number {len(seen)}"
    if isinstance(thing, dict):
        items = [
            (id(key) if isinstance(key, torch.Tensor) else key, picture(each, seen)) for key, each in thing.items()
        ]
        return id(thing), items
    if isinstance(thing, list | tuple | deque):
        return type(thing), [picture(each, seen) for each in thing], isinstance(thing, tuple) or id(thing)
    if isinstance(thing, set):
        return id(thing), sorted(map(repr, thing))
    inside = {key: getattr(thing, key) for key in getattr(type(thing), "__slots__", ()) if hasattr(thing, key)}
    return id(thing), type(thing), picture({**getattr(thing, "__dict__", {}), **inside}, seen)[1]


def all_of(loop):
    """The picture of a loop without its open iterator, and of the global generators."""
    rest = {key: value for key, value in vars(loop).items() if key != "batches"}
    now = RandomState.now()
    python, numpy = now.python, [repr(each) for each in now.numpy]
    return picture(rest)[1], python, numpy, now.cpu.numpy().tobytes()


@pytest.fixture(scope="module")
def group(tmp_path_factory):
    place = tmp_path_factory.mktemp("group") / "meeting"
    dist.init_process_group("gloo", init_method=f"file://{place}", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def ranged(loop, rates, end):
    """A range test that ends by itself, by a break or by an exception."""
    also = [] if loop.average is None else [loop.average]
    options = {"loader": loop.loader, "scaler": loop.scaler, "also": also, "low": 1e-5, "high": 1e-1, "steps": rates}
    test = range_test(loop.given, loop.model, **options)
    try:
        with test:
            for number, _ in enumerate(test):
                loop.model.train()
                loop.step()
                test.record(1.0)
                if number == rates // 2 and end == "break":
                    break
                if number == rates // 2 and end == "raise":
                    raise KeyboardInterrupt
    except KeyboardInterrupt:
        assert end == "raise"
    return test.result


@pytest.mark.parametrize("kind", list(OPTIMIZERS))
@settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    scaled=st.booleans(),
    averaged=st.booleans(),
    warm=st.integers(0, 3),
    rates=st.integers(2, 9),
    end=st.sampled_from(["end", "break", "raise"]),
)
def test_after_a_range_test_everything_is_the_same_bit_for_bit(group, kind, scaled, averaged, warm, rates, end):
    loop = Loop(kind, scaled and kind not in CLOSURE, averaged, seed=7)
    for _ in range(warm):
        loop.step()
    loop.batches = iter(())
    before = all_of(loop)
    result = ranged(loop, rates, end)
    assert result.unrestored == ()
    after = all_of(loop)
    assert after == before


@pytest.mark.parametrize("kind", list(OPTIMIZERS))
def test_training_after_a_range_test_is_training_without_it(group, kind):
    ends = []
    for test in (False, True):
        loop = Loop(kind, False, True, seed=3)
        losses = [loop.step() for _ in range(5)]  # a whole epoch
        if test:
            ranged(loop, 7, "end")
        loop.batches = iter(())  # an open iterator is not put back
        losses += [loop.step() for _ in range(5)]
        ends.append((losses, [p.detach().clone().numpy().tobytes() for p in loop.model.parameters()]))
    assert ends[0] == ends[1]


def test_one_capture_is_restored_many_times_whatever_happens_in_between(group):
    loop = Loop("both", True, True, seed=1)
    loop.step()
    loop.batches = iter(())
    kept = capture(loop.given, loop.model, loop.scaler, loop.average, loop.loader)
    before = all_of(loop)
    for number in range(6):
        loop.step()
        if number == 1:
            loop.given.load_state_dict(copy.deepcopy(loop.given.state_dict()))  # which makes new groups and states
        if number == 2:
            loop.model.head = nn.Linear(6, 1)
            loop.model.fresh, loop.given.fresh = nn.Linear(2, 2), torch.ones(2)
        if number == 3:
            loop.model.head.weight.requires_grad_(False).grad = None
            del loop.given.helper.weights
        if number == 4:
            loop.given.add_param_group({"params": [nn.Parameter(torch.ones(1))]})
            loop.model.head.register_forward_hook(lambda *_: None).remove()
        kept.restore()
        assert all_of(loop) == before


def test_accelerate_s_optimizer_is_put_back_with_what_it_wraps():
    accelerate = pytest.importorskip("accelerate")
    model = nn.Linear(3, 1)
    accelerator = accelerate.Accelerator(cpu=True)
    prepared, optimizer = accelerator.prepare(model, torch.optim.AdamW(model.parameters(), lr=0.1))
    before = picture(vars(optimizer.optimizer)), picture(vars(model))
    with range_test(optimizer, prepared, low=1e-3, high=1e-1, steps=4) as test:
        for rate in test:
            assert optimizer.param_groups[0]["lr"] == rate
            loss = prepared(torch.ones(2, 3)).square().mean()
            accelerator.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
            test.record(loss)
    assert (picture(vars(optimizer.optimizer)), picture(vars(model))) == before
    assert len(set(test.result.losses)) == 4


def test_rates_reach_an_optimizer_inside_that_has_groups_of_its_own():
    class Apart(torch.optim.Optimizer):
        def __init__(self, inner):
            super().__init__([p for group in inner.param_groups for p in group["params"]], {"lr": 0.3})
            self.inner = inner

        def step(self, closure=None):
            self.inner.step()

    weight = nn.Parameter(torch.ones(1))
    inner = torch.optim.SGD([weight], lr=0.3)
    with range_test(Apart(inner), nn.ParameterList([weight]), low=1e-3, high=1e-1, steps=3) as test:
        for rate in test:
            assert inner.param_groups[0]["lr"] == pytest.approx(rate)
            test.record(1.0)
    assert inner.param_groups[0]["lr"] == 0.3


def test_a_scaler_s_steps_are_counted_inside_a_wrapper_that_runs_no_hooks():
    loop = Loop("lookahead", True, False, seed=0)
    result = ranged(loop, 6, "end")
    assert (len(result.losses), result.skipped) == (6, 0)


class Stream(IterableDataset):
    """Goes on where it was."""

    def __init__(self):
        self.numbers = iter(range(1000))

    def __iter__(self):
        return self.numbers


class Counting(Stream):
    """Goes on where it was, and can say where that is."""

    def __init__(self):
        self.place = 0

    def __iter__(self):
        while True:
            self.place += 1
            yield self.place

    def state_dict(self):
        return {"place": self.place}

    def load_state_dict(self, state):
        self.place = state["place"]


def test_what_cannot_be_put_back_is_named_in_the_result():
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def named(given=optimizer, **options):
        with range_test(given, model, steps=2, **options) as test:
            for _ in test:
                optimizer.foreign = getattr(optimizer, "foreign", None)
                if optimizer.foreign:
                    optimizer.foreign.seconds = 3
                test.record(1.0)
        return test.result.unrestored

    assert named() == ()
    assert named(loader=DataLoader(Counting(), 2)) == ()
    assert named(loader=DataLoader(Stream(), 2)) == ("the position of Stream, a stream without a state dict",)
    optimizer.foreign = types.SimpleNamespace()
    assert named() == ("SGD.foreign (SimpleNamespace)",)
    optimizer.foreign = iter([1])
    optimizer.foreign = {"noise": [map(abs, [1])]}
    del optimizer.foreign["noise"][0]
    optimizer.rates = {"next": [map(abs, [1])]}
    optimizer.foreign = None
    assert named() == ("SGD.rates['next'] (an open iterator)",)


class Refusing:
    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        raise RuntimeError("not again")


def test_what_refuses_to_be_put_back_keeps_nothing_else_from_it():
    model = nn.Linear(2, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    before = model.weight.detach().clone()
    kept = capture(Refusing(), optimizer, model)
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    with pytest.raises(RuntimeError, match="not again"):
        kept.restore()
    assert torch.equal(before, model.weight)
    assert not optimizer.state


def test_lazy_parameters_are_refused_with_the_remedy():
    model = nn.LazyLinear(1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ValueError, match=r"lazy parameter.*run one batch"), range_test(optimizer, model):
        pass


def test_sparse_gradients_and_tensors_within_a_graph_come_back():
    table = nn.Embedding(10, 3, sparse=True)
    optimizer = torch.optim.SparseAdam(list(table.parameters()), lr=0.1)

    def step():
        table(torch.tensor([1, 2, 2])).square().sum().backward()
        optimizer.step()

    step()
    gradient, dense = table.weight.grad, table.weight.grad.to_dense()
    table.carried = table.weight.sum()  # its graph may still be run backward
    kept = capture(table, optimizer)
    carried = table.carried
    optimizer.zero_grad()
    step()
    table.carried = None
    kept.restore()
    assert table.weight.grad is gradient
    assert torch.equal(gradient.to_dense(), dense)
    assert table.carried is carried
    table.carried.backward()


def test_a_range_test_in_mid_run_takes_schedulers_in_also():
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    ours, theirs = Scheduler(optimizer, "linear()", total=20), None
    other = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.ExponentialLR(other, 0.5)
    for _ in range(3):
        optimizer.step()
        ours.step()
        other.step()
        theirs.step()
    before = copy.deepcopy([ours.state_dict(), theirs.state_dict(), other.state_dict(), optimizer.state_dict()])
    with range_test(optimizer, model, also=[ours, theirs, other], steps=3) as test:
        for _ in test:
            optimizer.step()
            other.step()
            theirs.step()
            test.record(1.0)
    assert [ours.state_dict(), theirs.state_dict(), other.state_dict(), optimizer.state_dict()] == before
