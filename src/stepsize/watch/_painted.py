"""A run's face painted into a terminal, again and again in one place; lines where there is no terminal."""

import sys
import time
from collections.abc import Sequence
from typing import Any

from stepsize import _extras
from stepsize.record import Standing
from stepsize.watch._face import ROWS, Line, face_of, line_of

STYLES = {"": "", "bold": "bold", "dim": "dim", "good": "green", "bad": "bold red"}
LEAST, PAUSE, SHARE = 1.0, 60.0, 0.1  # seconds from one line to the next, seconds and share after which one comes
TALL = 24  # rows of a terminal, from where on curves have all theirs


class Painter:
    """Shows where a run stands, in place or line by line.

    Args:
        console: Rich's; standard error when left out.
        what: that needs it, for the error where Rich is missing.

    Raises:
        ImportError: Rich is not installed.

    Example:
        >>> import sys
        >>> from rich.console import Console
        >>> from stepsize.record import Standing
        >>> from stepsize.watch import Painter
        >>> painter = Painter(Console(file=sys.stdout))
        >>> painter.show(Standing("runs/a", "digits", "running", 25, 25.0, 100.0, 12.0, rates={"": 0.1}))
        runs/a  digits
        step 25 of 100, 25 %, 12 s to go  rate 0.1
    """

    def __init__(self, console: Any = None, what: str = "Live()") -> None:
        self._text = _extras.load("rich.text", "cli", what).Text
        if console is None:
            plain = {"highlight": False, "markup": False, "emoji": False}
            console = _extras.load("rich.console", "cli", what).Console(stderr=True, **plain)
        self.console = console
        self.moves = console.is_terminal and not console.is_dumb_terminal
        self._live: Any = None
        self._make = _extras.load("rich.live", "cli", what).Live
        self._lines = _Lines(self._print)

    def show(self, standing: Standing) -> None:
        """Paint it over what was there, or print a line if it is time to.

        Args:
            standing: of the run.
        """
        if not self.moves:
            self._lines.show(standing)
            return
        if self._live is None:
            printed = {"redirect_stdout": sys.stdout.isatty(), "redirect_stderr": sys.stderr.isatty()}
            self._live = self._make(console=self.console, auto_refresh=False, vertical_overflow="crop", **printed)
            self._live.start()
        self._live.update(self._painted(standing), refresh=True)

    def once(self, standing: Standing) -> None:
        """Print the whole face, once.

        Args:
            standing: of the run.
        """
        self._print(self._painted(standing))

    def say(self, text: str) -> None:
        """A line above the face.

        Args:
            text: of the line.
        """
        self._print(text)

    def stop(self) -> None:
        """Leave what was painted last, and give the terminal back."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _painted(self, standing: Standing) -> Any:
        width, height = self.console.size
        rows = ROWS if height >= TALL or not self.moves else 1
        plain = not (self.console.encoding or "").lower().startswith("utf")
        lines: Sequence[Line] = face_of(standing, width, rows, plain)
        parts = [part for line in lines for part in (*line, ("\n", ""))][:-1]
        found = self._text(no_wrap=True, overflow="crop", end="")
        for text, style in parts:
            found.append(text, STYLES[style])
        return found

    def _print(self, what: Any) -> None:
        self.console.print(what, soft_wrap=True)


class _Lines:
    """A run's progress in a file or a pipe: a line at each tenth, minute, validation and event."""

    def __init__(self, put: Any) -> None:
        self._put = put
        self._at, self._share, self._named = -PAUSE, -SHARE, False
        self._events = self._validations = 0
        self._last = self._end = ""

    def show(self, standing: Standing) -> None:
        now, share = time.monotonic(), standing.position / standing.total if standing.total else 0.0
        if not self._named:
            self._named = True
            self._put(f"{standing.name}  {standing.task}".rstrip())
        for text in standing.events[self._events :]:
            self._put(text)
        validations = max((len(course.steps) for course in standing.seen.values()), default=0)
        news = validations > self._validations or standing.is_over
        waited = now - self._at
        if news or (waited >= LEAST and (share - self._share >= SHARE or waited >= PAUSE)):
            self._at, self._share = now, share
            if (line := line_of(standing)) != self._last:
                self._put(line)
                self._last = line
        end = standing.status if standing.is_over else standing.note
        if end.partition(" ")[0] != self._end.partition(" ")[0]:
            self._end = end
            self._put(end or "goes on")
        self._events, self._validations = len(standing.events), validations
