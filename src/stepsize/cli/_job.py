"""A job of the command line: a task, its settings and its run folder, in which everything found is written down."""

import datetime
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from stepsize import _check
from stepsize._extras import MissingExtraError
from stepsize.cli._damaged import damage_shown
from stepsize.cli._folder import Folder, new_folder
from stepsize.cli._interrupts import uninterrupted
from stepsize.cli._over import plan_table
from stepsize.cli._picture import drawn
from stepsize.cli._problems import StoppedError
from stepsize.cli._record import going_on, say_lost_validations
from stepsize.cli._screen import Screen
from stepsize.cli._start import from_start, line_said
from stepsize.control import DEFAULT, Plan, Record
from stepsize.engine import Auto, Engine, Result, serial
from stepsize.finder import Finding, PlanFinding, find, find_plan, verify
from stepsize.pages import picture, report
from stepsize.record import (
    EVENTS,
    FINDING,
    LAST,
    METRICS,
    PICTURE,
    PLANS,
    REPORT,
    RUNNING,
    TRIALS,
    VALIDATION,
    RecordWarning,
    Run,
    environment,
    to_json,
)
from stepsize.state import RandomState, own_randomness, write_atomic
from stepsize.task import (
    Startable,
    Task,
    TaskChangedWarning,
    Trained,
    TrainingInterrupted,
    Trial,
    check_verifiable,
    leads,
    locked_by_first,
    own_settings,
    sources_of,
    steps_done,
    table_of,
    together,
    train,
)
from stepsize.watch import JsonLines, TensorBoard

POINTS = 200  # points on a curve of a whole run
SELDOM = ("update_ratio@200", "update_ratio/*@200")  # copies weights, as the curvature does at the same steps


