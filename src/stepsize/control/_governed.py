"""The face that Control and Scheduler share: changes by hand, another length, looking ahead, saving and going on."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from stepsize import _check
from stepsize.control import _changes
from stepsize.control._governor import Governor
from stepsize.control._log import Event
from stepsize.control._obey import Obeyed, commands_of
from stepsize.control._plan import Plan
from stepsize.control._records import Preview
from stepsize.control._resume import Choice
from stepsize.control.steering import Commands
from stepsize.schedule import Schedule

MOST = 100_000  # positions in a preview of a whole run


class Governed(ABC):
    """Whatever has a governor."""

    _governor: Governor
    _obey: Obeyed | None = None
    _cannot: tuple[str, ...] = ()  # verbs of commands

    @abstractmethod
    def _settle(self) -> None:
        """Make the clock right before it is read."""

    def __str__(self) -> str:
        """Where it is, the rate of every group, and the plan."""
        self._settle()
        driver = self._governor.driver
        where = f"position {driver.position:g}" + ("" if driver.total is None else f" of {driver.total:g}")
        rates = ", ".join(f"{name} {rate:.4g}" for name, rate in driver.rates.items())
        return f"{type(self).__name__} at {where}; rates: {rates}\n{driver.plan}"

    @property
    def plan(self) -> Plan:
        """What is applied, with all lengths as numbers of positions."""
        return self._governor.driver.plan

    @property
    def total(self) -> float | None:
        """The run's length on its clock; None where it has none."""
        return self._governor.driver.total

    @property
    def log(self) -> list[Event]:
        """Changes by hand, decisions of feedback with their reasons, foreign writes: the last thousand."""
        return list(self._governor.log.events)

    def scale(self, factor: float, group: str = "*", of: str = "lr", reason: str = "", over: float = 0.0) -> None:
        """Multiply the rate from now on, on top of schedule and feedback: ``manual <- manual * factor``.

        Args:
            factor: >= 0.
            group: the name of a parameter group, or a pattern such as ``"head*"``.
            of: the hyperparameter.
            reason: for the log.
            over: positions in which the factor is reached, in a straight line, >= 0; of all groups at once.

        Raises:
            TypeError, ValueError: an argument is invalid.
        """
        self._settle()
        if _check.number("over", over, least=0) > 0:
            _changes.ramp(self._governor.driver, factor, over, group, of)
        _changes.scale(self._governor.driver, factor, group, of, reason)

    def set(self, lr: float, group: str = "*", of: str = "lr", reason: str = "") -> None:
        """Hold the rate at a value, whatever schedule, feedback and bounds say, until ``release``: ``value = lr``.

        Args:
            lr: >= 0.
            group: the name of a parameter group, or a pattern.
            of: the hyperparameter.
            reason: for the log.

        Raises:
            TypeError, ValueError: an argument is invalid.
        """
        self._settle()
        _changes.hold(self._governor.driver, _check.number("lr", lr, least=0), group, of, reason)

    def release(self, group: str = "*", of: str = "lr", reason: str = "") -> None:
        """Let a held rate follow the plan again.

        Args:
            group: the name of a parameter group, or a pattern.
            of: the hyperparameter.
            reason: for the log.

        Raises:
            TypeError, ValueError: an argument is invalid.
        """
        self._settle()
        _changes.hold(self._governor.driver, None, group, of, reason)

    def rebase(self, lr: float, group: str = "*", of: str = "lr", reason: str = "") -> None:
        """Give groups another base: ``base <- lr``.

        Args:
            lr: >= 0.
            group: the name of a parameter group, or a pattern.
            of: the hyperparameter.
            reason: for the log.

        Raises:
            TypeError, ValueError: an argument is invalid, or a schedule gives values itself.
        """
        self._settle()
        _changes.rebase(self._governor.driver, lr, group, of, reason)

    def extend(self, total: float, how: str | Schedule = "keep") -> None:
        """Give the run another length from where it is; what was done stays as it was.

        Args:
            total: the new length, above the present position.
            how: ``"keep"``: schedules stay as they are and hold their ends; ``"stretch"``: what is left of them is
                stretched or squeezed to the new end; ``"cooldown"``: the rate goes down in a line to zero at the new
                end; or a schedule by which it goes on, as a factor of the rate now.

        Raises:
            TypeError, ValueError: an argument is invalid.

        Example:
            >>> import torch
            >>> from stepsize import Control
            >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
            >>> control = Control(optimizer, lr="warmup(2)")
            >>> for _ in range(4):
            ...     _ = control.step()
            >>> control.extend(8, "cooldown")
            >>> control.preview([3, 4, 5, 6, 7]).rates["group0"]
            array([0.5  , 0.5  , 0.375, 0.25 , 0.125])
        """
        self._settle()
        _changes.extend(self._governor.driver, total, how)

    def preview(self, positions: ArrayLike | None = None) -> Preview:
        """The rates of every group at positions as things stand now, without touching the optimizer.

        Args:
            positions: shape (n,), >= 0; every step of the run when left out, or a hundred thousand of them where there
                are more.

        Raises:
            ValueError: no positions are given and the run's length is not known, or a position is negative.

        Example:
            >>> import torch
            >>> from stepsize import Control, linear
            >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
            >>> Control(optimizer, lr=linear(), total=4).preview().rates["group0"]
            array([0.5  , 0.375, 0.25 , 0.125])
        """
        self._settle()
        driver = self._governor.driver
        if positions is None:
            end = driver.total or getattr(driver.plan.lr, "length", None)
            if not isinstance(end, float):
                raise ValueError("positions are needed: the run's length is not known; give positions= or total=")
            positions = np.arange(end) if end <= MOST else np.floor(np.linspace(0, end, MOST, endpoint=False))
        at = np.asarray(positions, dtype=np.float64)
        driver.check()
        line = driver.lines["lr"]
        return Preview(at, {driver.names[place]: line.curve(index, at) for index, place in enumerate(line.members)})

    def steer_by(self, steer: Path | str | Commands, fixed: bool = False) -> None:
        """Let the run be steered from a folder from now on, as ``Control(..., steer=...)`` does from the beginning.

        Args:
            steer: as of ``Control``; before ``load_state_dict``, so that a state's commands are gone on with.
            fixed: whether the loop around ends where it ends: commands cannot make the run longer then.

        Raises:
            TypeError, ValueError: it is no folder, or the run is steered already.
            OSError: the folder cannot be written.
        """
        if self._obey is not None:
            raise ValueError(f"steer: this run is steered from {self._obey.commands.folder} already")
        if not isinstance(fixed, bool):
            raise TypeError(_check.message("fixed", fixed, "True or False"))
        left_out = (*self._cannot, "extend") if fixed else self._cannot
        self._obey = Obeyed(self._governor, commands_of(steer), left_out)

    def asked(self, verb: str | None = None) -> bool:
        """Whether a command wants something of the loop; true once for each command, or each that came meanwhile.

        Args:
            verb: ``"validate"``, ``"checkpoint"``, ``"diagnose"`` or ``"stop"``; when left out, whether there is any,
                which stays so.

        Raises:
            ValueError: ``Commands(folder, verbs=...)`` does not have it.
        """
        if self._obey is None:
            return False
        commands = self._obey.commands
        if verb is None:
            return bool(commands.asked)
        if verb not in commands.verbs:
            raise ValueError(f"verb {verb!r} is not offered; give it to Commands(folder, verbs=[{verb!r}])")
        return commands.asked.pop(verb, self) is None

    def state_dict(self) -> dict[str, Any]:
        """The whole state as small plain data, for ``torch.save`` and ``torch.load(weights_only=True)``.

        Gradients that are being accumulated are not in it: save after an update, or call ``flush`` first.
        """
        self._settle()
        return self._governor.state_dict()

    def load_state_dict(
        self,
        state: Mapping[str, Any],
        /,
        *,
        base: str | None = None,
        plan: str | None = None,
        extend: str | None = None,
    ) -> None:
        """Go on from a state."""
        self._settle()
        self._governor.load_state_dict(state, Choice(base, plan, extend))

    def detach(self) -> None:
        """End control: the groups get their bases back, and another Control may take the optimizer over."""
        self._settle()
        self._governor.detach()
