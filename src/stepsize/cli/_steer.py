"""The commands that steer a running job, and that turn its trail into a plan."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from stepsize import _check
from stepsize.cli._options import OUTPUT, AsJson
from stepsize.cli._screen import Screen
from stepsize.cli._start import from_start
from stepsize.control.steering import VERBS

Run = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run that trains, or will go on.")]
SHOWN = 10  # answers
NOT_RUNNING = "the run does not train now; it takes the command when it goes on"


class WithNumbers(TyperCommand):
    """A command to which a negative number is a value, and is refused as one, and not an option that there is not."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put such numbers behind the options."""
        options = [name for param in self.params if not getattr(param, "is_flag", True) for name in param.opts]
        behind = [place for place, word in enumerate(args) if _is_negative(word) and args[place - 1] not in options]
        if behind and "--" not in args:
            args = [
                *(word for place, word in enumerate(args) if place not in behind),
                "--",
                *(args[name] for name in behind),
            ]
        return super().parse_args(ctx, args)


def _is_negative(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return word.startswith("-")


def steer(
    run: Run,
    verb: Annotated[
        str | None,
        typer.Argument(
            metavar="[VERB]",
            help=f"{', '.join(VERBS)}; left out, what can be steered and what was.",
        ),
    ] = None,
    value: Annotated[
        float | None, typer.Argument(metavar="[VALUE]", help="The factor, rate, threshold or number of steps.")
    ] = None,
    group: Annotated[str, typer.Option(help="The parameter groups: a name, or a pattern such as 'head*'.")] = "*",
    of: Annotated[str, typer.Option(help="The hyperparameter.")] = "lr",
    at: Annotated[
        int | None, typer.Option(help="The step before whose update it takes effect; the next one when left out.")
    ] = None,
    how: Annotated[
        str | None, typer.Option(help="Of extend: stretch, keep or cooldown; stretch when left out.")
    ] = None,
    reason: Annotated[str, typer.Option(help="For the record.")] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it has taken effect or was refused.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait at most.")] = 60.0,
    as_json: AsJson = False,
) -> int:
    """Steer a run while it trains; without a verb, say what can be steered."""
    from stepsize.control.steering import Command, Steer

    screen, hand = Screen(as_json), Steer(from_start(run))
    _check.number("timeout", timeout, above=0)
    if verb is None:
        return _report(screen, run, hand)
    sent = hand.send(Command(verb, value, group, of, at, how, reason))
    alive = hand.about.is_alive
    if alive is False:
        screen.note(NOT_RUNNING)
    fields: dict[str, Any] = {"run": str(run), "id": sent.command.id, "state": "sent", "running": alive}
    if not wait:
        screen.say(f"sent     {sent.command.id}")
        screen.answer(**fields)
        return 0
    try:
        answer = sent.wait(timeout)
    except TimeoutError as error:
        screen.note(str(error))
        screen.answer(**fields)
        return 1
    screen.say(_line(answer, {"verb": verb, "value": value}))
    screen.answer(**{**fields, **answer.plain()})
    return 0 if answer.state == "done" else 1


def _report(screen: Screen, run: Path, hand: Any) -> int:
    """The verbs that the run takes, and the answers to the last commands."""
    from stepsize.control.steering import latest

    about, answers = hand.about, hand.answers
    commands = {answer.id: answer.command for answer in answers if answer.command}
    last = [*latest(answers).values(), *(answer for answer in answers if not answer.id)]
    length = "" if about.total is None else f" of {about.total:g}"
    state = {True: "trains", False: "does not train now", None: "trains or not: that cannot be seen from this machine"}
    screen.say(f"run      {run}: {state[about.is_alive]}; at {about.position:g}{length} when this was written")
    for name, rates in about.rates.items():
        screen.say(f"{name:8s} " + ", ".join(f"{group} {rate:.6g}" for group, rate in rates.items()))
    if about.clip is not None:
        screen.say(f"clip     {about.clip:g}")
    screen.say(f"verbs    {', '.join(about.verbs)}")
    for answer in last[-SHOWN:]:
        screen.say(_line(answer, commands.get(answer.id, {})))
    waiting = hand.waiting
    for command in waiting:
        value = "" if command.value is None else f" {command.value:g}"
        screen.say(f"waiting  {command.verb}{value}" + ("" if command.at is None else f", for step {command.at}"))
    known = {name: getattr(about, name) for name in ("step", "position", "total", "rates", "clip", "verbs")}
    trail = [{**answer.plain(), **_command(commands.get(answer.id))} for answer in last]
    sent = [{"id": command.id, "verb": command.verb, "value": command.value} for command in waiting]
    screen.answer(run=str(run), running=about.is_alive, **known, commands=trail, waiting=sent)
    return 0


def _command(found: Mapping[str, Any] | None) -> dict[str, Any]:
    return {} if not found else {"command": dict(found)}


def _line(answer: Any, command: Mapping[str, Any]) -> str:
    """The answer to a command, for people."""
    value = command.get("value")
    words = [command["verb"], *([] if value is None else [f"{value:g}"])] if command else ["line", str(answer.line)]
    what = f"{answer.state:8s} {' '.join(words)}"
    if answer.state == "refused":
        return f"{what}: {answer.reason}"
    if answer.state == "taken":
        return f"{what}, for step {answer.step}"
    sides = [f"{name} {_number(old)} -> {_number(answer.after.get(name))}" for name, old in answer.before.items()]
    return f"{what} at step {answer.step}" + (f": {', '.join(sides)}" if sides else "")


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.6g}"


def replay(
    run: Run,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", rich_help_panel=OUTPUT, help="Write the plan's text to a file.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Turn what was changed by hand while a run trained into a plan that does it from the beginning."""
    from stepsize.control import replay as replayed
    from stepsize.state import write_atomic

    screen, found = Screen(as_json), replayed(from_start(run))
    screen.say(found.plan)
    for name, verb, why in found.left_out:
        screen.note(f"left out: {verb} ({name}): {why}")
    if found.total is not None:
        screen.note(f"for a run of {found.total:g} steps")
    if out is not None:
        write_atomic(from_start(out), (found.plan + "\n").encode())
    left = [{"id": name, "verb": verb, "reason": why} for name, verb, why in found.left_out]
    written = None if out is None else str(out)
    screen.answer(run=str(run), plan=found.plan, total=found.total, commands=found.commands, left_out=left, out=written)
    return 0
