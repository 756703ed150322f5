"""The command that says what is wrong with a run."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from stepsize.cli._compare import Columns, columns_of
from stepsize.cli._options import AsJson
from stepsize.cli._screen import Screen
from stepsize.cli._start import from_start

FOUND = 1  # the exit code where something is as bad as was asked for


class FailOn(StrEnum):
    """From which severity on the command fails."""

    error = "error"
    warning = "warning"


def diagnose_command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder, or a log that another program wrote.")],
    fail_on: Annotated[
        FailOn | None, typer.Option(help="Exit with 1 if something of this severity or a worse one is found.")
    ] = None,
    column: Columns = None,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Try it: short forks of the run from its last checkpoint at other rates, for a tenth of it at most.",
        ),
    ] = False,
    task: Annotated[
        str | None, typer.Option(help="With --verify: the run's task, where the folder's is elsewhere now.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="With --verify: the folder of the data set, likewise.")] = None,
    device: Annotated[str | None, typer.Option(help="With --verify: where to train, likewise.")] = None,
    trust: Annotated[
        bool,
        typer.Option(
            "--trust", help="With --verify: run the code that the folder names, though others may have made it."
        ),
    ] = False,
    accept_changes: Annotated[
        bool, typer.Option("--accept-changes", help="With --verify: though the task is no longer what it was.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Say what is wrong with a run, and by how much its rate should change."""
    from stepsize.cli._damaged import damage_shown, typed_as
    from stepsize.diagnosis import SEVERITIES, diagnose
    from stepsize.record import Run

    given: dict[str, Any] = {"task": task, "data": None if data is None else str(data.resolve()), "device": device}
    given = {name: value for name, value in given.items() if value is not None}
    beside = [*given, *(["trust"] if trust else []), *(["accept-changes"] if accept_changes else [])]
    if beside and not verify:
        raise ValueError(f"--{beside[0]} goes with --verify, which alone trains; leave it out, or add --verify")
    screen, more = Screen(as_json), {}
    with damage_shown(screen), typed_as("RUN", "path"):
        opened = Run.open(from_start(run), columns_of(column))
        symptoms = diagnose(opened)
    if not any("loss" in line for line in opened.steps):
        screen.note("no loss was found, so that rules on the loss are silent; name it with --column loss=THEIRS")
    if verify:
        from stepsize.cli._verified import verified

        symptoms, found = verified(screen, run, symptoms, given, trust, accept_changes)
        screen.say(f"verified {found}")
        more = {"verified": found.plain()}
    for symptom in symptoms:
        screen.say(str(symptom))
    if not symptoms:
        screen.say("nothing found")
    screen.answer(findings=[symptom.plain() for symptom in symptoms], **more)
    worst = max((SEVERITIES.index(symptom.severity) for symptom in symptoms), default=-1)
    return FOUND if fail_on is not None and worst >= SEVERITIES.index(fail_on) else 0