@dataclass
class Job:
    """One command's work on one run folder. Everything said is checked before the folder is made."""

    command: str
    task: Startable
    screen: Screen
    trial: Trial  # without a rate until that is found
    words: dict[str, Any] = field(default_factory=dict)  # the other options, needed on resuming
    engine: Engine = serial
    folder: Folder = field(init=False)
    resume_at: int | None = None
    made_of: dict[str, str] = field(default_factory=dict)  # hashes of the task's code
    accept_changes: bool = False
    reports: bool = True  # whether a page is written at the end
    place: Path = field(init=False)  # the folder's full path: a task's code may change the working directory
    found: Finding | None = None
    _again: bool = False  # whether it is a run that is resumed

    def choose(self, **settings: Any) -> None:
        """Set more of what will be trained."""
        self.trial = Trial.of(self.task, {**self.trial.settings, **settings}, self.trial.seed, self.trial.steps)

    def guard(self) -> None:
        """Train with a guard, as it is, where nothing else is said and the task takes one."""
        said = "guard" in self.trial.settings or not isinstance(self.task, Task) or self.task.recipe.guard is not None
        if not said and not self.words.get("shard", False) and "guard" in table_of(self.task):
            self.choose(guard=True)

    def verify(self) -> None:
        """Verify the rate on the way and go on at what forks prefer, where nothing else is said and that can be."""
        said = "verify" in self.words or not isinstance(self.task, Task)
        with suppress(ValueError):  # too short a run, or one of several processes
            check_verifiable(self.trial.steps)
            self.words = {"apply": True, **self.words, "verify": True} if not said else self.words

    @contextmanager
    def opened(self, out: Path | None) -> Iterator[None]:
        """Make the run folder for a block of work; what stops the block is written down in it."""
        self._open(out)
        with self._written_down():
            yield

    @contextmanager
    def reopened(self) -> Iterator[None]:
        """The same for a run folder that was there before, in which no other process may be at work."""
        self._again = True
        self.place = from_start(self.folder.path).absolute()
        with locked_by_first(self.place):
            self.resume_at = going_on(self.place)  # another process may have trained until a moment ago
            # the new settings replace the old ones, signed by the user who gave them
            with damage_shown(self.screen):
                say_lost_validations(self.place)
            facts = {"said": self._settings(), "made_of": self.made_of, "about_task": self._about_task()}
            self.folder.write(status=RUNNING, resumed_at=self.resume_at, **facts)
            with self._written_down():
                yield

    @contextmanager
    def _written_down(self) -> Iterator[None]:
        try:
            with together(self.words.get("shard", False)):
                yield
        except StoppedError:
            raise
        except KeyboardInterrupt:
            self._ended("interrupted")
            raise StoppedError(f"stopped; what there is is in {self.folder.path}") from None
        except BaseException as error:
            self._ended(f"failed: {type(error).__name__}: {error}", can_be_refusal=not isinstance(error, OSError))
            raise

    def _ended(self, status: str, can_be_refusal: bool = True) -> None:
        """Write down how the run ended; one that had finished stays finished, and one that was refused what it was."""
        with suppress(OSError, ValueError):  # the folder may be gone
            if can_be_refusal and self._again and self._is_where_it_was():
                self.folder.put_back()
            elif self.folder.facts().get("status") == "running":
                self.folder.write(status=_check.printable(status)[:1000])

    def _is_where_it_was(self) -> bool:
        """Whether a run that was resumed has not come any further."""
        try:
            return not (self.place / LAST).exists() or steps_done(self.place) == self.resume_at
        except ValueError:
            return True

    def _open(self, out: Path | None) -> None:
        """Check the settings, make the run folder and write down what will be done."""
        self.check()
        self.made_of = sources_of(self.task, self.words["task"])
        self.folder = new_folder(self.task.name, out)
        self.place = self.folder.path.absolute()
        self.folder.write(
            command=self.command,
            **({} if (line := line_said()) is None else {"line": line}),
            task=self.task.name,
            plan=str(self._plan()),
            rate=self.trial.settings.get("lr"),
            seed=self.trial.seed,
            steps=self.trial.steps,
            said=self._settings(),
            about_task=self._about_task(),
            made_of=self.made_of,
            done=0,
            started=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            status=RUNNING,
            **environment(),
        )

    def check(self) -> None:
        """Raise TypeError or ValueError unless the task can be trained so; nothing is made or written."""
        builder = self.task if isinstance(self.task, Task) else None
        size = self.trial.settings.get("batch_size")
        if builder is not None and builder.examples is not None and (size or 0) > builder.examples():
            rule = f"at most {builder.examples():,}, the number of examples of {self.task.name!r}"
            raise ValueError(_check.message("batch_size", size, rule))
        self._plan().over(self.trial.steps, None if builder is None else builder.epoch(size))

    def _plan(self) -> Plan:
        """The plan of the whole run."""
        if isinstance(self.task, Task):
            return self.task.plan_for(self.trial)
        return Plan(self.trial.settings.get("schedule") or getattr(self.task, "schedule", None))

    def _settings(self) -> dict[str, Any]:
        """The words that a resumed run begins with."""
        settings, own = self._axes(), own_settings(self.trial.settings)
        shared = {name: value for name, value in settings.items() if name not in own}
        settings = {**self.words, **shared, "seed": self.trial.seed, "steps": self.trial.steps}
        return {**settings, "set": own} if own else settings

    def _about_task(self) -> dict[str, Any]:
        return dict(self.task.facts) if isinstance(self.task, Task) else {}

    def _axes(self) -> dict[str, Any]:
        """The settings of every run, but the rate."""
        return {axis: value for axis, value in self.trial.settings.items() if axis != "lr"}

    def find(self, low: float, high: float, budget: str | None = None, settle: bool = False) -> Finding:
        """Find a rate; every trial is written as it comes."""
        trials = [JsonLines(self.place / TRIALS)] if leads() else []

        def written(result: Result) -> None:
            for lines in trials:
                steps = result.trial.steps
                lines.on(Record(steps, steps, "observed", _trial(result)))

        try:
            with self.screen.progress(f"find {self.task.name}", self.trial.steps) as bar:
                asked = self._asked(low, high, budget)
                finding = find(self.task, on_result=written, progress=bar, settle=settle, **asked)
                bar(finding.cost.steps, finding.cost.steps, "done")
        except KeyboardInterrupt:
            self.folder.write(status="interrupted while finding a rate")
            raise StoppedError(f"stopped while finding a rate; the trials so far are in {self.folder.path}") from None
        finally:
            for lines in trials:
                lines.close()
        self._keep(finding)
        self.folder.write(rate=finding.rate, status=RUNNING if finding.rate else f"no usable rate: {finding.verdict}")
        self.screen.say(str(finding))
        self._tell_engine()
        return finding

    def _asked(self, low: float, high: float, budget: str | None) -> dict[str, Any]:
        """Arguments of both searches."""
        where = {"budget": budget, "low": low, "high": high, "engine": self._engine_here()}
        axes = {axis: value for axis, value in self._axes().items() if axis != "guard"}  # which is for the run itself
        return {**where, "seed": self.trial.seed, "steps": self.trial.steps, **axes}

    def _engine_here(self) -> Engine:
        """The engine of the search; one that chooses keeps its choice in the run folder."""
        if isinstance(self.engine, Auto):
            self.engine = self.engine.kept_in(self.place)
        return self.engine

    def _tell_engine(self) -> None:
        if isinstance(self.engine, Auto) and self.engine.choice is not None:
            self.screen.say(f"engine   {self.engine.choice.why}")

    def _keep(self, finding: Finding) -> None:
        self.found = finding
        content = {
            "rate": finding.rate,
            "low": finding.low,
            "high": finding.high,
            "verdict": finding.verdict,
            "doubts": finding.doubts,
            "remedy": finding.remedy,
            "initial": finding.initial,
            **({"scored": self.task.scored} if hasattr(self.task, "scored") else {}),
            "cost": vars(finding.cost),
            "stages": [vars(stage) for stage in finding.stages],
            "trials": [_trial(result) | {"losses": result.losses} for result in finding.results],
        }
        if leads():
            write_atomic(self.place / FINDING, (to_json(content) + "\n").encode())

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
            content = {"plans": kept, "verdict": found.verdict, "cost": vars(found.cost)}
            write_atomic(self.place / PLANS, (to_json(content) + "\n").encode())
        self.screen.say(plan_table(found))
        self.screen.say(str(found))
        self._tell_engine()
        if found.best is None:
            self.folder.write(status=f"no usable plan: {found.verdict}")
            return found
        self.choose(**found.best.settings)
        self._keep(found.best.finding)
        self.folder.write(plan=str(self._plan()), said=self._settings(), rate=found.best.finding.rate)
        return found

    def train(self) -> Trained:
        """Train at its rate, watched; on Ctrl-C write down how far it came, and go on stopping."""
        root, writers = self.place, self._writers() if leads() else []
        try:
            with self.screen.progress(f"train {self.task.name}", self.trial.steps) as bar, warnings.catch_warnings():
                warnings.simplefilter("ignore", TaskChangedWarning)  # said before, in the words of a command line
                warnings.filterwarnings("ignore", "steering: ")  # said as an event
                trained = train(
                    self.task,
                    self.trial,
                    watch=[bar, *writers],
                    folder=root,
                    resume=os.path.lexists(root / LAST),
                    accept_changes=self.accept_changes,
                    verify=verify if self.words.get("verify") else None,
                    apply=self.words.get("apply", False),
                    progress=bar,
                )
            with uninterrupted():
                self._write_down(trained, "diverged" if trained.diverged else "finished")
        except TrainingInterrupted as interrupt:
            self._write_down(interrupt.trained, "interrupted")
            raise StoppedError(f"{interrupt}; the run so far is in {self.folder.path}") from None
        finally:
            for writer in writers:
                writer.close()
        return trained

    def picture(self) -> Path | None:
        """Draw the run, which the first of several processes does; None where there can be no picture."""
        if not leads():
            return None
        shown = self.folder.path / PICTURE
        with damage_shown(self.screen):
            return drawn(
                self.screen,
                lambda: picture(self.place, getattr(self.task, "views", None)),
                shown,
                f"stepsize plot {self.folder.path}",
            )

    def report(self) -> Path | None:
        """Write the run's page, which the first of several processes does; None where there is none."""
        if not leads() or not self.reports:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RecordWarning)  # said of the picture
            return drawn(
                self.screen,
                lambda: report(self._read(), self.place / REPORT, getattr(self.task, "views", None)),
                self.folder.path / REPORT,
                f"stepsize report {self.folder.path}",
                "report",
            )

    def _read(self) -> Run:
        """The run as a page shows it, under the name that people know it by."""
        return replace(Run.open(self.place), folder=self.folder.path)

    def _writers(self) -> list[TensorBoard | JsonLines]:
        """Writers of the run's curves, and at its beginning of the model's graph."""
        every = max(1, self.trial.steps // POINTS)
        root, again = self.place, self.resume_at
        signals = (*DEFAULT, *SELDOM, *(self.task.signals if isinstance(self.task, Task) else ()))
        with damage_shown(self.screen):  # first what reads: what cannot be gone on with leaves nothing behind
            lines = JsonLines(root / METRICS, every, root / VALIDATION, root / EVENTS, again, signals)
        try:
            board = TensorBoard(root, every=every, resume_at=again, signals=signals, finding=self.found)
        except MissingExtraError as error:
            self.screen.say(f"curves   in {self.folder.path}/{METRICS} only: {error}")
            return [lines]
        if again is None:
            self._add_graph(board)
        return [board, lines]

    def _add_graph(self, board: TensorBoard) -> None:
        if isinstance(self.task, Task) and self.task.example is not None:
            with own_randomness(RandomState.seeded(self.trial.seed)):
                board.add_graph(self.task.model(), self.task.example())

    def _write_down(self, trained: Trained, status: str) -> None:
        self.folder.write(
            status=status,
            done=trained.steps,
            **({"total": trained.steps} if trained.steps > trained.trial.steps else {}),
            trial=trained.trial.key,
            metrics={"loss": trained.score, **trained.metrics, **trained.test},
            seconds=round(trained.seconds, 3),
            **({"verified": trained.verified} if trained.verified else {}),
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
