"""Running a command: errors become one or two lines and an exit code, never a traceback for bad input."""

import shlex
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import typer

from stepsize import _extras
from stepsize.cli._app import app
from stepsize.cli._job import StoppedError

DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
HOME = Path(__file__).resolve().parents[1]


def run(arguments: Sequence[str]) -> int:
    """Run ``stepsize ARGUMENTS`` and return its exit code: 0 done, 1 no result, 2 bad input, 130 stopped by Ctrl-C.

    Args:
        arguments: the words after ``stepsize``.

    Example:
        >>> from stepsize.cli import run
        >>> run(["tasks", "--json"])
        {"tasks": [{"name": "digits", "steps": 400, "about": "handwritten digits, ..."}]}
        0
    """
    try:
        code = app(args=list(arguments), standalone_mode=False, prog_name="stepsize")
    except StoppedError as stopped:
        return _say(str(stopped), INTERRUPTED)
    except (KeyboardInterrupt, typer.Abort):
        return _say("stopped", INTERRUPTED)
    except _extras.MissingExtraError as error:
        return _say(str(error), BAD_INPUT)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _say(f"{where}{error.strerror or error}", BAD_INPUT)
    except (TypeError, ValueError) as error:
        if not _is_ours(error):
            raise
        return _say(str(error), BAD_INPUT)
    except Exception as error:
        if not hasattr(error, "format_message"):  # what Typer raises for words it does not understand
            raise
        if not error.format_message():  # the help was asked for by giving no command, and is printed already
            return BAD_INPUT
        words = shlex.join(["stepsize", *arguments]).replace("\n", "\\n")
        return _say(f"{error.format_message()}\n  in: {words}", BAD_INPUT)
    if code == INTERRUPTED:  # what Typer makes of Ctrl-C
        return _say("stopped", INTERRUPTED)
    return code if isinstance(code, int) else DONE


def _is_ours(error: Exception) -> bool:
    """Whether stepsize itself refused something, as opposed to a fault that needs its traceback."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and Path(frames[-1].filename).resolve().is_relative_to(HOME)


def _say(problem: str, code: int) -> int:
    sys.stderr.write(f"stepsize: {problem}\n")
    return code
