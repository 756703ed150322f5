"""The command that says what is wrong with a run."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

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
    as_json: AsJson = False,
) -> int:
    """Say what is wrong with a run, and by how much its rate should change."""
    from stepsize.cli._damaged import damage_shown, typed_as
    from stepsize.diagnosis import SEVERITIES, diagnose

    screen = Screen(as_json)
    with damage_shown(screen), typed_as("RUN", "path"):
        symptoms = diagnose(from_start(run))
    for symptom in symptoms:
        screen.say(str(symptom))
    if not symptoms:
        screen.say("nothing found")
    screen.answer(findings=[symptom.plain() for symptom in symptoms])
    worst = max((SEVERITIES.index(symptom.severity) for symptom in symptoms), default=-1)
    return FOUND if fail_on is not None and worst >= SEVERITIES.index(fail_on) else 0
