"""The command that writes a file to begin with."""

import shlex
import sys
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from stepsize import _check
from stepsize.cli._options import AsJson
from stepsize.cli._screen import Screen
from stepsize.cli._start import from_start

DEFAULT = Path("train.py")
TAKEN = sys.stdlib_module_names | {"lightning", "numpy", "stepsize", "torch", "transformers"}


class Template(StrEnum):
    """The templates to begin with."""

    classification = "classification"
    language_model = "language-model"
    lightning = "lightning"
    trainer = "trainer"


def init(
    file: Annotated[
        Path, typer.Argument(metavar="[FILE]", help="The file to write, which must not be there.")
    ] = DEFAULT,
    template: Annotated[Template, typer.Option(help="What to begin with.")] = Template.classification,
    as_json: AsJson = False,
) -> int:
    """Write a commented file that trains at once, to put your own data and model into."""
    if file.suffix != ".py" or not file.stem.isidentifier() or file.stem in TAKEN:
        rule = "a Python file whose name can be imported, and not that of a module it imports itself"
        raise ValueError(_check.message("FILE", str(file), rule, "for example train.py"))
    text = (files("stepsize.cli") / "templates" / f"{template.value}.py.txt").read_text(encoding="utf-8")
    try:
        with from_start(file).open("x", encoding="utf-8") as opened:
            opened.write(text.replace("FILE", file.name))
    except FileExistsError:
        raise ValueError(f"{file} is there already, and is left as it is; choose another name") from None
    except FileNotFoundError:
        raise ValueError(_check.message("FILE", str(file), "in a folder that exists")) from None
    trains_itself = template in (Template.lightning, Template.trainer)
    command = f"{'python' if trains_itself else 'stepsize tune'} {shlex.quote(str(file))}"
    screen = Screen(as_json)
    screen.say(f"written  {file}")
    screen.say(f"next     {command}")
    screen.answer(file=str(file), template=template.value, next=command)
    return 0
