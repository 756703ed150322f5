"""Pictures as files: whole or not there, and names of users in them as they are."""

import io
import warnings
from pathlib import Path
from typing import Any

from stepsize import _check
from stepsize.state import write_atomic


def save(figure: Any, path: Path | str, dpi: float = 130) -> None:
    """Write a figure's picture, whole or not at all.

    Args:
        figure: of matplotlib.
        path: the file; its ending says the format, such as .png, .svg or .pdf.
        dpi: dots per inch, > 0.

    Raises:
        ValueError: matplotlib does not know the format.
        OSError: it cannot be written; a file that was there is untouched.

    Example:
        >>> from stepsize import cosine, draw
        >>> from stepsize.views import save
        >>> save(draw(cosine(100)).figure, "cosine.png")
    """
    path, buffer = Path(path), io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # of a script that the font lacks: boxes are drawn
        figure.savefig(buffer, format=path.suffix.removeprefix(".").lower() or None, dpi=dpi)
    write_atomic(path, buffer.getvalue())


def plain(text: object) -> str:
    r"""A user's text as matplotlib draws it as it is: dollars are no formula, and it has a place in a legend.

    Args:
        text: such as a task's name.

    Example:
        >>> from stepsize.views import plain
        >>> plain("cost in $ of $x$")
        'cost in \\$ of \\$x\\$'
    """
    shown = _check.printable(str(text), "\N{REPLACEMENT CHARACTER}", "\n")
    shown = shown.replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown
