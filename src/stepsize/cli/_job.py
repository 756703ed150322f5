"""A job of the command line: a task, its settings and its run folder, in which everything found is written down."""

import datetime
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stepsize import _check
from stepsize.cli._screen import Screen
from stepsize.control import Plan
from stepsize.engine import Result
from stepsize.find import Finding, find
from stepsize.report import picture
from stepsize.state import RandomState, own_randomness
from stepsize.task import (
    Startable,
    Task,
    Trained,
    TrainingInterrupted,
    Trial,
    axes_of,
    train,
)
from stepsize.watch import JsonLines, RunFolder, TensorBoard, environment, to_json

POINTS = 200  # points on a curve of a whole run


class StoppedError(Exception):
    """Ctrl-C; the message says how far it came and where that is."""


@dataclass
class Job:
    """One command's work on one run folder. Everything said is checked before the folder is made."""

    command: str
    task: Startable
    screen: Screen
    seed: int
    steps: int
    schedule: str | None = None
    clip: float | None = None
    batch_size: int | None = None
    words: dict[str, Any] = field(default_factory=dict)  # what else was said, for whoever resumes
    folder: RunFolder = field(init=False)
    resume_at: int | None = None

    @contextmanager
    def opened(self, out: Path | None, lr: float | None = None) -> Iterator[None]:
        """Make the run folder for a block of work; what stops the block is written down in it."""
        self._open(out, lr)
        with self._written_down():
            yield

    @contextmanager
    def reopened(self) -> Iterator[None]:
        """The same for a run folder that was there before."""
        self.folder.write(status="running", resumed_at=self.resume_at)
        with self._written_down():
            yield

    @contextmanager
    def _written_down(self) -> Iterator[None]:
        try:
            yield
        except StoppedError:
            raise
        except KeyboardInterrupt:
            self.folder.write(status="interrupted")
            raise StoppedError(f"stopped; what there is is in {self.folder.path}") from None
        except Exception as error:
            self.folder.write(status=f"failed: {type(error).__name__}: {error}")
            raise

    def _open(self, out: Path | None, lr: float | None = None) -> None:
        """Check the settings, make the run folder and write down what will be done."""
        said = {"lr": lr, "schedule": self.schedule, "batch_size": self.batch_size, "clip": self.clip}
        settings = {axis: value for axis, value in said.items() if value is not None}
        Trial(self.task.name, settings, self.seed, self.steps)
        builder = self.task if isinstance(self.task, Task) else None
        for axis in settings:
            if axis not in axes_of(self.task):
                takes = ", ".join(axes_of(self.task))
                raise ValueError(f"the task {self.task.name!r} takes no {axis}, but {takes}; leave it out")
        if builder is not None and builder.examples is not None and (self.batch_size or 0) > builder.examples():
            rule = f"at most {builder.examples():,}, the number of examples of {self.task.name!r}"
            raise ValueError(_check.message("batch_size", self.batch_size, rule))
        per_epoch = None if builder is None else builder.epoch(self.batch_size)
        Plan(self.schedule, clip=self.clip).over(self.steps, per_epoch)
        own, clip = getattr(self.task, "schedule", None), None if builder is None else builder.clip
        plan = Plan(
            self.schedule or own, clip=self.clip or clip, feedback=None if builder is None else builder.feedback
        )
        self.folder = new_folder(self.task.name, out)
        self.folder.write(
            command=self.command,
            task=self.task.name,
            plan=str(plan),
            rate=lr,
            seed=self.seed,
            steps=self.steps,
            said=self._said(),
            about_task=dict(builder.facts) if builder is not None else {},
            done=0,
            started=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            status="running",
            **environment(),
        )

    def _said(self) -> dict[str, Any]:
        """The words that a resumed run is begun with."""
        mine = {"schedule": self.schedule, "clip": self.clip, "batch_size": self.batch_size}
        return {**self.words, **mine, "seed": self.seed, "steps": self.steps}

    def find(self, low: float, high: float) -> Finding:
        """Find a rate; every trial is written as it comes."""
        trials = JsonLines(self.folder.path / "trials.jsonl")
        try:
            with self.screen.progress(f"find {self.task.name}", round(1.6 * self.steps)) as bar:
                finding = find(
                    self.task,
                    low=low,
                    high=high,
                    schedule=self.schedule,
                    clip=self.clip,
                    seed=self.seed,
                    steps=self.steps,
                    batch_size=self.batch_size,
                    on_result=lambda result: trials.on_observe(result.trial.steps, _trial(result)),
                    progress=bar,
                )
                bar(finding.cost.steps, finding.cost.steps, "done")
        except KeyboardInterrupt:
            self.folder.write(status="interrupted while finding a rate")
            raise StoppedError(f"stopped while finding a rate; the trials so far are in {self.folder.path}") from None
        finally:
            trials.close()
        said = {
            "rate": finding.rate,
            "low": finding.low,
            "high": finding.high,
            "verdict": finding.verdict,
            "initial": finding.initial,
            "cost": vars(finding.cost),
            "trials": [_trial(result) | {"losses": result.losses} for result in finding.results],
        }
        (self.folder.path / "finding.json").write_text(to_json(said) + "\n", encoding="utf-8")
        self.folder.write(rate=finding.rate, status="running" if finding.rate else f"no usable rate: {finding.verdict}")
        self.screen.say(str(finding))
        return finding

    def train(self, lr: float) -> Trained:
        """Train at a rate, watched; on Ctrl-C write down how far it came, and go on stopping."""
        every = max(1, self.steps // POINTS)
        root, again = self.folder.path, self.resume_at
        board = TensorBoard(root, every=every, resume_at=again)
        lines = JsonLines(root / "metrics.jsonl", every, root / "validation.jsonl", root / "events.jsonl", again)
        if again is None:
            self._add_graph(board)
        try:
            with self.screen.progress(f"train {self.task.name}", self.steps) as bar:
                trained = train(
                    self.task,
                    lr=lr,
                    schedule=self.schedule,
                    clip=self.clip,
                    seed=self.seed,
                    steps=self.steps,
                    watch=[bar, board, lines],
                    batch_size=self.batch_size,
                    folder=root,
                    resume=(root / "last.pt").exists(),
                )
        except TrainingInterrupted as interrupt:
            self._write_down(interrupt.trained, "interrupted")
            raise StoppedError(f"{interrupt}; the run so far is in {self.folder.path}") from None
        finally:
            board.close()
            lines.close()
        self._write_down(trained, "diverged" if trained.diverged else "finished")
        return trained

    def picture(self) -> Path:
        """Draw the run."""
        return picture(self.folder.path)

    def _add_graph(self, board: TensorBoard) -> None:
        if isinstance(self.task, Task) and self.task.example is not None:
            with own_randomness(RandomState.seeded(self.seed)):
                board.add_graph(self.task.model(), self.task.example())

    def _write_down(self, trained: Trained, status: str) -> None:
        self.folder.write(
            status=status,
            done=trained.steps,
            trial=trained.trial.key,
            metrics={"loss": trained.score, **trained.metrics, **trained.test},
            seconds=round(trained.seconds, 3),
        )


def new_folder(name: str, out: Path | None) -> RunFolder:
    """The folder of a new run: the one that was asked for, or the next free one of a name under ``runs``."""
    try:
        return RunFolder.fresh(name) if out is None else RunFolder(out)
    except FileExistsError:
        raise
    except OSError as error:
        where = "the folder runs" if out is None else f"--out {out}"
        raise ValueError(f"{where} cannot be written: {error.strerror}; choose another with --out") from None


def _trial(result: Result) -> dict[str, Any]:
    settings = dict(result.trial.settings)
    return {
        "rate": settings.pop("lr"),
        **settings,
        "seed": result.trial.seed,
        "steps": result.trial.steps,
        "score": result.score,
        "seconds": round(result.seconds, 4),
        "engine": result.engine,
        **result.metrics,
    }
