"""From the folder of a run that was stopped to a job that goes on with it, without following it blindly."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from stepsize import _check
from stepsize.cli._begin import job
from stepsize.cli._folder import written_by_first
from stepsize.cli._job import Job
from stepsize.cli._record import going_on
from stepsize.record import RUN, RunFolder, environment, to_json
from stepsize.task import AXES, BUILT_IN, Task, canonical, changes, led, named_sources, sources_of, takes_data

WHERE = ("task", "data", "device")  # what leads out of a folder; the command line may say it instead
BESIDE = ("resume", "trust", "accept_changes", "no_report", "as_json")  # what else may stand beside --resume


@dataclass(frozen=True)
class Way:
    """How a command is told what a folder leads to, for messages: its option, the word for the task, an example."""

    option: str
    task: str
    example: str


RESUMING = Way("--resume", "TASK", "stepsize train {task} --resume {run}")
VERIFYING = Way("--verify", "--task", "stepsize diagnose {run} --verify --task {task}")
COMPARED = ("torch", "stepsize", "python", "numpy")  # versions that may change figures


def resumed(folder: Path, context: typer.Context, trust: bool, accept_changes: bool) -> Job:
    """The job of a run that was stopped; it goes on from the last checkpoint.

    Args:
        folder: of the run.
        context: of the command, which knows what was said.
        trust: whether to follow what a folder says that others may have written.
        accept_changes: whether to go on with a task that is no longer what it was.

    Raises:
        ValueError: the folder holds no run that can be resumed, leads to code or files that nobody vouches for, or
            its task has changed. Nothing was written.
    """
    beside = {name: context.params[name] for name in ("no_report", "as_json")}
    return job_of(folder, _options(context), trust, accept_changes, beside, RESUMING)


def job_of(
    folder: Path, options: Mapping[str, Any], trust: bool, accept_changes: bool, beside: Mapping[str, Any], way: Way
) -> Job:
    """The job of the run in a folder, as it was begun and as it would go on; nothing is written.

    Args:
        folder: of the run.
        options: what the command line says of ``WHERE`` instead of the folder.
        trust: as for ``resumed``.
        accept_changes: as for ``resumed``.
        beside: further words of the job.
        way: for messages.

    Raises:
        ValueError: as ``resumed``.
    """
    place = folder.absolute()  # reading the task's file may change the working directory
    run = RunFolder.existing(folder)
    run.check_resumable(AXES)
    facts = run.facts()
    led(lambda: _check_trust(run, facts["said"], options, trust, way))
    _check_settings(run, facts["said"])
    settings = {"epochs": None, "processes": 1, **facts["said"], **options}
    if "data" not in options and not takes_data(settings["task"]):
        settings.pop("data", None)  # of a run that was begun when it was passed over
    _check_place(run, settings["task"], options, way)
    _check_sources(run, facts, named_sources(settings["task"]), accept_changes)  # before any code of it runs
    work = job(facts["command"], {**settings, "lr": facts["rate"], **beside})
    if work.task.name != facts["task"]:
        raise ValueError(
            f"{folder} is a run of the task {facts['task']!r}, and {settings['task']} is {work.task.name!r}"
        )
    with _in(run):
        work.check()
    work.made_of = sources_of(work.task, settings["task"])
    differ = _differences(facts, work)
    if not accept_changes:
        _refuse(run, differ)
    # one that was stopped before its first checkpoint goes on from its beginning
    work.folder, work.resume_at = written_by_first(run), going_on(place)
    work.accept_changes = accept_changes
    for note in _notes(facts, options, differ):
        work.screen.say(f"note     {note}")
    return work


def _options(context: typer.Context) -> dict[str, Any]:
    """The words that were said beside ``--resume``, of which only a few make sense there."""
    words = context.params
    written = [name for name in words if _is_said(context, name)]
    for name in written:
        if name not in (*WHERE, *BESIDE):
            option = "--" + name.replace("_", "-")
            raise ValueError(f"--resume goes on with what its run was begun with; leave {option} out")
    places = {name: words[name] for name in written if name in WHERE}
    return places | ({"data": str(Path(places["data"]).resolve())} if "data" in places else {})


def _is_said(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name in ("COMMANDLINE", "ENVIRONMENT", "PROMPT")


def _check_trust(
    run: RunFolder, settings: Mapping[str, Any], options: Mapping[str, Any], trust: bool, way: Way
) -> None:
    """Raise if a folder that others may have written leads to code, files or a device."""
    harmless = {
        "task": settings["task"] in BUILT_IN,
        "data": "data" not in settings,
        "device": settings.get("device") == "cpu",
    }
    harmless["device"] |= "device" not in settings
    followed = [name for name in WHERE if name not in options and not harmless[name]]
    if followed and not trust and not run.is_mine:
        names = ", ".join(f"{name} {settings[name]!r}" for name in followed)
        code = ", and a task's code runs as you" if "task" in followed else ""
        yourself = " ".join({"task": way.task, "data": "--data", "device": "--device"}[name] for name in followed)
        raise ValueError(
            f"{run.path} leads to {names}, and it was not written by you on this machine{code}; say {yourself} "
            f"yourself beside {way.option}, or look at it and add --trust"
        )


def _check_settings(run: RunFolder, settings: Mapping[str, Any]) -> None:
    with _in(run):
        for name in settings.keys() & AXES.keys():
            canonical(name, settings[name], f"said.{name}")


@contextmanager
def _in(run: RunFolder) -> Iterator[None]:
    """Errors in a block name the file that is to blame."""
    try:
        yield
    except (TypeError, ValueError) as error:  # of a schedule's text it has several lines
        raise ValueError(f"{run.path / RUN}: {_check.in_one_line(error, None)}") from None


def _check_place(run: RunFolder, task: str, options: Mapping[str, Any], way: Way) -> None:
    place = Path(task.rpartition(":")[0])
    if "task" not in options and place.suffix == ".py" and not place.is_file():
        raise ValueError(
            f"the task of {run.path} was in {place}, which is not there; say where it is now, as in "
            + way.example.format(task=f"{place.name}:{task.rpartition(':')[2]}", run=run.path)
        )


def _check_sources(run: RunFolder, facts: Mapping[str, Any], now: Mapping[str, str], accept_changes: bool) -> None:
    before = facts.get("made_of")
    if before is not None and not accept_changes:
        _refuse(run, changes({name: before[name] for name in now if name in before}, now))


def _differences(facts: Mapping[str, Any], work: Job) -> list[str]:
    """The same once the task is there: also its facts, and files that only its functions lead to."""
    differ = changes(facts["made_of"], work.made_of) if "made_of" in facts else []
    about = work.task.facts if isinstance(work.task, Task) else {}
    return [*differ, "its facts have changed"] if to_json(about) != to_json(facts["about_task"]) else differ


def _refuse(run: RunFolder, differ: list[str]) -> None:
    if differ:
        raise ValueError(
            f"the task of {run.path} is not what it was: {_some(differ)}; put it back, or add --accept-changes to go "
            "on with the task as it is now"
        )


def _some(texts: list[str]) -> str:
    return ", ".join(texts[:5]) + (f" and {len(texts) - 5} more" if len(texts) > 5 else "")


def _notes(facts: Mapping[str, Any], options: Mapping[str, Any], differ: list[str]) -> list[str]:
    """Changes since the run stopped that may change figures."""
    before, now = facts["versions"], environment()["versions"]
    notes = [
        f"begun with {name} {before[name]}, and this is {now[name]}: figures may be other than without the stop"
        for name in COMPARED
        if name in before and before[name] != now[name]
    ]
    if differ:
        notes.append(f"goes on although {_some(differ)}")
    settings = facts["said"]
    return notes + [
        f"begun with {name} {settings.get(name, 'left out')}, and goes on with {options[name]}"
        for name in ("data", "device")
        if name in options and options[name] != settings.get(name, "cpu" if name == "device" else None)
    ]
