"""Where the values of a hyperparameter live in the groups: writing them, and noticing that something else has.

Noticing costs no read from a device: a number is compared by identity, a tensor by identity and version.
"""

import math
from collections.abc import Mapping, MutableMapping, Sequence
from itertools import groupby
from typing import Any, Protocol

import torch
from torch import Tensor

from stepsize.optim import pair_index, read_value

Groups = Sequence[MutableMapping[str, Any]]
FEW = 8  # tensors that are filled one by one; more are copied in one call


class Cells(Protocol):
    """One hyperparameter of some groups."""

    shared: list[tuple[int, int]]
    """Groups whose value is one and the same tensor: the later, and the first that has it."""

    def write(self, values: Sequence[float]) -> None:
        """Put a value into each group."""

    def expect(self, values: Sequence[float]) -> None:
        """Take values as those written, without writing them."""

    def untouched(self) -> bool:
        """Whether every group still holds what was written."""

    def foreign(self, index: int) -> float | None:
        """A group's value, if it differs from what was written; may read back from the device."""


def cells(groups: Groups, hyperparameter: str) -> "Cells":
    """The cells of a hyperparameter.

    Args:
        groups: parameter groups of optimizers.
        hyperparameter: as in ``read_value``.
    """
    places = [pair_index(group, hyperparameter) for group in groups]
    keys = [hyperparameter if place is None else "betas" for place in places]
    holders = [
        group[key] if place is None else group[key][place]
        for group, key, place in zip(groups, keys, places, strict=True)
    ]
    tensors = [isinstance(holder, Tensor) for holder in holders]
    if all(tensors):
        return TensorCells(groups, keys, places, holders)
    if any(tensors):
        return MixedCells(groups, hyperparameter, tensors)
    if all(place is None for place in places):
        return NumberCells(groups, hyperparameter)
    return PairCells(groups, hyperparameter, places)


def _held(group: Mapping[str, Any], key: str, place: int | None) -> Any:
    return group[key] if place is None else group[key][place]


class NumberCells:
    """A plain number in each group."""

    def __init__(self, groups: Groups, key: str) -> None:
        self.groups, self.key = groups, key
        self.shared: list[tuple[int, int]] = []
        self.written: Sequence[float] = [math.nan] * len(groups)

    def write(self, values: Sequence[float]) -> None:
        key = self.key
        for group, value in zip(self.groups, values):  # noqa: B905
            group[key] = value
        self.written = values

    def expect(self, values: Sequence[float]) -> None:
        self.written = values

    def untouched(self) -> bool:
        key = self.key
        for group, value in zip(self.groups, self.written):  # noqa: B905, SIM110 - a step's time
            if group[key] is not value:
                return False
        return True

    def foreign(self, index: int) -> float | None:
        found = read_value(self.groups[index], self.key)
        return None if math.isclose(found, self.written[index], rel_tol=1e-9) else found


class PairCells:
    """A number inside a tuple such as ``betas``, or beside it in groups that have none."""

    def __init__(self, groups: Groups, name: str, places: Sequence[int | None]) -> None:
        self.groups, self.name, self.places = groups, name, places
        self.shared: list[tuple[int, int]] = []
        self.written: Sequence[float] = [math.nan] * len(groups)

    def write(self, values: Sequence[float]) -> None:
        for group, place, value in zip(self.groups, self.places, values, strict=True):
            if place is None:
                group[self.name] = value
            else:
                betas = group["betas"]
                group["betas"] = (*betas[:place], value, *betas[place + 1 :])
        self.written = values

    def expect(self, values: Sequence[float]) -> None:
        self.written = values

    def untouched(self) -> bool:
        for group, place, value in zip(self.groups, self.places, self.written, strict=True):
            if (group[self.name] if place is None else group["betas"][place]) is not value:
                return False
        return True

    def foreign(self, index: int) -> float | None:
        found = read_value(self.groups[index], self.name)
        return None if math.isclose(found, self.written[index], rel_tol=1e-9) else found


