"""Parameter groups from a model: each parameter once, rates and names as said, combined, saved, frozen in stages."""

import copy
import itertools
import re
import sys

import pytest
import torch
from torch import nn

from stepsize import Control, linear
from stepsize.optim import LAMB, LARS, Stages, combine, group_names, groups, layerwise, no_decay, split_matrices


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(width, width, 3), nn.BatchNorm2d(width)
        self.downsample = nn.Sequential(nn.Conv2d(width, width, 1), nn.BatchNorm2d(width))


class Residual(nn.Module):
    """Named like torchvision's residual networks."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.layer1, self.layer2 = (nn.Sequential(Block(4), Block(4)) for _ in range(2))
        self.fc = nn.Linear(4, 2)


class Classifier(nn.Module):
    """Named like the transformers of Transformers: an encoder that holds a ModuleList, two levels down."""

    def __init__(self):
        super().__init__()
        self.bert = nn.Module()
        self.bert.cls = nn.Parameter(torch.zeros(1, 4))
        self.bert.embeddings = nn.Embedding(9, 4)
        self.bert.encoder = nn.Module()
        self.bert.encoder.layer = nn.ModuleList(nn.TransformerEncoderLayer(4, 2, 8) for _ in range(3))
        self.bert.norm = nn.LayerNorm(4)
        self.classifier = nn.Linear(4, 2)


MODELS = {"residual": Residual, "classifier": Classifier}


def names_of(found):
    return [name for group in found for name, _ in group["params"]]


def every_way(model):
    return {
        "groups": groups(model, {"*.bias": 0.2, "*": {"lr": 0.1, "weight_decay": 0.3}}),
        "layerwise": layerwise(model, 0.1),
        "no_decay": no_decay(model),
        "combine": combine(layerwise(model, 0.1), no_decay(model, adapt=False)),
    }


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_each_parameter_is_in_one_group_and_keeps_its_name_through_a_state_dict(make):
    model = make()
    for way, found in every_way(model).items():
        assert sorted(names_of(found)) == sorted(name for name, _ in model.named_parameters()), way
        assert len({group["name"] for group in found}) == len(found)
        optimizer = torch.optim.AdamW(found, lr=0.1)
        state = copy.deepcopy(optimizer.state_dict())
        other = torch.optim.AdamW(every_way(make())[way], lr=0.5)
        other.load_state_dict(state)
        for mine, theirs in zip(optimizer.param_groups, other.param_groups, strict=True):
            assert mine["param_names"] == theirs["param_names"]
            assert [mine[key] for key in ("name", "lr", "weight_decay")] == [
                theirs[key] for key in ("name", "lr", "weight_decay")
            ]


def test_layers_of_common_shapes():
    assert [group["name"] for group in layerwise(Residual(), 0.1)] == [
        "conv1",
        "layer1.0",
        "layer1.1",
        "layer2.0",
        "layer2.1",
        "fc",
    ]
    found = layerwise(Classifier(), 0.1)
    layers = [f"bert.encoder.layer.{index}" for index in range(3)]
    assert [group["name"] for group in found] == ["bert.embeddings", *layers, "classifier"]
    assert [name for name, _ in found[0]["params"]] == ["bert.cls", "bert.embeddings.weight"]
    assert [name for name, _ in found[3]["params"]][-2:] == ["bert.norm.weight", "bert.norm.bias"]
    plain = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)))
    assert [group["name"] for group in layerwise(plain, 0.1)] == ["0", "2.0", "2.1"]
    assert [group["name"] for group in layerwise(nn.Linear(2, 2), 0.1)] == ["all"]


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_rates_fall_by_one_factor_from_the_output_to_the_input(make):
    rates = [group["lr"] for group in layerwise(make(), 0.3, decay=0.6)]
    assert rates[-1] == 0.3
    assert [a / b for a, b in itertools.pairwise(rates)] == pytest.approx([0.6] * (len(rates) - 1))


def test_layers_may_be_said():
    found = layerwise(Residual(), 1.0, 0.5, layers=["conv1", "bn1", "layer?", "fc"])
    assert [(group["name"], group["lr"]) for group in found] == [
        ("conv1", 0.0625),
        ("bn1", 0.125),
        ("layer1", 0.25),
        ("layer2", 0.5),
        ("fc", 1.0),
    ]
    for layers, problem in (
        (["conv1", "layer?"], "fc.weight"),
        (["*"], None),
        (["conv1", "bn1", "layer?", "layer1.0", "fc"], "twice"),
        (["conv1", "fc", "laier1"], "did you mean 'layer1"),
        (["conv1", "conv1"], "twice"),
    ):
        if problem is None:
            assert len(layerwise(Residual(), 1.0, layers=layers)) == 5
            continue
        with pytest.raises(ValueError, match=problem):
            layerwise(Residual(), 1.0, layers=layers)


def test_patterns_that_fit_nothing_or_twice_or_forget_are_refused_with_names():
    model = Residual()
    for rates, problem in (
        ({"conv1": 0.1}, r"fit no pattern to bn1.weight.*\"\*\""),
        ({"layer1": 0.1, "layer1.0": 0.2, "*": 0.3}, r"twice: layer1.0.conv1.weight \(layer1 and layer1.0\)"),
        ({"layr1": 0.1, "*": 0.3}, "did you mean 'layer1'"),
        ({"*.weight": 0.1, "*.bias": 0.2, "*": 0.3}, r"rates has '\*'"),
        ({}, "rates"),
        ({"*": "fast"}, "rates"),
        ({"*": -1}, "rates"),
        ({"": 0.1}, "rates"),
    ):
        with pytest.raises((TypeError, ValueError), match=problem):
            groups(model, rates)
    with pytest.raises(ValueError, match="fits no parameter"):
        no_decay(model, also=["nothing"])
    with pytest.raises(ValueError, match="parameters"):
        no_decay(nn.ReLU())


def test_biases_and_norms_are_without_decay_and_so_is_what_is_named():
    model = nn.ModuleDict(
        {"embed": nn.Embedding(5, 4), "norm": nn.LayerNorm((3, 4)), "out": nn.Linear(4, 2), "scale": nn.BatchNorm1d(2)}
    )
    decayed, rest = no_decay(model, also="embed", adapt=False)
    assert [name for name, _ in decayed["params"]] == ["out.weight"]
    assert (rest["weight_decay"], rest["adapt"]) == (0.0, False)
    assert [group["name"] for group in no_decay(nn.Linear(2, 2, bias=False))] == ["decay"]
    assert [group["name"] for group in no_decay(nn.BatchNorm1d(3))] == ["no_decay"]


def test_combining_is_associative_and_does_not_depend_on_who_is_first():
    model = Residual()
    a, b, c = layerwise(model, 0.1), no_decay(model), groups(model, {"fc": {"momentum": 0.5}, "*": {}})

    def content(found):
        return {
            frozenset(name for name, _ in group["params"]): {
                key: value for key, value in group.items() if key not in ("name", "params")
            }
            for group in found
        }

    left, right, flat = combine(combine(a, b), c), combine(a, combine(b, c)), combine(a, b, c)
    assert [group["name"] for group in left] == [group["name"] for group in right] == [group["name"] for group in flat]
    assert content(left) == content(right) == content(flat) == content(combine(c, b, a))
    with pytest.raises(ValueError, match=r"lr of .* differently"):
        combine(a, groups(model, {"*": 0.7}))
    with pytest.raises(ValueError, match="different parameters"):
        combine(a, layerwise(Residual(), 0.1))
    for bad in ((), (3,), ([{"params": [model.fc.weight]}],)):
        with pytest.raises(TypeError, match="lists"):
            combine(*bad)


def test_groups_are_scheduled_by_their_names_and_rates_keep_their_ratios():
    model = Residual()
    optimizer = LARS(combine(layerwise(model, 1.0, 0.5), no_decay(model, adapt=False)), lr=1.0)
    control = Control(optimizer, lr={"fc/*": linear(), "*": linear(end=0.5)}, total=10)
    for _ in range(5):
        control.step()
    assert control.rates["fc/decay"] == 0.5
    assert control.rates["layer2.1/decay"] == 0.5 * 0.75
    for _ in range(5):
        control.step()


def shares(model, names):
    return [name for name, parameter in model.named_parameters() if parameter.requires_grad] == names


def test_stages_are_a_pure_function_of_the_position_so_that_a_resumed_run_is_right():
    model = Residual()
    stages = Stages(model, {0: "fc", 10: ["fc", "layer2"], 20.5: "*", 30: "layer1.0"})
    head, everything = ["fc.weight", "fc.bias"], [name for name, _ in model.named_parameters()]
    assert stages(0) == head
    assert shares(model, head)
    assert all(not parameter.requires_grad for parameter in model.layer2.parameters())
    middle = stages(10)
    assert [name for name in middle if not name.startswith("layer2")] == head
    assert shares(model, stages(20.4))
    assert stages(25) == everything
    model.fc.weight.grad = torch.ones_like(model.fc.weight)
    assert stages(31) == [name for name in everything if name.startswith("layer1.0.")]
    assert model.fc.weight.grad is None
    fresh = Residual()
    assert Stages(fresh, {0: "fc", 10: ["fc", "layer2"]})(12) == middle
    assert shares(fresh, middle)


def test_bad_stages_are_refused():
    model = Residual()
    for stages, problem in (
        ({5: "fc"}, "first position in stages must be 0"),
        ({0: "fd"}, "did you mean 'fc'"),
        ({-1: "fc"}, "position in stages"),
        ({0: 3}, "stages"),
        ({}, "stages"),
        ("fc", "stages"),
    ):
        with pytest.raises((TypeError, ValueError), match=problem):
            Stages(model, stages)
    with pytest.raises(ValueError, match="position"):
        Stages(model, {0: "fc"})(-1)


@pytest.mark.parametrize("rule", [LARS, LAMB])
def test_what_is_frozen_stays_and_goes_on_where_it_was(rule):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1))
    stages = Stages(model, {0: "*", 2: "1", 4: "*"})
    control = Control(rule(no_decay(model, adapt=False), lr=0.01))
    for step in range(6):
        stages(control.position)
        before = model[0].weight.detach().clone()
        model(torch.randn(8, 3)).square().mean().backward()
        control.step()
        assert torch.equal(before, model[0].weight) == (step in (2, 3))


def tied(bias):
    model = nn.Module()
    model.emb, model.head = nn.Embedding(10, 4), nn.Linear(4, 10, bias=bias)
    model.head.weight = model.emb.weight
    return model


@pytest.mark.parametrize("bias", [False, True])
def test_a_pattern_of_a_tied_weight_says_whose_it_is(bias):
    same = "head.weight is the same tensor as emb.weight; "
    for pattern, instead in {"head": "emb", "he*": "emb", "head.weight": "emb.weight", "head.*": "emb.weight"}.items():
        with pytest.raises(
            ValueError, match=f"^rates has '{re.escape(pattern)}', and {same}give the rate to {instead}$"
        ):
            groups(tied(bias), {pattern: 0.1, "*": 0.2})
    for call in (
        lambda: no_decay(tied(bias), also=["head"]),
        lambda: split_matrices(tied(bias), others="head"),
        lambda: Stages(tied(bias), {0: "head"}),
    ):
        with pytest.raises(ValueError, match=f"has 'head', and {same}name emb$"):
            call()
    only = {"emb": 0.1, "*": 0.2} if bias else {"emb": 0.1}
    assert groups(tied(bias), only)[0]["params"][0][0] == "emb.weight"
    assert len(groups(tied(bias), {"*weight": 0.1, "*": 0.2} if bias else {"*weight": 0.1})) == 1 + bias
    if bias:  # the shared weight has a rate by its first name, and the rest of the head one of its own
        found = groups(tied(bias), {"emb": 0.1, "head": 0.2})
        assert [[name for name, _ in group["params"]] for group in found] == [["emb.weight"], ["head.bias"]]


def operations(call):
    """How many Python calls something takes: unlike its time, that is the same on every machine."""
    count = 0

    def counting(*_):
        nonlocal count
        count += 1

    sys.setprofile(counting)
    try:
        call()
    finally:
        sys.setprofile(None)
    return count


MANY = {
    "groups": lambda model, names: groups(model, dict.fromkeys(names, 0.1)),
    "layerwise": lambda model, names: layerwise(model, 0.1),
    "layers": lambda model, names: layerwise(model, 0.1, layers=names),
    "no_decay": lambda model, names: no_decay(model, also=names),
    "split_matrices": lambda model, names: split_matrices(model, others=names),
    "stages": lambda model, names: Stages(model, {0: names}),
    "combine": lambda model, names: combine(layerwise(model, 0.1), no_decay(model)),
}


@pytest.mark.parametrize("make", MANY)
def test_ten_times_as_many_names_take_ten_times_as_long(make):
    taken = []
    for count in (40, 400):
        model = nn.ModuleList(nn.Linear(1, 1) for _ in range(count))
        names = [str(place) for place in range(count)]
        MANY[make](model, names)  # what is imported at the first call does not count
        taken.append(operations(lambda: MANY[make](model, names)))  # noqa: B023
    assert taken[1] < 13 * taken[0]


def test_names_of_many_groups_are_counted_once():
    model = nn.ModuleList(nn.Linear(1, 1) for _ in range(300))
    optimizer = torch.optim.SGD([{"params": layer.parameters(), "name": "one"} for layer in model], lr=0.1)
    names = group_names(optimizer)
    assert names[:2] == ["one#0", "one#1"]
    assert len(set(names)) == 300
