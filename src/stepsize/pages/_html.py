"""From a page's parts to one file of HTML: nothing in it leads to the network, and all text is shown as text."""

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from stepsize._version import __version__
from stepsize.pages._data import clean
from stepsize.pages._parts import Page, slug

FOLDER = Path(__file__).parent / "templates"
SHAPES = {  # around their middle, in pixels
    "dot": "M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0",
    "square": "M-3 -3h6v6h-6z",
    "up": "M0 -5L5 4H-5Z",
    "down": "M0 5L5 -4H-5Z",
    "star": "M0 -8L1.9 -2.6L7.6 -2.5L3 1L4.7 6.5L0 3.2L-4.7 6.5L-3 1L-7.6 -2.5L-1.9 -2.6Z",
}


@cache
def environment() -> jinja2.Environment:
    """Jinja2 with everything escaped; a name that is not there is an error."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER, encoding="utf-8"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: value if isinstance(value, Markup) else clean(str(value)),
        trim_blocks=False,
    )
    made.filters["brief"] = brief
    made.globals |= {"slug": slug, "shapes": SHAPES, "version": __version__, "render": _render}
    return made


def brief(text: object, longest: int = 1_000) -> str:
    """A text as it has room on a page; of a longer one the beginning, and how long it is.

    Args:
        text: that may be of any length.
        longest: how many characters are shown.
    """
    words = str(text)
    return words if len(words) <= longest else f"{words[:longest]}… ({len(words):,} characters)"


def _render(part: Any) -> Markup:
    return Markup(environment().get_template("part.html").render(part=part))  # noqa: S704 - escaped by the template


@cache
def _asset(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8").strip()


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def policy() -> str:
    """The content policy of a page: its own style and script, and nothing else."""
    allowed = {"script-src": _hash(_asset("report.js")), "style-src": _hash(_asset("report.css")), "img-src": "data:"}
    rules = {"default-src": "'none'", **allowed, "base-uri": "'none'", "form-action": "'none'"}
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def html_of(page: Page) -> str:
    """A page as one file of HTML.

    Args:
        page: its parts.
    """
    style, script = Markup(_asset("report.css")), Markup(_asset("report.js"))  # noqa: S704 - files of ours
    known = {"page": page, "policy": Markup(policy()), "style": style, "script": script}  # noqa: S704
    return environment().get_template("report.html").render(**known)


def fragment_of(parts: Any, title: str = "") -> str:
    """Parts as a piece of HTML for a notebook, with their style and without a script.

    Args:
        parts: of a page.
        title: over them.
    """
    style = Markup(_asset("report.css"))  # noqa: S704 - a file of ours
    return environment().get_template("fragment.html").render(parts=parts, title=title, style=style)
