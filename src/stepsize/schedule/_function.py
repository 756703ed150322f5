"""Any Python function of the position, as a piece."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from stepsize import _check
from stepsize.schedule._length import Length, format_value
from stepsize.schedule._piece import Piece

NAME = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True, repr=False)
class function(Piece):  # noqa: N801 - pieces are written like functions
    """A Python function of the position. Made by ``from_function``; its text is ``function(name)``.

    Args:
        length: as for every piece.
        name: what the text calls it.
        call: position -> value.
    """

    name: str = field(kw_only=True)
    call: Callable[[float], float] = field(kw_only=True, compare=False)
    _jumps: ClassVar[bool] = True

    def _check(self) -> None:
        if not isinstance(self.name, str) or not NAME.fullmatch(self.name):
            raise ValueError(_check.message("name", self.name, "a name of letters, digits and _", "such as warm_glow"))
        if not callable(self.call):
            raise TypeError(_check.message("call", self.call, "a function of the position"))

    @property
    def functions(self) -> dict[str, Callable[[float], float]]:
        return {self.name: self.call}

    @property
    def _is_endless(self) -> bool:
        return True

    def _value(self, position: float) -> float:
        value = self.call(position)
        return _check.number(f"{self.name}({position:g})", value, least=0, remedy="the function must return such")

    def _formula(self, position: Any, length: float, xp: ModuleType) -> Any:
        if isinstance(position, np.ndarray):
            return np.array([self._value(float(place)) for place in position.ravel()]).reshape(position.shape)
        return self._value(position)

    def _text(self, place: int) -> str:
        length = "" if self.length is None else f", length={format_value(self.length)}"
        return f"function({self.name}{length})"


def from_function(call: Callable[[float], float], *, name: str, length: Length = None) -> function:
    """Any Python function of the position as a schedule.

    Its text is ``function(name)``; to read that again, hand the function to ``Schedule.parse(text, functions=...)``.
    A text never carries code.

    Args:
        call: position in steps, a float >= 0, -> a finite number >= 0.
        name: what the text calls it: letters, digits and _.
        length: positions, a share of the run (``"20%"``), epochs (``"3ep"``); without one it takes the rest, or has no
            end.

    Raises:
        TypeError, ValueError: call is no function, name no name, length no length; when called: the function returned
            something else than a finite number >= 0.

    Example:
        >>> from stepsize.schedule import Schedule, from_function
        >>> halving = from_function(lambda t: 2 ** -(t // 100), name="halving")
        >>> halving, halving(0), halving(250), halving(10_000) < 1e-30
        (function(halving), 1.0, 0.25, True)
        >>> Schedule.parse("function(halving)", functions={"halving": halving.call}) == halving
        True

    Source: ``torch.optim.lr_scheduler.LambdaLR``.
    """
    return function(length, name=name, call=call)
