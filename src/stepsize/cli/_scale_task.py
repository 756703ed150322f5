"""The command that trains small runs of a task, and predicts a rate for a large one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from stepsize import _check
from stepsize.cli._begin import alone, engine_said, settled_task, steps_of
from stepsize.cli._options import ScaleRate
from stepsize.cli._problems import StoppedError
from stepsize.cli._scale import target_of, told
from stepsize.cli._screen import Screen
from stepsize.cli._start import from_start
from stepsize.cli._words import Words, settings_of, split
from stepsize.finder import find
from stepsize.record import RunFolder
from stepsize.scale import LawFinding, Verified, find_batch, find_law, read_runs
from stepsize.task import Task, seed_of

LEAST = 3  # runs, about, of each point


def of_task(words: Words, over: str, at: str, budget: str | None, verify: bool, out: Path | None) -> int:
    """Do what the words of the command say of a task, and return the exit code.

    Args:
        words: by name.
        over: axes with commas between, each perhaps with values after bars.
        at: the target.
        budget: of the small runs.
        verify: whether the target is trained too.
        out: the folder; a new one when None.
    """
    alone("scale", "and see --engine and --workers")
    screen, (task, _) = Screen(words["as_json"]), settled_task(words)
    values, target = values_of(over), target_of(at)
    settings = settings_of(words, task)
    folder = RunFolder.fresh(task.name, from_start(Path("scales"))).path if out is None else from_start(out)
    place = folder.absolute()
    try:
        with screen.progress(f"scale {task.name}", LEAST) as bar:
            found = find_law(
                task,
                values,
                target,
                budget=budget,
                folder=place,
                verify=verify,
                seed=seed_of(task, words["seed"]),
                steps=words["steps"],
                epochs=words["epochs"],
                engine=engine_said(words),
                progress=bar,
                **settings,
            )
    except KeyboardInterrupt:
        raise StoppedError(f"stopped{_so_far(place, folder)}") from None
    except (TypeError, ValueError):
        if out is None and place.is_dir() and not any(path.name != ".lock" for path in place.iterdir()):
            (place / ".lock").unlink(missing_ok=True)
            place.rmdir()  # nothing was trained
        raise
    return _shown(screen, found, folder)


def of_batch(words: Words, lr: float | None, rule: ScaleRate) -> int:
    """Say up to which batch more is nearly free, and return the exit code.

    Args:
        words: by name.
        lr: the run's rate; found when None.
        rule: how the branches' rates follow their batch.
    """
    alone("scale", "which trains one branch after the other")
    screen, (task, _) = Screen(words["as_json"]), settled_task(words)
    settings = settings_of(words, task)
    size = settings.get("batch_size", getattr(task, "batch_size", None))
    if not isinstance(task, Task) or size is None:
        raise ValueError(f"the task {task.name!r} has no batch size that could be another; leave --batch out")
    total, seed = steps_of(task, words, settings.get("batch_size")), seed_of(task, words["seed"])
    with screen.progress(f"scale {task.name}", 1) as bar:
        if lr is None:
            finding = find(task, seed=seed, steps=total, **settings)
            screen.say(str(finding))
            if finding.rate is None:
                return 1
            lr = finding.rate
        found = find_batch(task, lr, rule=rule.value, seed=seed, steps=total, progress=bar, **settings)
    table = Table("batch", "rate", "steps", "loss", box=None)
    for branch in found.branches:
        table.add_row(str(branch.batch), f"{branch.lr:.3g}", str(branch.steps), f"{branch.loss:.4g}")
    screen.say(table)
    screen.say(f"price    {found.price:.2g} of a run")
    screen.say(f"batch    {found.batch}: up to there more is nearly free at this stage of training")
    screen.answer(batch=found.batch, branches=[vars(branch) for branch in found.branches], price=found.price, lr=lr)
    return 0


def values_of(text: str) -> dict[str, list[float] | None]:
    """The axes and values of ``--over`` for a task: ``steps,batch_size=8|16|32``.

    Args:
        text: axes after commas, each perhaps with values after bars.

    Raises:
        ValueError: an axis stands twice, or a value is no number.

    Example:
        >>> from stepsize.cli._scale_task import values_of
        >>> values_of("steps,batch-size=8|16|32")
        {'steps': None, 'batch_size': [8.0, 16.0, 32.0]}
    """
    found: dict[str, list[float] | None] = {}
    for part in split(text):
        name, sign, values = part.partition("=")
        name = name.strip().replace("-", "_")
        if not name or name in found:
            raise ValueError(
                _check.message("--over", part, "axes, each once", "write for example 'steps,batch_size=8|16'")
            )
        try:
            found[name] = [float(value) for value in values.split("|")] if sign else None
        except ValueError:
            raise ValueError(
                _check.message(f"--over {name}", values, "numbers with bars between, as 8|16|32")
            ) from None
    return found


def _so_far(place: Path, folder: Path) -> str:
    try:
        count = len(read_runs(place / "runs.csv")["lr"])
    except (OSError, ValueError):
        return ""
    return f"; {count} runs are in {folder}, the same command with --out {folder} goes on"


def _shown(screen: Screen, found: LawFinding, folder: Path) -> int:
    if found.verified is not None:
        screen.say(f"verified {_verified(found.verified)}")
    screen.say(f"price    {found.price:.2g} of a run at the target, without the search for the first rate")
    screen.say(f"scale    {folder}")
    more: dict[str, Any] = {
        "price": found.price,
        "verified": None if found.verified is None else vars(found.verified),
        "folder": str(folder),
    }
    again = f"stepsize scale --runs {folder / 'runs.csv'} --over {_joined(found.law.axes)} --at ... -o scale.png"
    return told(screen, found.law, found.prediction, "lr", folder / "scale.png", again, more)


def _joined(names: Sequence[str]) -> str:
    return ",".join(names)


def _verified(found: Verified) -> str:
    where = "inside the interval" if found.inside else "outside the interval"
    return f"the best rate at the target is {found.lr:.3g}, {where}; the predicted one has {found.excess:.2%} more loss"
