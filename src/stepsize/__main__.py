"""The command ``stepsize``, also as ``python -m stepsize``."""

import atexit
import os
import signal
import sys
from types import FrameType


def main() -> None:
    """Run the command line; without its packages, say which extra brings them."""
    leave_on_interrupt(130, "stepsize: stopped\n")  # importing takes seconds, and must not end in a traceback
    atexit.register(ignore_interrupts)  # the first that is registered comes last
    from stepsize import _extras

    try:
        _extras.load("typer", "cli", "the command stepsize")
        _extras.load("rich", "cli", "the command stepsize")
    except _extras.MissingExtraError as error:
        sys.stderr.write(f"stepsize: {error}\n")
        sys.exit(2)
    from stepsize.cli import run

    settle_streams()
    code = run(sys.argv[1:])
    leave_on_interrupt(code)
    # Where Ctrl-C came within an exec, as while a dataclass is made, Python remembers it although it was caught, and
    # `python -m` ends by the signal. The next exec forgets it.
    exec("")  # noqa: S102
    sys.exit(flushed(code))


def leave_on_interrupt(code: int, text: str = "") -> None:
    """Let Ctrl-C end the process at once: while there is nothing to lose yet, or no more."""

    def leave(_: int, __: FrameType | None) -> None:
        os.write(2, text.encode())
        os._exit(code)

    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # in the background of a shell it stays ignored
        signal.signal(signal.SIGINT, leave)


def ignore_interrupts() -> None:
    """Let Ctrl-C no more change the exit code, while Python takes itself apart and gives handlers of its own back.

    Ignored, not blocked: a mask is one thread's, and the signal would go to any of the others.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def settle_streams() -> None:
    """Make standard output and error take every character; where one is closed, what is printed goes nowhere."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - as long as the process
        else:
            stream.reconfigure(errors="backslashreplace")


def flushed(code: int) -> int:
    """The exit code after what was printed is out; a reader that has gone away is no fault of the command."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # or Python complains once more on its way out
    return code


if __name__ == "__main__":
    main()
