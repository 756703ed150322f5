"""The parameter groups of optimizers, known by identity whatever is added, taken out, replaced or loaded."""

from collections.abc import Mapping, Sequence
from operator import is_not
from typing import Any

from torch.optim import Optimizer

from stepsize.optim import group_names


class Roster:
    """Groups in order, each with the name and the place it had when it was first seen.

    Attributes:
        groups: of all optimizers, in order.
        names: of the groups; with several optimizers ``optimizer/group``.
        places: by which a list or mapping of schedules knows each group.
    """

    def __init__(self, optimizers: Mapping[str, Optimizer]) -> None:
        self.optimizers = dict(optimizers)
        self.groups: list[Any] = []
        self.names: list[str] = []
        self.places: list[int] = []
        self._layout: list[tuple[Any, list[Any], list[Any]]] = []

    def renew(self) -> list[int | None]:
        """Look at the groups again; for each now there, its index before, or None for a new one."""
        groups = [group for optimizer in self.optimizers.values() for group in optimizer.param_groups]
        before = self._known(groups)
        self.places, self.names = self._called(before)
        self.groups = groups
        self._layout = [(o, o.param_groups, list(o.param_groups)) for o in self.optimizers.values()]
        return before

    def is_changed(self, count_only: bool = False) -> bool:
        """Whether groups were added, taken out or replaced since; or only whether the lists are as long."""
        for optimizer, groups, known in self._layout:
            if optimizer.param_groups is not groups or len(groups) != len(known):
                return True
            if not count_only and any(map(is_not, groups, known)):
                return True
        return False

    def ranges(self) -> list[tuple[Optimizer, range]]:
        """Each optimizer with the indices of its groups."""
        start, found = 0, []
        for optimizer, _, known in self._layout:
            found.append((optimizer, range(start, start + len(known))))
            start += len(known)
        return found

    def _known(self, groups: Sequence[Any]) -> list[int | None]:
        """Known are groups themselves and, since loading makes new ones, groups of the same parameters."""
        by_identity = {id(group): index for index, group in enumerate(self.groups)}
        found = [by_identity.get(id(group)) for group in groups]
        taken = {index for index in found if index is not None}
        by_parameter = {
            id(group["params"][0]): index
            for index, group in enumerate(self.groups)
            if index not in taken and len(group["params"])
        }
        for index, group in enumerate(groups):
            if found[index] is None and len(group["params"]):
                found[index] = by_parameter.get(id(group["params"][0]))
        if self.groups and not taken and len(groups) == len(self.groups):  # loaded: even groups without parameters
            empty = [place is None and not len(group["params"]) for place, group in zip(found, groups, strict=True)]
            found = [index if empty[index] else place for index, place in enumerate(found)]
        return found

    def _called(self, before: Sequence[int | None]) -> tuple[list[int], list[str]]:
        several = len(self.optimizers) > 1
        own = [
            f"{name}/{group}" if several else group
            for name, optimizer in self.optimizers.items()
            for group in group_names(optimizer)
        ]
        kept = [index for index in before if index is not None]
        used, known = {self.places[index] for index in kept}, {self.names[index] for index in kept}
        places, names = [], []
        for index, old in enumerate(before):
            if old is not None:
                place, name = self.places[old], self.names[old]
            else:
                place = index if index not in used else max(used) + 1
                name = own[index] if own[index] not in known else f"{own[index]}#{place}"
            used.add(place)
            places.append(place)
            names.append(name)
        return places, names
