"""What of a run can be steered, said by the run in its folder: commands are checked against it before they are sent."""

import json
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from stepsize import _check, _schema
from stepsize._json import to_json
from stepsize.control.steering._command import VERBS, Command
from stepsize.control.steering._files import ABOUT, LARGEST_FILE, content
from stepsize.state import write_atomic

FORMAT = 1
_BASES = _schema.table(_schema.table(_schema.finite()))
_SCHEMA = _schema.record(
    {
        "format": _schema.whole(1),
        "process": _schema.whole(0),
        "host": _schema.text,
        "step": _schema.whole(0),
        "position": _schema.finite(least=0),
        "total": _schema.maybe(_schema.finite(above=0)),
        "verbs": _schema.every(_schema.text),
        "rates": _BASES,
        "absolute": _schema.table(_schema.every(_schema.text)),
        "clip": _schema.maybe(_schema.finite(least=0)),
        "begun": _schema.record(
            {
                "position": _schema.finite(least=0),
                "total": _schema.maybe(_schema.finite(above=0)),
                "plan": _schema.text,
                "bases": _BASES,
                "groups": _schema.every(_schema.text),
            }
        ),
    }
)


@dataclass(frozen=True)
class Begun:
    """A run as it began: what its commands were given to.

    Attributes:
        position: of the clock.
        total: the run's length.
        plan: laid over it, as text.
        bases: by hyperparameter and group.
        groups: the names of all parameter groups.
    """

    position: float
    total: float | None
    plan: str
    bases: Mapping[str, Mapping[str, float]]
    groups: Sequence[str]


@dataclass(frozen=True)
class About:
    """What of a run can be steered.

    Attributes:
        step: how many steps had been done when this was written.
        position: the clock.
        total: the run's length.
        verbs: those that this run takes.
        rates: the value of each driven hyperparameter by group.
        absolute: by hyperparameter the groups whose schedule gives the value itself.
        clip: the clipping threshold.
        begun: the run as it began.
        process: its number on the machine; 0 once the run has ended.
        host: the machine's name.
    """

    step: int
    position: float
    total: float | None
    verbs: Sequence[str]
    rates: Mapping[str, Mapping[str, float]]
    absolute: Mapping[str, Sequence[str]]
    clip: float | None
    begun: Begun
    process: int = field(default_factory=os.getpid)
    host: str = field(default_factory=socket.gethostname)

    def write(self, folder: Path | str) -> None:
        """Put it into a folder, over what was there."""
        facts = {"format": FORMAT, **vars(self), "begun": vars(self.begun)}
        write_atomic(Path(folder) / ABOUT, (to_json(facts, indent=1) + "\n").encode())

    @staticmethod
    def read(folder: Path | str) -> "About":
        """What a folder says.

        Args:
            folder: of a run.

        Raises:
            ValueError: it says nothing, or is damaged.
        """
        path = Path(folder) / ABOUT
        try:
            found = json.loads(content(path, LARGEST_FILE).decode("utf-8"))
            _SCHEMA(f"the content of {path}", found)
        except (FileNotFoundError, NotADirectoryError):
            remedy = 'train with stepsize train or tune, or with Control(..., steer="FOLDER"), and take its first step'
            raise ValueError(f"{folder} has no run that can be steered: there is no {ABOUT} in it; {remedy}") from None
        except (UnicodeDecodeError, RecursionError, json.JSONDecodeError) as error:
            what = _check.in_one_line(error, 100)
            raise ValueError(f"{path} is damaged ({what}); the next step writes it again") from None
        if found.pop("format") > FORMAT:
            raise ValueError(f"{path} was written by a newer stepsize; update stepsize")
        begun = Begun(**{name: found["begun"][name] for name in Begun.__dataclass_fields__})
        return About(**{name: found[name] for name in About.__dataclass_fields__ if name != "begun"}, begun=begun)

    @property
    def is_alive(self) -> bool | None:
        """Whether its process is there; None where that cannot be known, as on another machine."""
        if not self.process:
            return False
        if self.host != socket.gethostname():
            return None
        try:
            os.kill(self.process, 0)
        except ProcessLookupError:
            return False
        except OSError:
            return True
        return True

    def check(self, command: Command) -> None:
        """Raise ValueError, with the reason, unless the run can take a command.

        Args:
            command: to be sent, or to be done.
        """
        if command.verb not in self.verbs:
            takes = ", ".join(self.verbs)
            loop = "the loop around this run does no" if VERBS[command.verb].by_loop else "this run takes no"
            raise ValueError(f"{loop} {command.verb}; it takes {takes}")
        if command.at is not None and command.at < self.step:
            raise ValueError(_check.message("at", command.at, f"a step to come; the run has done {self.step}"))
        if command.verb in ("extend", "cooldown") and self.total is None and command.verb == "extend":
            raise ValueError("extend needs a run with a total, and this one has none")
        if command.verb == "cooldown":
            self.check_end(self.position + (command.value or 0.0))
        if not VERBS[command.verb].grouped:
            return
        if command.of not in self.rates:
            raise ValueError(f"of={command.of!r} is not driven; {_check.closest(command.of, self.rates)}")
        fits = [name for name in self.rates[command.of] if _fits(command.group, name)]
        if not fits:
            known = list(self.rates[command.of])
            raise ValueError(f"no parameter group {command.group!r} is driven; {_check.closest(command.group, known)}")
        blind = [name for name in fits if name in self.absolute.get(command.of, ())]
        if command.verb == "rebase" and blind:
            raise ValueError(
                f"{command.of} of {blind[0]} follows a schedule that gives values itself; use scale or set"
            )

    def check_end(self, end: float) -> None:
        """Raise ValueError if a run whose length is fixed would end later.

        Args:
            end: on its clock.
        """
        if "extend" not in self.verbs and self.total is not None and end > self.total:
            raise ValueError(f"the loop around this run ends at {self.total:g}, and a cooldown would end at {end:g}")


def _fits(pattern: str, name: str) -> bool:
    return pattern == name or fnmatchcase(name, pattern)
