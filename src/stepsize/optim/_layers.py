"""Parameter groups by depth: layer-wise rates."""

from collections.abc import Iterable, Sequence
from typing import Any

from torch import nn

from stepsize import _check
from stepsize.optim._patterns import Named, Patterns, as_patterns, check_model, no_such, prefixes, some


def layerwise(
    model: nn.Module, lr: float, decay: float = 0.75, layers: Iterable[str] | None = None
) -> list[dict[str, Any]]:
    """Parameter groups by depth: the layer next to the output has the rate, each one before it less.

    Formula, for layer i of L, counted from the input from 0:
        lr_i = lr decay^(L - 1 - i)

    Layers are the model's children, in order; of containers (Sequential, ModuleList, ModuleDict) and of modules with a
    ModuleList somewhere inside, their children instead. What has no matrix, such as a norm, belongs to the layer before
    it, and a parameter outside all of these to the layer after it.

    Args:
        model: the model.
        lr: the rate of the last layer, >= 0.
        decay: > 0 and <= 1.
        layers: names of modules or patterns, such as ``["embed", "blocks.*", "head"]``, from the input on: each module
            that they fit is a layer; the rule above when left out.

    Returns:
        Groups for any torch optimizer, from the input on, called as their layers.

    Raises:
        TypeError, ValueError: an argument is invalid, or a parameter is in no layer or in two.

    Example:
        >>> import torch
        >>> from stepsize.optim import layerwise
        >>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.LayerNorm(3), torch.nn.Linear(3, 1))
        >>> optimizer = torch.optim.SGD(layerwise(model, lr=0.1, decay=0.5))
        >>> [(group["name"], group["lr"], group["param_names"]) for group in optimizer.param_groups]
        [('0', 0.05, ['0.weight', '0.bias', '1.weight', '1.bias']), ('2', 0.1, ['2.weight', '2.bias'])]

    Source: Howard and Ruder 2018, "Universal language model fine-tuning" (arXiv 1801.06146), section 3.2, with a factor
    of 1 / 2.6; Clark et al. 2020 (ELECTRA) and Bao et al. 2021 (BEiT) for transformers.
    """
    check_model(model)
    lr = _check.number("lr", lr, least=0)
    if not _check.number("decay", decay, above=0) <= 1:
        raise ValueError(_check.message("decay", decay, "a finite number > 0 and <= 1"))
    found = _found_layers(model) if layers is None else _given_layers(model, as_patterns("layers", layers))
    last = len(found) - 1
    return [
        {"name": name, "params": members, "lr": lr * decay ** (last - depth)}
        for depth, (name, members) in enumerate(found.items())
    ]


def _units(path: str, module: nn.Module) -> list[tuple[str, nn.Module]]:
    """The layers of a module: itself, or its children."""
    blocks = [m for m in module.modules() if isinstance(m, nn.ModuleList) and len(_with_parameters(m)) > 1]
    if not blocks and not isinstance(module, nn.Sequential | nn.ModuleList | nn.ModuleDict):
        return [(path, module)]
    if isinstance(module, nn.Sequential) and not blocks:
        return [(f"{path}.{name}", child) for name, child in _with_parameters(module)]
    return [unit for name, child in _with_parameters(module) for unit in _units(f"{path}.{name}", child)]


def _with_parameters(module: nn.Module) -> list[tuple[str, nn.Module]]:
    return [pair for pair in module.named_children() if next(pair[1].parameters(), None) is not None]


def _found_layers(model: nn.Module) -> dict[str, Named]:
    path, top = "", model
    while len(_with_parameters(top)) == 1 and not list(top.parameters(recurse=False)):
        name, top = _with_parameters(top)[0]
        path = f"{path}{name}."
    units = [unit for name, child in _with_parameters(top) for unit in _units(f"{path}{name}", child)]
    layers: list[str] = []  # a name for each unit: that of its layer
    for name, module in units:
        joins = bool(layers) and all(parameter.ndim < 2 for parameter in module.parameters())
        layers.append(layers[-1] if joins else name)
    found: dict[str, Named] = {name: [] for name in layers} or {path.rstrip(".") or "all": []}
    before: Named = []  # parameters that stand in no unit wait for the next one
    layer = next(iter(found))
    places = {unit: layer for (unit, _), layer in zip(units, layers, strict=True)}
    for name, parameter in model.named_parameters():
        own = [places[path] for path in prefixes(name)[:-1] if path in places]
        if own or not units:
            layer = own[0] if own else layer
            found[layer] += [*before, (name, parameter)]
            before = []
        else:
            before.append((name, parameter))
    found[layer] += before
    return {name: members for name, members in found.items() if members}


def _given_layers(model: nn.Module, patterns: Sequence[str]) -> dict[str, Named]:
    paths = [path for path, _ in model.named_modules() if path] + [name for name, _ in model.named_parameters()]
    table = Patterns(patterns)
    tops: dict[str, list[str]] = {pattern: [] for pattern in patterns}
    for path in paths:
        above = prefixes(path)[:-1]
        outside = set(table.fitting(above[-1])) if above else set()
        for pattern in table.fitting(path):
            if pattern not in outside:  # the module above fits as well, and is the layer
                tops[pattern].append(path)
    found: dict[str, Named] = {}
    for pattern in patterns:
        if not tops[pattern]:
            raise no_such("layers", pattern, model)
        for path in tops[pattern]:
            if path in found:
                raise ValueError(f"layers have {path} twice; make the patterns narrower")
            found[path] = []
    odd = []
    for name, parameter in model.named_parameters():
        own = [path for path in prefixes(name) if path in found]
        if len(own) == 1:
            found[own[0]].append((name, parameter))
        else:
            odd.append(name if not own else f"{name} (twice: {' and '.join(own)})")
    if odd:
        raise ValueError(f"layers must have each parameter once, and these are not so: {some(odd)}")
    return {name: members for name, members in found.items() if members}
