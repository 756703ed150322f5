"""What is on loan, and which optimizers are inside others, however they are held."""

from collections import defaultdict

import pytest
import torch

from stepsize import range_test
from stepsize.state import lent, on_loan, optimizers_in


def sgd():
    return torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], lr=0.1)


class Foreign:
    """Looks like an optimizer and is none of torch's."""

    def __init__(self, inner):
        self.inner, self.param_groups, self.state = inner, inner.param_groups, defaultdict(dict)

    def step(self):
        self.inner.step()


class Bare(torch.optim.Optimizer):
    """Never called ``Optimizer.__init__``."""

    def __init__(self, inner):
        self.inner, self.param_groups, self.state, self.itself = inner, inner.param_groups, defaultdict(dict), self

    def step(self, closure=None):
        return self.inner.step(closure)


def attribute(inner):
    outer = sgd()
    outer.inner = inner
    return outer


def listed(inner):
    outer = sgd()
    outer.parts = {"all": [(inner, outer)]}
    return outer


SHAPES = [Foreign, Bare, attribute, listed, lambda inner: Bare(Foreign(listed(inner)))]


@pytest.mark.parametrize("wrap", SHAPES)
@pytest.mark.parametrize("of", ["outer", "inner"])
def test_a_loan_covers_what_is_inside_and_what_is_around(wrap, of):
    inner = sgd()
    outer, bystander = wrap(inner), sgd()
    assert optimizers_in(outer)[0] is outer
    assert any(each is inner for each in optimizers_in(outer))
    with lent([outer if of == "outer" else inner]), lent([inner]):
        assert on_loan(outer)
        assert on_loan(inner)
        assert not on_loan(bystander)
    assert not on_loan(outer)
    assert not on_loan(inner)


@pytest.mark.parametrize("way", ["end", "break", "raise"])
def test_a_range_test_lends_its_optimizers_and_those_in_also_until_it_ends(way):
    def leave(step):
        if step == 2 and way == "raise":
            raise KeyError(way)
        return step == 2 and way == "break"

    model, beside = torch.nn.Linear(2, 1), sgd()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    test = range_test(optimizer, model, also=[beside], steps=4)
    assert not on_loan(optimizer)
    try:
        with test:
            for step, _ in enumerate(test):
                assert on_loan(optimizer)
                assert on_loan(beside)
                test.record(1.0)
                if leave(step):
                    break
    except KeyError:
        assert way == "raise"
    assert not on_loan(optimizer)
    assert not on_loan(beside)