class TensorCells:
    """Tensors, which stay the same tensors: what is compiled with them is not compiled again.

    Many of them are filled by one copy from a buffer of their own; ``write_one_by_one`` is its slow twin.
    """

    def __init__(
        self, groups: Groups, keys: Sequence[str], places: Sequence[int | None], tensors: Sequence[Tensor]
    ) -> None:
        self.groups, self.keys, self.places = groups, keys, places
        self.tensors = list(tensors)
        self.written: Sequence[float] = [math.nan] * len(tensors)
        self.versions = [-1] * len(tensors)
        owners = {id(tensor): index for index, tensor in reversed(list(enumerate(tensors)))}
        self.shared = [
            (index, owners[id(tensor)]) for index, tensor in enumerate(tensors) if owners[id(tensor)] != index
        ]
        self.plain = all(place is None for place in places) and len(set(keys)) == 1
        members = sorted(set(owners.values()))
        kinds = {(tensor.device, tensor.dtype) for tensor in tensors}
        self.buffer: Tensor | None = None
        if len(members) > FEW and not self.shared and len(kinds) == 1 and all(tensor.ndim == 0 for tensor in tensors):
            self.buffer = torch.zeros(len(tensors), dtype=tensors[0].dtype, device=tensors[0].device)
            self.parts = list(self.buffer.unbind())

    def write(self, values: Sequence[float]) -> None:
        for index, owner in self.shared:
            if values[index] != values[owner]:
                raise ValueError(
                    f"parameter groups {owner} and {index} share one tensor as {self.keys[index]}, and their values "
                    f"differ ({values[owner]:g} and {values[index]:g}); give each group a tensor of its own"
                )
        if self.buffer is None:
            self.write_one_by_one(values)
        else:
            with torch.no_grad():
                self.buffer.copy_(torch.tensor(values, dtype=torch.float64))
                torch._foreach_copy_(self.tensors, self.parts)
        self.written = values
        self.versions = [tensor._version for tensor in self.tensors]

    def expect(self, values: Sequence[float]) -> None:
        self.written = values

    def write_one_by_one(self, values: Sequence[float]) -> None:
        with torch.no_grad():
            for tensor, value in zip(self.tensors, values, strict=True):
                tensor.fill_(value)

    def untouched(self) -> bool:
        if self.plain:
            key = self.keys[0]
            held = [group[key] for group in self.groups]
        else:
            held = list(map(_held, self.groups, self.keys, self.places))
        for now, tensor, version in zip(held, self.tensors, self.versions, strict=True):
            if now is not tensor or tensor._version != version:
                return False
        return True

    def foreign(self, index: int) -> float | None:
        held = _held(self.groups[index], self.keys[index], self.places[index])
        if held is self.tensors[index] and held._version == self.versions[index]:
            return None
        found = float(held)
        return None if math.isclose(found, self.written[index], rel_tol=1e-6) else found


class MixedCells:
    """Some groups with tensors, some with numbers: neighbours of one kind are written together."""

    def __init__(self, groups: Groups, hyperparameter: str, tensors: Sequence[bool]) -> None:
        self.runs: list[tuple[int, int, Cells]] = []
        start = 0
        for _, run in groupby(tensors):
            stop = start + len(list(run))
            self.runs.append((start, stop, cells(groups[start:stop], hyperparameter)))
            start = stop
        self.shared = [(low + later, low + first) for low, _, part in self.runs for later, first in part.shared]

    def write(self, values: Sequence[float]) -> None:
        for start, stop, part in self.runs:
            part.write(values[start:stop])

    def expect(self, values: Sequence[float]) -> None:
        for start, stop, part in self.runs:
            part.expect(values[start:stop])

    def untouched(self) -> bool:
        return all(part.untouched() for _, _, part in self.runs)

    def foreign(self, index: int) -> float | None:
        start, _, part = next(run for run in self.runs if run[0] <= index < run[1])
        return part.foreign(index - start)
