"""A command's message and exit code for an error, by its origin."""

import os
import re
import shlex
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

from stepsize import _extras, _origin
from stepsize.task import TaskFileError, with_attribute

DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
OURS = "This is a fault of stepsize and not of what it was given; please report it with the lines above."
REFUSALS = (TypeError, ValueError, LookupError, OSError)  # other errors that stepsize raises are no fault of the input


class StoppedError(Exception):
    """Ctrl-C; the message says how far it came and where that is."""


def problem(error: BaseException, arguments: Sequence[str]) -> tuple[str, int]:
    """Message and exit code for an error that stopped a command; a fault of stepsize itself is raised on.

    Args:
        error: that was caught.
        arguments: of the command.
    """
    if hasattr(error, "format_message"):  # what Typer raises for words it does not understand
        return _of_words(_in_words(error.format_message()), arguments), BAD_INPUT
    if isinstance(error, _extras.MissingExtraError):
        return str(error), BAD_INPUT
    while_read = isinstance(error, TaskFileError)
    cause = (error.__cause__ or error) if while_read else error
    origin = _origin.origin_of(cause, list(_named(arguments)))
    when = "while it was read" if while_read else "in training"
    name = error.path if isinstance(error, TaskFileError) else _task(arguments)
    if isinstance(cause, SystemExit):
        return _of_exit(cause, name, when, origin), FAILED
    if origin.theirs or while_read:
        return f"{name} raised {when}:\n{origin.theirs}{_only(cause)}", FAILED
    if isinstance(cause, OSError):
        return _of_system(cause), BAD_INPUT
    if origin.refused:
        return str(cause), BAD_INPUT if isinstance(cause, REFUSALS) else FAILED
    if isinstance(cause, MemoryError) or origin.by_library:
        return f"{_task(arguments)} cannot be trained further:\n{origin.last}{_only(cause)}", FAILED
    error.add_note(OURS)
    raise error


def is_unread(error: BaseException) -> bool:
    """Whether an error means that nobody reads what is printed any more, as after ``| head``; nothing is shown then.

    Args:
        error: that was caught; Rich makes ``SystemExit`` of it.
    """
    first = error.__context__ if isinstance(error, SystemExit) else error
    if not isinstance(first, BrokenPipeError):
        return False
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains at its end
        return True
    return first is not error


def _in_words(text: str) -> str:
    """Typer's message about a value, without the words of the library below it."""
    text = text.replace("Value error, ", "")
    return re.sub(r"Input should be a valid (\w+), unable to parse string as (an?) \w+", r"it must be \2 \1", text)


def _of_words(text: str, arguments: Sequence[str]) -> str:
    words = shlex.join(["stepsize", *arguments]).replace("\n", "\\n")
    return f"{text}\n  in: {words}" if text else ""  # the help was asked for by giving no command, and is printed


def _of_exit(error: SystemExit, name: str, when: str, origin: _origin.Origin) -> str:
    """One line: a task that ends the program has not done what was asked."""
    places = [line.strip() for line in origin.theirs.splitlines() if line.startswith('  File "')]
    place = f" at {places[-1]}" if places else ""
    return f"{name} raised SystemExit({error.code!r}) {when}{place}; a task must not end the program"


def _of_system(error: OSError) -> str:
    name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
    return f"{name}: {error.strerror or error}" if name else str(error.strerror or error)


def _only(error: BaseException) -> str:
    trace = traceback.TracebackException.from_exception(error)
    if isinstance(
        notes := getattr(trace, "__notes__", None), list
    ):  # its traceback in a worker is what is left out here
        trace.__notes__ = [note for note in notes if not note.startswith(_origin.WORKER)]
    return "".join(trace.format_exception_only()).rstrip()


def _task(arguments: Sequence[str]) -> str:
    named = [word.rpartition(":")[0] for word in map(with_attribute, arguments) if _is_task(word)]
    return named[0] if named else "the task"


def _is_task(word: str) -> bool:
    place, _, attribute = word.rpartition(":")
    return attribute.isidentifier() and (place.endswith(".py") or place in sys.modules)


def _named(arguments: Sequence[str]) -> Iterator[Path]:
    """The folders of packages that the arguments name a task in: they are the user's, wherever they are installed."""
    for word in map(with_attribute, arguments):
        place, _, _ = word.rpartition(":")
        if "\0" in place:
            continue
        package = sys.modules.get(place.partition(".")[0]) if _is_task(word) else None
        file = getattr(package, "__file__", None)
        if file is not None and not Path(file).resolve().is_relative_to(_origin.HERE):
            yield Path(file).resolve().parent if Path(file).name == "__init__.py" else Path(file).resolve()
        elif place.endswith(".py") and Path(place).is_file():
            yield Path(place).resolve()
