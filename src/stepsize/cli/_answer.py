"""The answer at the end of a command that finds or trains."""

from pathlib import Path
from typing import Any

import torch

from stepsize.cli._job import Job
from stepsize.finder import Finding
from stepsize.task import Trained


def finish(work: Job, trained: Trained, finding: Finding | None = None) -> int:
    """Show the result of training, and return the exit code.

    Args:
        work: the job.
        trained: the result.
        finding: of the rate, where it was found first.
    """
    measured = {**trained.metrics, **trained.test}
    figures = "   ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in measured.items())
    if trained.complaint:
        work.screen.say(trained.complaint)
    if trained.remark:
        work.screen.say(f"note     {trained.remark}")
    if trained.verified:
        work.screen.say(f"verified {trained.verified['words']}" + ("; applied" * bool(trained.verified.get("applied"))))
    elif work.words.get("verify") and work.command == "train":
        work.screen.say("verified nothing: the record of its first quarter is not suspicious")
    work.screen.say(f"trained  {trained.steps} steps in {trained.seconds:.1f} s   {figures}")
    _say_threads(work)
    work.screen.say(f"run      {work.folder.path}")
    image, page = work.picture(), work.report()
    if any(work.place.glob("events.out.tfevents.*")):
        work.screen.say(f"curves   tensorboard --logdir {work.folder.path.parent}")
    answer(work, finding, trained, image, page)
    return 1 if trained.diverged else 0


def _say_threads(work: Job) -> None:
    """Say it where a task has set another number of threads than the command was given."""
    count, threads = torch.get_num_threads(), work.words["threads"]
    if count != threads:
        work.folder.write(threads=count)
        work.screen.say(f"threads  {count}, which the task has set itself, instead of the {threads} of --threads")


def answer(
    work: Job,
    finding: Finding | None = None,
    trained: Trained | None = None,
    image: Path | None = None,
    page: Path | None = None,
) -> None:
    """Give the one JSON object, if it was asked for.

    Args:
        work: the job.
        finding: of a rate, if there was one to find.
        trained: result of training, if there was any.
        image: the run's picture, if there is one.
        page: its report, if there is one.
    """
    facts = work.folder.facts()
    fields: dict[str, Any] = {
        "task": work.task.name,
        "rate": facts["rate"],
        "plan": facts["plan"],
        "seed": work.trial.seed,
    }
    steps = seconds = 0.0
    if finding is not None:
        steps, seconds = finding.cost.steps, finding.cost.seconds
        fields |= {"low": finding.low, "high": finding.high, "verdict": finding.verdict, "doubts": finding.doubts}
        fields["metrics"] = {"loss": min((result.score for result in finding.results), default=None)}
    if trained is not None:
        steps, seconds = steps + trained.steps, seconds + trained.seconds
        fields["metrics"] = {"loss": trained.score, **trained.metrics, **trained.test}
        fields |= {"verified": trained.verified} if work.words.get("verify") else {}
    fields["cost"] = {"steps": int(steps), "runs": steps / work.trial.steps, "seconds": round(seconds, 3)}
    shown = {"picture": None if image is None else str(image), "report": None if page is None else str(page)}
    work.screen.answer(**fields, run=str(work.folder.path), **shown)
