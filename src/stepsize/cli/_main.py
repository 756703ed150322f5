"""Running a command: errors become one or two lines and an exit code, never a traceback for bad input."""

import sys
from collections.abc import Sequence

import typer

from stepsize.cli._app import app
from stepsize.cli._interrupts import interruptible, terminable
from stepsize.cli._problems import DONE, FAILED, INTERRUPTED, StoppedError, is_unread, problem
from stepsize.cli._screen import Mild, answering, quiet_threads
from stepsize.cli._start import begun_here, spelt_out
from stepsize.task import leads, together


def run(arguments: Sequence[str]) -> int:
    """Run ``stepsize ARGUMENTS`` and return its exit code: 0 done, 1 no result, 2 bad input, 130 stopped by a signal.

    Begun by ``torchrun``, the processes do it together, and the first one alone writes and prints.

    Args:
        arguments: the words after ``stepsize``.

    Raises:
        Exception: a fault of stepsize itself, as it is.

    Example:
        >>> from stepsize.cli import run
        >>> run(["plot", "linear()", "--total", "4", "-o", "schedule.pdq"])
        2
    """
    try:
        with (
            together(),
            interruptible(),
            terminable(),
            begun_here(arguments),
            quiet_threads(),
            answering("--json" in arguments),
        ):
            return _run(arguments)
    except KeyboardInterrupt:  # one more, while the answer to the first was on its way out
        return _say("stopped", INTERRUPTED)


def _run(arguments: Sequence[str]) -> int:
    try:
        Mild.lost = None
        code = app(args=spelt_out(arguments), standalone_mode=False, prog_name="stepsize")
        sys.stdout.flush()
    except StoppedError as stopped:
        return _say(str(stopped), INTERRUPTED)
    except (KeyboardInterrupt, typer.Abort):
        return _say("stopped", INTERRUPTED)
    except BaseException as error:
        if is_unread(error):
            return FAILED
        text, code = problem(error, arguments)
        return _say(text, code) if text else code
    if code == INTERRUPTED:  # what Typer makes of Ctrl-C
        return _say("stopped", INTERRUPTED)
    if Mild.lost is not None and not code:  # its work is done, and what it found was not written where it was wanted
        return _say(*problem(Mild.lost, arguments))
    return code if isinstance(code, int) else DONE


def _say(text: str, code: int) -> int:
    if leads() or code == FAILED:  # bad input is reported once, a failure by the process that failed
        sys.stderr.write(f"stepsize: {text}\n")
    return code
