"""A job of the command line: a task, its settings and its run folder, in which everything found is written down."""

import datetime
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stepsize import _check
from stepsize.cli._folder import Folder, new_folder
from stepsize.cli._over import plan_table
from stepsize.cli._record import going_on, said_of_record
from stepsize.cli._screen import Screen
from stepsize.control import Plan
from stepsize.engine import Auto, Engine, Result, serial
from stepsize.find import Finding, PlanFinding, find, find_plan
from stepsize.report import picture
from stepsize.state import RandomState, own_randomness, write_atomic
from stepsize.task import (
    CheckpointError,
    Startable,
    Task,
    Trained,
    TrainingInterrupted,
    Trial,
    axes_of,
    leads,
    locked_by_first,
    together,
    train,
)
from stepsize.watch import JsonLines, TensorBoard, environment, to_json

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
    optimizer: str | None = None
    words: dict[str, Any] = field(default_factory=dict)  # what else was said, for whoever resumes
    engine: Engine = serial
    folder: Folder = field(init=False)
    resume_at: int | None = None

    @contextmanager
    def opened(self, out: Path | None, lr: float | None = None) -> Iterator[None]:
        """Make the run folder for a block of work; what stops the block is written down in it."""
        self._open(out, lr)
        with self._written_down():
            yield

    @contextmanager
    def reopened(self) -> Iterator[None]:
        """The same for a run folder that was there before, in which no other process may be at work."""
        with locked_by_first(self.folder.path):
            self.resume_at = going_on(self.folder.path)  # another process may have trained until a moment ago
            facts = self.folder.path / "run.json"
            before = facts.read_bytes()
            self.folder.write(status="running", resumed_at=self.resume_at)
            try:
                with self._written_down():
                    yield
            except CheckpointError:  # nothing was trained, and the run is what it was
                if leads():
                    write_atomic(facts, before)
                raise

    @contextmanager
    def _written_down(self) -> Iterator[None]:
        try:
            with together(self.words.get("shard", False)):
                yield
        except StoppedError:
            raise
        except KeyboardInterrupt:
            self.folder.write(status="interrupted")
            raise StoppedError(f"stopped; what there is is in {self.folder.path}") from None
        except Exception as error:
            with suppress(OSError):  # the folder may be what failed; the error itself says more
                self.folder.write(status=f"failed: {type(error).__name__}: {error}")
            raise

    def _open(self, out: Path | None, lr: float | None = None) -> None:
        """Check the settings, make the run folder and write down what will be done."""
        settings = self._axes() if lr is None else {"lr": lr, **self._axes()}
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
        self.folder = new_folder(self.task.name, out)
        self.folder.write(
            command=self.command,
            task=self.task.name,
            plan=str(self._plan()),
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

    def _plan(self) -> Plan:
        """The plan of the whole run."""
        builder = self.task if isinstance(self.task, Task) else None
        own, clip = getattr(self.task, "schedule", None), None if builder is None else builder.clip
        feedback = None if builder is None else builder.feedback
        return Plan(self.schedule or own, clip=self.clip or clip, feedback=feedback)

    def _said(self) -> dict[str, Any]:
        """The words that a resumed run is begun with."""
        return {**self.words, **self._axes(), "seed": self.seed, "steps": self.steps}

    def _axes(self) -> dict[str, Any]:
        """What is said of every run, but the rate."""
        axes = ("schedule", "clip", "batch_size", "optimizer")
        return {axis: getattr(self, axis) for axis in axes if getattr(self, axis) is not None}

    def find(self, low: float, high: float, budget: str | None = None) -> Finding:
        """Find a rate; every trial is written as it comes."""
        trials = [JsonLines(self.folder.path / "trials.jsonl")] if leads() else []

        def written(result: Result) -> None:
            for lines in trials:
                lines.on_observe(result.trial.steps, _trial(result))

        try:
            with self.screen.progress(f"find {self.task.name}", self.steps) as bar:
                asked = self._asked(low, high, budget)
                finding = find(self.task, on_result=written, progress=bar, **asked)
                bar(finding.cost.steps, finding.cost.steps, "done")
        except KeyboardInterrupt:
            self.folder.write(status="interrupted while finding a rate")
            raise StoppedError(f"stopped while finding a rate; the trials so far are in {self.folder.path}") from None
        finally:
            for lines in trials:
                lines.close()
        self._keep(finding)
        self.folder.write(rate=finding.rate, status="running" if finding.rate else f"no usable rate: {finding.verdict}")
        self.screen.say(str(finding))
        self._tell_engine()
        return finding

    def _asked(self, low: float, high: float, budget: str | None) -> dict[str, Any]:
        """What both searches are told."""
        where = {"budget": budget, "low": low, "high": high, "engine": self._engine_here()}
        return {**where, "seed": self.seed, "steps": self.steps, **self._axes()}

    def _engine_here(self) -> Engine:
        """The engine of the search; one that chooses keeps its choice in the run folder."""
        if isinstance(self.engine, Auto):
            self.engine = self.engine.kept_in(self.folder.path)
        return self.engine

    def _tell_engine(self) -> None:
        if isinstance(self.engine, Auto) and self.engine.choice is not None:
            self.screen.say(f"engine   {self.engine.choice.why}")

    def _keep(self, finding: Finding) -> None:
        said = {
            "rate": finding.rate,
            "low": finding.low,
            "high": finding.high,
            "verdict": finding.verdict,
            "initial": finding.initial,
            **({"scored": self.task.scored} if hasattr(self.task, "scored") else {}),
            "cost": vars(finding.cost),
            "stages": [vars(stage) for stage in finding.stages],
            "trials": [_trial(result) | {"losses": result.losses} for result in finding.results],
        }
        if leads():
            write_atomic(self.folder.path / "finding.json", (to_json(said) + "\n").encode())

    def find_plan(self, over: dict[str, list[str | None] | None], low: float, high: float, budget: str) -> PlanFinding:
        """Find a plan, and go on with the best one; all candidates are written down."""
        try:
            with self.screen.progress(f"plans for {self.task.name}", 1) as bar:
                found = find_plan(self.task, over, progress=bar, **self._asked(low, high, budget))
        except KeyboardInterrupt:
            self.folder.write(status="interrupted while finding a plan")
            raise StoppedError(f"stopped while finding a plan; nothing is known yet of {self.folder.path}") from None
        if leads():
            kept = [
                {**entry.settings, "rate": entry.finding.rate, "scores": entry.scores, "verdict": entry.finding.verdict}
                for entry in found.entries
            ]
            said = {"plans": kept, "verdict": found.verdict, "cost": vars(found.cost)}
            write_atomic(self.folder.path / "plans.json", (to_json(said) + "\n").encode())
        self.screen.say(plan_table(found))
        self.screen.say(str(found))
        self._tell_engine()
        if found.best is None:
            self.folder.write(status=f"no usable plan: {found.verdict}")
            return found
        for axis, value in found.best.settings.items():
            setattr(self, axis, value)
        self._keep(found.best.finding)
        self.folder.write(plan=str(self._plan()), said=self._said(), rate=found.best.finding.rate)
        return found

    def train(self, lr: float) -> Trained:
        """Train at a rate, watched; on Ctrl-C write down how far it came, and go on stopping."""
        root, writers = self.folder.path, self._writers() if leads() else []
        try:
            with self.screen.progress(f"train {self.task.name}", self.steps) as bar:
                trained = train(
                    self.task,
                    lr=lr,
                    seed=self.seed,
                    steps=self.steps,
                    watch=[bar, *writers],
                    **self._axes(),
                    folder=root,
                    resume=os.path.lexists(root / "last.pt"),
                )
        except TrainingInterrupted as interrupt:
            self._write_down(interrupt.trained, "interrupted")
            raise StoppedError(f"{interrupt}; the run so far is in {self.folder.path}") from None
        finally:
            for writer in writers:
                writer.close()
        self._write_down(trained, "diverged" if trained.diverged else "finished")
        return trained

    def picture(self) -> Path:
        """Draw the run, which the first of several processes does."""
        if not leads():
            return self.folder.path
        with said_of_record(self.screen):
            return picture(self.folder.path)

    def _writers(self) -> list[TensorBoard | JsonLines]:
        """What keeps the run's curves, and at its beginning the model's graph."""
        every = max(1, self.steps // POINTS)
        root, again = self.folder.path, self.resume_at
        with said_of_record(self.screen):  # first what reads: what cannot be gone on with leaves nothing behind
            lines = JsonLines(root / "metrics.jsonl", every, root / "validation.jsonl", root / "events.jsonl", again)
        board = TensorBoard(root, every=every, resume_at=again)
        if again is None:
            self._add_graph(board)
        return [board, lines]

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
