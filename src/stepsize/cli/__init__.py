"""The command line: the only part that prints."""

from stepsize.cli._main import run as run

__all__ = ["run"]
