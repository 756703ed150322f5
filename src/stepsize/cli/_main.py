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
from stepsize.task import TaskFileError, leads, together

DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
HOME = Path(__file__).resolve().parents[1]


def run(arguments: Sequence[str]) -> int:
    """Run ``stepsize ARGUMENTS`` and return its exit code: 0 done, 1 no result, 2 bad input, 130 stopped by Ctrl-C.

    Begun by ``torchrun``, the processes do it together, and the first one alone writes and prints.

    Args:
        arguments: the words after ``stepsize``.

    Example:
        >>> from stepsize.cli import run
        >>> run(["plot", "linear()", "--total", "4", "-o", "schedule.pdq"])
        2
    """
    with together():
        return _run(arguments)


def _run(arguments: Sequence[str]) -> int:
    try:
        code = app(args=list(arguments), standalone_mode=False, prog_name="stepsize")
    except StoppedError as stopped:
        return _say(str(stopped), INTERRUPTED)
    except (KeyboardInterrupt, typer.Abort):
        return _say("stopped", INTERRUPTED)
    except TaskFileError as error:
        return _say(f"{error}:\n{_frames_of(error.__cause__ or error, Path(error.path))}", FAILED)
    except _extras.MissingExtraError as error:
        return _say(str(error), BAD_INPUT)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _say(f"{where}{error.strerror or error}", BAD_INPUT)
    except (TypeError, ValueError) as error:
        if _is_ours(error):
            return _say(str(error), BAD_INPUT)
        return _of_ones_own(error, arguments)
    except Exception as error:
        if not hasattr(error, "format_message"):  # what Typer raises for words it does not understand
            return _of_ones_own(error, arguments)
        if not error.format_message():  # the help was asked for by giving no command, and is printed already
            return BAD_INPUT
        words = shlex.join(["stepsize", *arguments]).replace("\n", "\\n")
        return _say(f"{error.format_message()}\n  in: {words}", BAD_INPUT)
    if code == INTERRUPTED:  # what Typer makes of Ctrl-C
        return _say("stopped", INTERRUPTED)
    return code if isinstance(code, int) else DONE


def _of_ones_own(error: Exception, arguments: Sequence[str]) -> int:
    """What a user's own task raised while it was trained, in her frames; anything else is raised on."""
    paths = [Path(word.rpartition(":")[0]) for word in arguments if ".py:" in word]
    files = {Path(frame.filename).resolve() for frame in traceback.extract_tb(error.__traceback__)}
    for path in paths:
        if path.resolve() in files:
            return _say(f"{path} raised in training:\n{_frames_of(error, path)}", FAILED)
    raise error


def _frames_of(error: BaseException, path: Path) -> str:
    """The traceback from the user's own file on, without ours."""
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if not Path(frame.filename).resolve().is_relative_to(HOME)]
    mine = [i for i, frame in enumerate(theirs) if Path(frame.filename).resolve() == path.resolve()]
    shown = theirs[mine[0] :] if mine else [f for f in theirs if "importlib" not in f.filename]
    lines = [*traceback.format_list(shown), *traceback.format_exception_only(error)]
    return "".join(lines).rstrip()


def _is_ours(error: Exception) -> bool:
    """Whether stepsize itself refused something, as opposed to a fault that needs its traceback."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and Path(frames[-1].filename).resolve().is_relative_to(HOME)


def _say(problem: str, code: int) -> int:
    if leads() or code == FAILED:  # bad input is said once, and what fails in one of several processes by that one
        sys.stderr.write(f"stepsize: {problem}\n")
    return code
