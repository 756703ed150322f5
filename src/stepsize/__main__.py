"""The command ``stepsize``, also as ``python -m stepsize``."""

import sys


def main() -> None:
    """Run the command line; without its packages, say which extra brings them."""
    from stepsize import _extras

    try:
        _extras.load("typer", "cli", "the command stepsize")
        _extras.load("rich", "cli", "the command stepsize")
    except _extras.MissingExtraError as error:
        sys.stderr.write(f"stepsize: {error}\n")
        sys.exit(2)
    from stepsize.cli import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
