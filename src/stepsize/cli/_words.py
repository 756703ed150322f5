"""Options of the commands as a table, and the values given on a command line, by name."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from stepsize import _check
from stepsize.cli._options import (
    PANELS,
    WHAT,
    Accumulate,
    Address,
    Amp,
    Apply,
    AsJson,
    Data,
    Deterministic,
    Device,
    EngineName,
    Epochs,
    NoReport,
    Out,
    Seed,
    Shard,
    Steps,
    TaskName,
    Threads,
    Verify,
    Workers,
)
from stepsize.task import AXES, Axis, check_takes, table_of

Options = Mapping[str, tuple[Any, Any]]  # by name what typer reads, and the default
Words = Mapping[str, Any]
NEEDED = inspect.Parameter.empty


def _option(name: str, kind: Any, text: str) -> tuple[Any, Any]:
    return Annotated[kind, typer.Option(f"--{name.replace('_', '-')}", rich_help_panel=WHAT, help=text)], None


def _several(axis: Axis) -> str:
    return f"{axis.about} Several with commas between: {axis.values}."


_SET = "An axis of the task's own, such as --set width=256; may be repeated."
CHOSEN = {name: axis for name, axis in AXES.items() if name != "lr"}  # the rate is each command's own matter
TASK: Options = {"task": (TaskName, NEEDED)}
SETTINGS: Options = {
    **{name: _option(name, str | None, axis.about) for name, axis in CHOSEN.items()},
    "set": _option("set", list[str] | None, _SET),
}
SWEPT: Options = {
    **{name: _option(name, list[str] | None, _several(axis)) for name, axis in CHOSEN.items()},
    "set": _option("set", list[str] | None, f"{_SET} Several values with commas between: width=64,128."),
}
LENGTH: Options = {"steps": (Steps, None), "epochs": (Epochs, None)}
RUN: Options = {"seed": (Seed, None), **LENGTH, "out": (Out, None)}
PLACE: Options = {
    "data": (Data, None),
    "device": (Device, "cpu"),
    "amp": (Amp, False),
    "accumulate": (Accumulate, 1),
    "deterministic": (Deterministic, False),
    "threads": (Threads, 1),
}
VERIFY: Options = {"verify": (Verify, None), "apply": (Apply, None)}
SHARD: Options = {"shard": (Shard, False)}
ENGINE: Options = {"engine": (EngineName, None), "workers": (Workers, None), "address": (Address, None)}
PAGE: Options = {"no_report": (NoReport, False)}
JSON: Options = {"as_json": (AsJson, False)}


def options(*groups: Options) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Give a command the options of these groups, before and after its own; it gets all that was said as ``words``.

    Args:
        groups: the first one's stand before the command's own.
    """

    def decorate(command: Callable[..., int]) -> Callable[..., int]:
        own = {name: parameter for name, parameter in inspect.signature(command).parameters.items() if name != "words"}
        first, *rest = groups
        before, after = (
            [
                inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
                for group in part
                for name, (annotation, default) in group.items()
            ]
            for part in ([first], rest)
        )
        owned = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own.values()]

        @functools.wraps(command)
        def run(**words: Any) -> int:
            return command(words=words, **{name: words[name] for name in own})

        parameters = sorted([*before, *owned, *after], key=_panel)
        run.__signature__ = inspect.Signature(parameters, return_annotation=int)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return run

    return decorate


def _panel(parameter: inspect.Parameter) -> int:
    """The place of an option's panel in help; arguments have none, and come first."""
    option = getattr(parameter.annotation, "__metadata__", [None])[0]
    return PANELS.index(getattr(option, "rich_help_panel", None))


def settings_of(words: Words, task: Any) -> dict[str, Any]:
    """The settings of a trial, but for its rate, from the words of a command line.

    Args:
        words: by name; ``set`` holds texts ``name=value``, or values by name where a run is resumed.
        task: whose axes they are.

    Raises:
        ValueError: the task takes no such axis, or one is given twice.
    """
    pairs = words.get("set") or {}
    more = (
        pairs if isinstance(pairs, Mapping) else {name: text[0] for name, text in set_of(pairs, several=False).items()}
    )
    chosen = {name: words[name] for name in CHOSEN if words.get(name) is not None}
    _check_said(chosen, more)
    check_takes(task, {**chosen, **more})
    table = table_of(task)
    read = {name: table[name].read(value) if isinstance(value, str) else value for name, value in chosen.items()}
    own = more if isinstance(pairs, Mapping) else {name: table[name].read(text) for name, text in more.items()}
    return {**read, **own}


def axes_of_words(words: Words, task: Any) -> dict[str, list[Any]]:
    """The axes of a sweep, but for its rates: values by name.

    Args:
        words: by name, each a list of texts that may hold several values.
        task: whose axes they are.

    Raises:
        ValueError: the task takes no such axis, or one is given twice.
    """
    more = set_of(words.get("set") or [], several=True)
    chosen = {name: [word for text in words[name] for word in split(text)] for name in CHOSEN if words[name]}
    _check_said(chosen, more)
    check_takes(task, {**chosen, **more})
    table = table_of(task)
    return {name: [table[name].read(text) for text in texts] for name, texts in {**chosen, **more}.items()}


def set_of(pairs: list[str], several: bool) -> dict[str, list[str]]:
    """The texts of ``--set name=value`` by name.

    Args:
        pairs: as they were said.
        several: whether each may hold several values.

    Raises:
        ValueError: one is no pair, or a name stands twice.
    """
    found: dict[str, list[str]] = {}
    for pair in pairs:
        name, sign, text = pair.partition("=")
        name = name.strip().replace("-", "_")
        if not sign or not name or not text.strip():
            raise ValueError(_check.message("--set", pair, "NAME=VALUE", "write for example --set width=256"))
        if name in found:
            raise ValueError(f"--set has {name!r} twice; leave one out")
        found[name] = split(text) if several else [text.strip()]
    return found


def _check_said(chosen: Mapping[str, Any], more: Mapping[str, Any]) -> None:
    if twice := [name for name in more if name in chosen or name == "lr"]:
        raise ValueError(f"--set has {twice[0]!r}, which --{twice[0].replace('_', '-')} says; leave it out")


def split(text: str) -> list[str]:
    """The parts between commas that are in no brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth = max(0, depth + (letter in "([") - (letter in ")]"))
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    found = [part.strip() for part in parts if part.strip()]
    if not found:
        raise ValueError(_check.message("a list", text, "values with commas between"))
    return found
