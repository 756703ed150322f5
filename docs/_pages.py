"""What the site needs besides its pages: other files of the project as pages, links that leave docs/, docstrings."""

import inspect
import re
from collections.abc import Mapping
from importlib import import_module
from os.path import normpath, relpath
from pathlib import Path

from _constants import CONSTANTS

HERE = Path(__file__).parent
ROOT = HERE.parent
BROUGHT = {  # files outside docs/ that are pages of the site, too
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "benchmarks/finders/README.md": "project/finders.md",
    "benchmarks/tasks.md": "project/tasks_reached.md",
    "examples/README.md": "project/loops.md",
}
ELSEWHERE = {**BROUGHT, "README.md": "index.md", "docs/decisions": "decisions/index.md"}
FIRST_CELL = """\
%pip install --quiet 'stepsize[all]'
# some programs read logs by their place beside the gallery, which the package brings along
import os
from pathlib import Path
import stepsize
package = Path(stepsize.__file__).parent
homes = [home / "examples" / "gallery" for home in (package / "courses", package.parents[1])]
os.chdir(next(home for home in homes if home.is_dir()))"""
LINK = re.compile(r"(\[[^\]]*\])\(([^)#\s]+)(#[^)]*)?\)")
CODE = re.compile(r"(^```.*?^```$|`[^`\n]+`)", re.MULTILINE | re.DOTALL)


def linked(text: str, home: str, page: str) -> str:
    """The text of the file ``home`` (from the root) as that of ``page`` (from docs/), its links leading to pages."""

    def one(match: re.Match[str]) -> str:
        words, target, anchor = match[1], match[2], match[3] or ""
        if "://" in target or target.startswith(("mailto:", "/")):
            return match[0]
        path = normpath(Path(home).parent / target)
        there = ELSEWHERE.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else None)
        if path.startswith("examples/gallery/"):
            there = f"gallery/{Path(path).stem}.rst".replace("README", "index")
        if there is None and (ROOT / path).is_dir():
            return words[1:-1]  # a folder of the repository is no page
        return f"{words}({relpath(there or f'../{path}', Path(page).parent)}{anchor if there else ''})"

    kept: list[str] = []

    def aside(match: re.Match[str]) -> str:
        kept.append(match[0])
        return f"\0{len(kept) - 1}\0"

    moved = LINK.sub(one, CODE.sub(aside, text))
    return re.sub(r"\0(\d+)\0", lambda match: kept[int(match[1])], moved)


def bring_in() -> None:
    """Write the project's other files as pages, where they have changed."""
    for source, page in BROUGHT.items():
        text = linked((ROOT / source).read_text(encoding="utf-8"), source, page)
        written(*page.split("/"), text)


def leave_the_folder(app: object, page: str, content: list[str]) -> None:
    """Links out of docs/ lead to the pages made of those files; guides that nothing lists are listed."""
    if page == "index":
        content[0] = content[0].replace("conventions\n", "\n".join(["conventions", *unlisted(content[0]), ""]))
    if not page.startswith(("project/", "gallery/", "api/")):
        content[0] = linked(content[0], f"docs/{page}.md", f"{page}.md")


def unlisted(text: str) -> list[str]:
    """The pages of docs/ itself that a text of contents does not name."""
    lines = set(text.splitlines())
    return sorted(path.stem for path in HERE.glob("*.md") if path.stem not in lines | {"index"})


def formulas(app: object, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """A formula in a docstring stands as it is written."""
    written: list[str] = []
    inside = False
    for line in lines:
        if line.startswith("Formula") and line.endswith(":"):
            written += [f"{line}:", ""]
            inside = True
            continue
        if inside and line and not line.startswith(" "):
            written.append("")
            inside = False
        written.append(line)
    lines[:] = written


def fresh(gallery: object, file: str) -> None:
    """Before each program of the gallery: the same threads and seed, and a folder of its own to write into."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)


def fields_in_notebooks() -> None:
    """Let notebooks show a page's fields line by line: Markdown would run them together."""
    from sphinx_gallery import notebook

    plain = notebook.rst2md

    def converted(text: str, *rest: object, **named: object) -> str:
        lines = re.sub(r"^:(Topic|Claim|Result): (.+)$", r"**\1.** \2\n", text, flags=re.MULTILINE)
        return str(plain(lines, *rest, **named))

    notebook.rst2md = converted


def reference(rooms: dict[str, list[str]]) -> None:
    """Write one page of the reference for each room, from its public names."""
    for room, names in rooms.items():
        parts = [room, "=" * len(room), "", f".. automodule:: stepsize.{room}", "   :no-members:"]
        for name in names:
            parts += ["", *described(room, name, rooms)]
        written("api", f"{room}.rst", "\n".join(parts) + "\n")
    listed = "\n".join(f"{room} <{room}>" for room in rooms)
    written("api", "index.md", f"{API}\n\n```{{toctree}}\n:maxdepth: 1\n\n{listed}\n```\n")


def described(room: str, name: str, rooms: dict[str, list[str]]) -> list[str]:
    """What stands on a room's page for one of its names."""
    thing = getattr(import_module(f"stepsize.{room}"), name)
    home = at_home(thing, name, rooms)
    if home not in {room, None}:
        return [f"``{name}``", f"   Described where it is made: :py:obj:`stepsize.{home}.{name}`."]
    if inspect.isclass(thing):
        return [f".. autoclass:: stepsize.{room}.{name}", "   :members:", f"   :inherited-members: {THEIRS}"]
    if not plain(thing):
        return [f".. autofunction:: stepsize.{room}.{name}"]
    value = ""
    if isinstance(thing, Mapping | tuple):
        value = ", ".join(f"``{key}``" for key in thing)
    elif isinstance(thing, str | int | float):
        value = f"``{thing!r}``"
    about = CONSTANTS.get(f"{room}.{name}", "")
    return [f".. py:data:: {name}", f"   :module: stepsize.{room}", "", f"   {about}", "", f"   {value}"]


def plain(thing: object) -> bool:
    """Whether it is a value, or an alias of a type, and so has no description of its own."""
    return not inspect.isclass(thing) and not inspect.isroutine(thing)


def is_described(room: str, name: str, known: set[str], rooms: dict[str, list[str]]) -> bool:
    """Whether a public name stands in the reference with a description."""
    thing = getattr(import_module(f"stepsize.{room}"), name)
    about = CONSTANTS.get(f"{room}.{name}") if plain(thing) else thing.__doc__
    return f"stepsize.{at_home(thing, name, rooms) or room}.{name}" in known and bool((about or "").strip())


def at_home(thing: object, name: str, rooms: dict[str, list[str]]) -> str | None:
    """The room that made it, where that shows it too."""
    home = (getattr(thing, "__module__", None) or "").removeprefix("stepsize.").partition(".")[0]
    return home if name in rooms.get(home, []) else None


# bases whose methods are described by those who made them
THEIRS = (
    "Optimizer,LRScheduler,Protocol,Generic,tuple,dict,str,int,float,Exception,ValueError,TypeError,ABC,Enum,object"
)
API = """# Reference

Every public name, by the room of the package it lives in, with its formula, arguments, errors, an example that tests
run, and the source. Names of daily use come first; they are at the front door as well:
`from stepsize import Control, cosine, warmup`."""


def written(folder: str, name: str, text: str) -> None:
    """Write a page where it has changed, so that Sphinx reads again only what is new."""
    target = HERE / folder / name
    target.parent.mkdir(exist_ok=True)
    if not target.exists() or target.read_text(encoding="utf-8") != text:
        target.write_text(text, encoding="utf-8")
