"""Parameter groups from a model: by patterns of names, without decay; and groups combined."""

from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any

from torch import Tensor, nn

from stepsize import _check
from stepsize.optim._patterns import Named, as_patterns, check_model, fitting, picked, some


def groups(model: nn.Module, rates: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Parameter groups by patterns of names, each with its rate.

    Args:
        model: the model.
        rates: from names of modules or parameters, or patterns such as ``"layer?.*"``, to the rate or to a mapping of
            several values such as ``{"lr": 0.1, "weight_decay": 0}``. ``"*"`` stands for all that nothing else fits.

    Returns:
        Groups for any torch optimizer, called as their patterns (``"*"`` becomes ``"others"``), in the order given.
        Frozen parameters are among them, and parameters keep their names, also in state dicts.

    Raises:
        TypeError, ValueError: model is no module, a rate is no number >= 0, a pattern fits nothing, or a parameter is
            fitted by no pattern or by two.

    Example:
        >>> import torch
        >>> from stepsize.optim import groups
        >>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 3), torch.nn.Linear(3, 1))
        >>> optimizer = torch.optim.SGD(groups(model, {"0": 0.01, "2": 1e-4, "*": 1e-3}))
        >>> [(group["name"], group["lr"], group["param_names"]) for group in optimizer.param_groups][:2]
        [('0', 0.01, ['0.weight', '0.bias']), ('2', 0.0001, ['2.weight', '2.bias'])]
    """
    check_model(model)
    if not isinstance(rates, Mapping) or not rates:
        raise TypeError(_check.message("rates", rates, 'a mapping such as {"head": 0.1, "*": 0.01}'))
    chosen = {key: _options(key, value) for key, value in rates.items() for key in as_patterns("rates", key)}
    found = picked("rates", [pattern for pattern in chosen if pattern != "*"], model, remedy="give the rate to {}")
    rest = ["*"] if "*" in chosen else []
    twice = [f"{name} ({' and '.join(here)})" for name, here in found.items() if len(here) > 1]
    if twice:
        raise ValueError(f"rates fit a parameter twice: {some(twice)}; make the patterns narrower")
    forgotten = [name for name, here in found.items() if not (here or rest)]
    if forgotten:
        raise ValueError(f'rates fit no pattern to {some(forgotten)}; add them, or "*" for all others')
    members: dict[str, Named] = {pattern: [] for pattern in chosen}
    for name, parameter in model.named_parameters():
        members[(found[name] or rest)[0]].append((name, parameter))
    if rest and not members["*"]:
        raise ValueError("rates has '*', and the other patterns fit all parameters already; leave it out")
    names = {pattern: "others" if pattern == "*" else pattern for pattern in chosen}
    return [{"name": names[pattern], "params": members[pattern], **chosen[pattern]} for pattern in chosen]


def no_decay(model: nn.Module, also: Iterable[str] = (), **options: Any) -> list[dict[str, Any]]:
    """Parameter groups ``decay`` and ``no_decay``: weight decay is for matrices, not for biases and norms.

    Without decay are all parameters with fewer than two dimensions, and those of modules with ``Norm`` in their class's
    name.

    Args:
        model: the model.
        also: names of modules or parameters, or patterns such as ``"*embedding*"``, of more without decay.
        options: more values for the group without decay, such as ``adapt=False`` for LARS and LAMB.

    Returns:
        Two groups for any torch optimizer, or one where the other would be empty.

    Raises:
        TypeError, ValueError: model is no module, or a pattern fits nothing.

    Example:
        >>> import torch
        >>> from stepsize.optim import no_decay
        >>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
        >>> optimizer = torch.optim.AdamW(no_decay(model), lr=1e-3, weight_decay=0.1)
        >>> [(group["name"], group["weight_decay"], group["param_names"]) for group in optimizer.param_groups]
        [('decay', 0.1, ['0.weight']), ('no_decay', 0.0, ['0.bias', '1.weight', '1.bias'])]

    Source: Goyal et al. 2017, "Accurate, large minibatch SGD" (arXiv 1706.02677), section 5.1, for norms.
    """
    check_model(model)
    named = fitting("also", as_patterns("also", also), model)
    norms = [module for module in model.modules() if "Norm" in type(module).__name__]
    small = {id(parameter) for module in norms for parameter in module.parameters(recurse=False)}
    decayed: Named = []
    rest: Named = []
    for name, parameter in model.named_parameters():
        without = parameter.ndim < 2 or id(parameter) in small or name in named
        (rest if without else decayed).append((name, parameter))
    both = [
        {"name": "decay", "params": decayed},
        {"name": "no_decay", "params": rest, "weight_decay": 0.0, **options},
    ]
    return [group for group in both if group["params"]]


def combine(*lists: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Parameter groups of several kinds at once: one group for each combination that occurs.

    Args:
        lists: lists of groups over the same named parameters, as ``groups``, ``layerwise`` and ``no_decay`` make them.

    Returns:
        Groups called ``first/second`` with the values of all; a value is given by one list only, or alike by all.

    Raises:
        TypeError, ValueError: the lists are over different parameters, or give one value differently.

    Example:
        >>> import torch
        >>> from stepsize.optim import combine, layerwise, no_decay
        >>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1))
        >>> found = combine(layerwise(model, lr=0.1, decay=0.5), no_decay(model))
        >>> [(group["name"], group["lr"], group.get("weight_decay")) for group in found]
        [('0/decay', 0.05, None), ('0/no_decay', 0.05, 0.0), ('1/decay', 0.1, None), ('1/no_decay', 0.1, 0.0)]
    """
    if not lists or not all(map(_is_named, lists)):
        raise TypeError(_check.message("lists", lists, "lists of groups, as groups, layerwise and no_decay make them"))
    places = [
        {id(p): (index, name) for index, group in enumerate(members) for name, p in group["params"]}
        for members in lists
    ]
    for other in places[1:]:
        odd = [name for key, (_, name) in (places[0] | other).items() if (key in places[0]) != (key in other)]
        if odd:
            raise ValueError(f"lists have different parameters: {some(odd)} is in one of them only")
    found: dict[tuple[int, ...], Named] = {}
    for name, parameter in (pair for group in lists[0] for pair in group["params"]):
        found.setdefault(tuple(place[id(parameter)][0] for place in places), []).append((name, parameter))
    return [_merged([members[index] for members, index in zip(lists, key, strict=True)], found[key]) for key in found]


def _merged(parts: list[Mapping[str, Any]], members: Named) -> dict[str, Any]:
    name = "/".join(str(part["name"]) for part in parts)
    merged: dict[str, Any] = {"name": name, "params": members}
    for part in parts:
        for key, value in part.items():
            if key in ("name", "params"):
                continue
            if merged.setdefault(key, value) != value:
                both = f"{merged[key]!r} and {value!r}"
                raise ValueError(f"lists give {key} of {name} differently, {both}; leave it out of one of them")
    return merged


def _is_named(value: Any) -> bool:
    try:
        return bool(value) and all(
            "name" in group and all(len(pair) == 2 for pair in group["params"]) for group in value
        )
    except TypeError:
        return False


def _options(key: str, value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        options = dict(value)
    elif isinstance(value, Real | Tensor):
        options = {"lr": value}
    else:
        raise TypeError(_check.message(f"rates[{key!r}]", value, 'a number, or a mapping such as {"lr": 0.1}'))
    if "lr" in options and not isinstance(options["lr"], Tensor):
        options["lr"] = _check.number(f"rates[{key!r}]", options["lr"], least=0)
    return options
