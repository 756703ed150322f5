"""Commands to copy: what repeats a run or a sweep, and what comes next."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from stepsize._schema import is_finite
from stepsize.pages._parts import Command

DEFAULTS = {"amp": False, "accumulate": 1, "deterministic": False, "device": "cpu", "shard": False, "threads": 1}
ELSEWHERE = ("task", "set", "processes")  # of what was said, what is no option of its own


def repeats(facts: Mapping[str, Any]) -> str | None:
    """The command that a run was begun with; None where it was begun by a program.

    Args:
        facts: of ``run.json``.
    """
    line, settings = facts.get("line"), facts.get("said")
    if isinstance(line, str) and line:
        return _without_folder(line)
    if not isinstance(settings, Mapping) or "task" not in settings or "command" not in facts:
        return None
    rate = facts.get("rate") if facts["command"] == "train" else None
    return command_line(str(facts["command"]), settings, lr=rate)


def _without_folder(line: str) -> str:
    """A command line that makes a new folder of its own, since the old one is taken."""
    try:
        words = shlex.split(line)
    except ValueError:
        return line
    kept = [word for place, word in enumerate(words)
            if word != "--out" and words[place - 1] != "--out" and not word.startswith("--out=")]  # fmt: skip
    return shlex.join(kept)


def command_line(verb: str, settings: Mapping[str, Any], **more: Any) -> str:
    """A command from the words that a run was begun with.

    Args:
        verb: such as ``train``.
        settings: options by name, and ``task``.
        more: options that stand before them, or instead of them; None for those that are left out.
    """
    own = settings.get("set") if isinstance(settings.get("set"), Mapping) else {}
    options = {
        name: value for name, value in settings.items() if name not in ELSEWHERE and DEFAULTS.get(name) != value
    } | more
    count = settings.get("processes", 1)
    words = [f"torchrun --nproc-per-node={count} -m stepsize" if count != 1 else "stepsize", shlex.quote(verb)]
    words.append(shlex.quote(str(settings.get("task", ""))))
    order = [*more, *(name for name in options if name not in more)]
    words += [word for name in order if (word := _option(name, options[name]))]
    words += [f"--set {shlex.quote(f'{name}={_plain(value)}')}" for name, value in (own or {}).items()]
    return " ".join(words)


def _option(name: str, value: Any) -> str:
    if value is False and name in ("verify", "apply"):  # which some commands do unless told otherwise
        return f"--no-{name}"
    if value is None or value is False:
        return ""
    option = f"--{name.replace('_', '-')}"
    option = option if option.isascii() and option.isprintable() and " " not in option else shlex.quote(option)
    return option if value is True else f"{option} {shlex.quote(_plain(value))}"


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, list | tuple):
        return ",".join(map(_plain, value))
    return str(value)


def next_of_run(facts: Mapping[str, Any], folder: str, found: Mapping[str, Any] | None) -> list[Command]:
    """Next commands after a run.

    Args:
        facts: of ``run.json``.
        folder: as it is shown.
        found: how its rate was found; None where it was not.
    """
    settings = facts.get("said") if isinstance(facts.get("said"), Mapping) else {}
    verb, status, rate = facts.get("command"), str(facts.get("status", "")), facts.get("rate")
    if not settings or verb not in ("find", "train", "tune"):
        return _of_program(rate, facts)
    done, total = facts.get("done", 0), facts.get("steps", 0)
    commands = []
    if status.startswith(("interrupted", "failed", "running")) and rate and done < total and verb != "find":
        again = f"stepsize train --resume {shlex.quote(folder)}"
        commands.append(Command(again, f"Go on with it: {done:,} of {total:,} steps are done."))
    if rate is None or status.startswith("no usable"):
        wider = command_line(verb, settings, low=1e-8, high=1e4)
        return [Command(wider, "Look for a rate in a wider range.")]
    if status == "diverged":
        lower = command_line("tune", settings, high=rate)
        return [*commands, Command(lower, f"It diverged at the rate {rate:.4g}: find a lower one.")]
    if found is not None and found.get("doubts"):
        settle = command_line("tune", settings, settle=True)
        commands.append(
            Command(settle, f"Settle the rate, of which there are doubts, by {found.get('remedy') or 'longer runs'}.")
        )
    if verb == "find":
        commands.append(Command(command_line("train", settings, lr=rate), "Train with the rate that was found."))
    elif status == "finished":
        commands += _begun_anew(facts, settings)
        other = command_line("train", {**settings, "seed": int(facts.get("seed", 0)) + 1}, lr=rate)
        commands.append(Command(other, "Train once more with another seed, to see how much of the result is chance."))
    return [*commands, *_of_program(rate, facts)]


def _begun_anew(facts: Mapping[str, Any], settings: Mapping[str, Any]) -> list[Command]:
    """The command at the rate that forks say a run begun anew should have, where that is another one."""
    verified = facts.get("verified") or {}
    rate, factor = verified.get("rate"), verified.get("factor")
    if not is_finite(rate) or not is_finite(factor) or factor == 1:
        return []
    line = command_line("train", {**settings, "verify": None, "apply": None}, lr=rate)
    return [
        Command(line, f"Begin anew at {rate:.3g}, {factor:.3g} times the rate: forks from its first quarter say so.")
    ]


def _of_program(rate: Any, facts: Mapping[str, Any]) -> list[Command]:
    """The rate in a loop of one's own, as a command."""
    plan, steps = str(facts.get("plan", "")), facts.get("steps")
    schedule = plan.partition("lr: ")[2].partition("\n")[0]
    if not rate or not steps or not schedule or len(schedule) > 200:
        return []
    lines = f"optimizer = torch.optim.SGD(model.parameters(), lr={rate:.6g})  # or the optimizer of your task\n"
    lines += f"control = stepsize.Control(optimizer, lr={schedule!r}, total={steps})"
    return [Command(lines, "Use the same rate and schedule in a training loop of your own.")]


def of_sweep(task: str, outcomes: Sequence[Any], steps: int) -> str:
    """The command that repeats a sweep.

    Args:
        task: its name.
        outcomes: of its trials.
        steps: of each.
    """
    axes: dict[str, dict[Any, None]] = {}
    for outcome in outcomes:
        for axis, value in outcome.settings.items():
            axes.setdefault(axis, {})[value] = None
    rates, seeds = sorted(axes.pop("lr", {})), sorted({outcome.seed for outcome in outcomes})
    options = {
        "lr": _list(rates),
        "seeds": _list(seeds) if len(seeds) > 1 else f"{seeds[0]}," if seeds else None,
        "steps": steps,
    }
    return command_line("sweep", {"task": task}, **options, **{axis: _list(values) for axis, values in axes.items()})


def _list(values: Iterable[Any]) -> str:
    return ",".join(map(_plain, values))
