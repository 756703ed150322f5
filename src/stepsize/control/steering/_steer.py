"""A hand on a running job: commands are checked, written into its folder, and answered there."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from stepsize import _check
from stepsize.control.steering._about import About
from stepsize.control.steering._command import Command
from stepsize.control.steering._files import COMMANDS, LARGEST_FILE, appending, content
from stepsize.control.steering._ledger import unanswered
from stepsize.control.steering._trail import DONE, REFUSED, Answer, latest, read_answers

FASTEST = 100  # commands in WINDOW seconds; what steers faster is a loop gone wild
WINDOW = 10.0
PAUSE = 0.02  # seconds between two looks for an answer


class Steer:
    """A hand on a job that trains in another process, or later in this one.

    Each command is checked against what the run can take, written into its folder as one line, and takes effect before
    the run's next update, or before that of step ``at``. Nothing is lost where the run is killed and goes on.

    Args:
        folder: of a run of ``stepsize train`` or ``tune``, or the one of ``Control(..., steer="FOLDER")``.

    Raises:
        ValueError: no run in it can be steered; of a method: the run cannot take the command, as the message says, or
            there were more than 100 commands in ten seconds.
        OSError: its files are a link or another user's, or cannot be written.

    Example:
        >>> import torch
        >>> from stepsize import Control, Steer
        >>> weight = torch.ones(1, requires_grad=True)
        >>> control = Control(torch.optim.SGD([weight], lr=0.5), steer="runs/a")
        >>> _ = control.step()
        >>> sent = Steer("runs/a").scale(0.5, reason="the loss is noisy")
        >>> _ = control.step()
        >>> answer = sent.wait()
        >>> answer.state, answer.step, answer.before, answer.after
        ('done', 1, {'group0': 0.5}, {'group0': 0.25})
    """

    def __init__(self, folder: Path | str) -> None:
        if not isinstance(folder, str | Path):
            raise TypeError(_check.message("folder", folder, "the folder of a run"))
        self.folder = Path(folder)
        _ = self.about

    @property
    def about(self) -> About:
        """What of the run can be steered, as it was said last."""
        return About.read(self.folder)

    @property
    def answers(self) -> list[Answer]:
        """All that was answered so far, in order."""
        return read_answers(self.folder)

    @property
    def waiting(self) -> list[Command]:
        """Commands that nothing was answered to so far, in order."""
        try:
            lines = unanswered(self.folder, content(self.folder / COMMANDS, LARGEST_FILE)).split(b"\n")
        except FileNotFoundError:
            return []
        found = []
        for line in lines:
            with suppress(TypeError, ValueError):  # what is no command is refused once the run reads it
                found.append(Command.parse(line))
        return found

    def scale(self, factor: float, group: str = "*", of: str = "lr", at: int | None = None, reason: str = "") -> "Sent":
        """Multiply the rate from then on.

        Args:
            factor: >= 0.
            group: the name of a parameter group, or a pattern such as ``"head*"``.
            of: the hyperparameter.
            at: the step before whose update it takes effect; the next one when left out.
            reason: for the record.
        """
        return self.send(Command("scale", _number("factor", factor), group, of, at, reason=reason))

    def set(self, value: float, group: str = "*", of: str = "lr", at: int | None = None, reason: str = "") -> "Sent":
        """Hold the rate at a value, whatever the plan says, until ``release``.

        Args:
            value: >= 0.
            group: as for ``scale``.
            of: as for ``scale``.
            at: as for ``scale``.
            reason: as for ``scale``.
        """
        return self.send(Command("set", _number("value", value), group, of, at, reason=reason))

    def release(self, group: str = "*", of: str = "lr", at: int | None = None, reason: str = "") -> "Sent":
        """Let a held rate follow the plan again.

        Args:
            group: as for ``scale``.
            of: as for ``scale``.
            at: as for ``scale``.
            reason: as for ``scale``.
        """
        return self.send(Command("release", None, group, of, at, reason=reason))

    def rebase(self, base: float, group: str = "*", of: str = "lr", at: int | None = None, reason: str = "") -> "Sent":
        """Give groups another base.

        Args:
            base: >= 0.
            group: as for ``scale``.
            of: as for ``scale``.
            at: as for ``scale``.
            reason: as for ``scale``.
        """
        return self.send(Command("rebase", _number("base", base), group, of, at, reason=reason))

    def clip(self, threshold: float, at: int | None = None, reason: str = "") -> "Sent":
        """Clip gradients at another threshold; by their norm, where nothing was clipped.

        Args:
            threshold: > 0.
            at: as for ``scale``.
            reason: as for ``scale``.
        """
        return self.send(Command("clip", _number("threshold", threshold), at=at, reason=reason))

    def cooldown(self, steps: float, at: int | None = None, reason: str = "") -> "Sent":
        """Let the rate fall in a line to zero over so many steps, which are then the run's last.

        Args:
            steps: on the run's clock, > 0.
            at: as for ``scale``.
            reason: as for ``scale``.
        """
        return self.send(Command("cooldown", _number("steps", steps), at=at, reason=reason))

    def extend(self, steps: float, how: str = "stretch", at: int | None = None, reason: str = "") -> "Sent":
        """Make the run longer.

        Args:
            steps: by how many on its clock, > 0.
            how: ``"stretch"``: what is left of the schedule is stretched; ``"keep"``: its end is held; ``"cooldown"``:
                the rate falls in a line to zero at the new end.
            at: as for ``scale``.
            reason: as for ``scale``.
        """
        return self.send(Command("extend", _number("steps", steps), at=at, how=how, reason=reason))

    def validate(self, at: int | None = None, reason: str = "") -> "Sent":
        """Validate after the step.

        Args:
            at: as for ``scale``.
            reason: as for ``scale``.
        """
        return self.send(Command("validate", at=at, reason=reason))

    def checkpoint(self, at: int | None = None, reason: str = "") -> "Sent":
        """Write a checkpoint after the step.

        Args:
            at: as for ``scale``.
            reason: as for ``scale``.
        """
        return self.send(Command("checkpoint", at=at, reason=reason))

    def diagnose(self, at: int | None = None, reason: str = "") -> "Sent":
        """Look for what goes wrong, after the step.

        Args:
            at: as for ``scale``.
            reason: as for ``scale``.
        """
        return self.send(Command("diagnose", at=at, reason=reason))

    def stop(self, at: int | None = None, reason: str = "") -> "Sent":
        """Stop after the step; nothing is lost.

        Args:
            at: as for ``scale``.
            reason: as for ``scale``.
        """
        return self.send(Command("stop", at=at, reason=reason))

    def send(self, command: Command) -> "Sent":
        """Check a command and write it down; it survives a power cut from then on.

        Args:
            command: one that was not sent before.
        """
        if not isinstance(command, Command):
            raise TypeError(_check.message("command", command, "a Command"))
        self.about.check(command)
        with appending(self.folder / COMMANDS, LARGEST_FILE) as file:
            _check_pace(file.content())
            file.write(command.line())
        return Sent(self.folder, command)


@dataclass(frozen=True)
class Sent:
    """A command that was sent.

    Attributes:
        folder: of the run.
        command: as it was written down.
    """

    folder: Path
    command: Command

    @property
    def answer(self) -> Answer | None:
        """What was answered last; None while nothing was."""
        return latest(read_answers(self.folder)).get(self.command.id)

    def wait(self, timeout: float = 60.0, while_waiting: Callable[[], None] | None = None) -> Answer:
        """Wait until the command has taken effect or was refused.

        Args:
            timeout: seconds, > 0.
            while_waiting: called again and again.

        Raises:
            TimeoutError: it has not; it still stands in the folder and will be taken.
        """
        timeout = _check.number("timeout", timeout, above=0)
        if while_waiting is not None and not callable(while_waiting):
            raise TypeError(_check.message("while_waiting", while_waiting, "a function"))
        end = time.monotonic() + timeout
        while True:
            answer = self.answer
            if answer is not None and answer.state in (DONE, REFUSED):
                return answer
            if time.monotonic() > end:
                what = "nothing was answered" if answer is None else f"it waits for step {answer.step}"
                raise TimeoutError(f"{what} in {timeout:g} s; the command stands in {self.folder} and will be taken")
            if while_waiting is not None:
                while_waiting()
            time.sleep(PAUSE)


def _number(name: str, value: float) -> float:
    return _check.number(name, value, least=0)


def _check_pace(before: bytes) -> None:
    """Raise ValueError where so many commands have just been sent that a person would not."""
    recent = [line for line in before[-FASTEST * 2_000 :].split(b"\n") if line][-FASTEST:]
    if len(recent) < FASTEST:
        return
    try:
        oldest = Command.parse(recent[0]).sent
    except (TypeError, ValueError):
        return
    if 0 <= time.time() - oldest < WINDOW:
        raise ValueError(f"more than {FASTEST} commands were sent in {WINDOW:g} seconds; wait a moment")
