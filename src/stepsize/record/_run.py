"""Reading a run's folder: what is whole of it, as plain data and arrays; also while another process writes it."""

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stepsize import _check
from stepsize.record._facts import FACTS, STATUS, TEXT, check_fields
from stepsize.record._finding import check_finding
from stepsize.record._json import read_object
from stepsize.record._layout import EVENTS, FINDING, FORMAT, METRICS, PLANS, RUN, RUNNING, VALIDATION
from stepsize.record._lines import Lines, RecordWarning, read_lines
from stepsize.record._plans import check_plans
from stepsize.record._tail import Tail
from stepsize.record.foreign import Reader, check_columns, no_run, read_log, source_at

Entries = Sequence[dict[str, Any]]
SHOWN = {name: STATUS if rule is TEXT else rule for name, rule in FACTS.items()}  # a text is shown, not followed


@dataclass(frozen=True)
class Run:
    """The record of a run, as far as it is whole; also of one that another tool has logged.

    Attributes:
        folder: where; of a foreign log, what was read.
        facts: of ``run.json``. Of a foreign log ``log``, the format; ``columns``, which of its names was read as what;
            and where it says so ``steps``, ``done``, ``status``, ``settings``. What it lacks is absent.
        steps: a line for each step that was looked at.
        observed: a line for each validation; of folders that keep them among the steps' lines, these.
        events: a line for each event.
        finding: how the rate was found; None if that was not kept.
        plans: which plans raced before, the best first; None if none did.

    Example:
        >>> from stepsize import JsonLines, Record, RunFolder
        >>> from stepsize.record import Run
        >>> folder = RunFolder("runs/a")
        >>> folder.write(task="digits", rate=0.1)
        >>> lines = JsonLines("runs/a/metrics.jsonl")
        >>> for step in range(3):
        ...     lines.on(Record(step, step, values={"loss": 1 / (step + 1)}))
        >>> run = Run.open("runs/a")
        >>> run.facts["task"], run.column("step"), run.column("loss")
        ('digits', array([0., 1., 2.]), array([1.        , 0.5       , 0.33333333]))
    """

    folder: Path
    facts: Mapping[str, Any]
    steps: Entries = ()
    observed: Entries = ()
    events: Entries = ()
    finding: dict[str, Any] | None = field(default=None)
    plans: dict[str, Any] | None = field(default=None)

    @staticmethod
    def open(path: Path | str, columns: Mapping[str, str] | None = None) -> "Run":
        """Read a run's folder, of this stepsize or of an earlier one, or a log that others have written.

        That is Transformers' ``trainer_state.json``, TensorBoard's event files, a table such as Lightning's
        ``metrics.csv`` or W&B's export, or JSON lines with any names; or a folder with one of them. Usual names such as
        ``train/loss``, ``lr-AdamW/pg1``, ``grad_norm``, ``eval_loss`` are read as ``loss``, ``rate``,
        ``gradient_norm``, ``validation_loss``; all others stay as they are. Of a step that the log has twice, the
        later counts. A ``RecordWarning`` says what is damaged and left out.

        Args:
            path: a folder with ``run.json``, a log, or a folder with a log.
            columns: for a foreign log, what values are called in it, by our names: ``{"loss": "my/loss"}``; ``step``
                and ``seconds`` too.

        Raises:
            TypeError, ValueError: there is no run and no log, or several logs; it is one of a newer stepsize; one of
                its files is no file; or a log has no such column.
            ImportError: TensorBoard is not installed, and it is TensorBoard's.
        """
        if not isinstance(path, Path | str):
            raise TypeError(_check.message("path", path, "a run's folder or a log"))
        path, foreign = _found(Path(path), columns)
        if foreign is not None:
            return _foreign(path, foreign, columns)
        facts = _facts(path)
        steps, seen = _lines(path / METRICS), _lines(path / VALIDATION)
        finding, plans = _kept(path / FINDING, check_finding), _kept(path / PLANS, check_plans)
        return _run(path, facts, steps, seen, _lines(path / EVENTS), finding, plans)

    @staticmethod
    def follow(
        path: Path | str, every: float = 1.0, columns: Mapping[str, str] | None = None, always: bool = False
    ) -> "Iterator[Run]":
        """The run as it stands, again whenever another process has written more, until that is at its end.

        Half a line waits for its other half; where a resumed run takes lines back, they are gone in the next. Of most
        foreign logs it is not known when they end.

        Args:
            path: as in ``open``.
            every: seconds between two looks, > 0.
            columns: as in ``open``.
            always: whether each look gives the run, also where nothing has changed.

        Raises:
            TypeError, ValueError: an argument is invalid, there is no run and no log, or one of its files is no file.
        """
        every = _check.number("every", every, above=0)
        if not isinstance(always, bool):
            raise TypeError(_check.message("always", always, "True or False"))
        found, foreign = _found(Path(path), columns)
        if foreign is not None:
            return _followed_log(found, foreign, every, columns, always)
        _facts(found)
        return _followed(found, every, always)

    def column(self, name: str, of: str = "steps") -> NDArray[np.float64]:
        """The values of one name, shape (lines,); NaN where a line has none.

        Args:
            name: such as ``"loss"``, ``"step"`` or ``"position"``.
            of: ``"steps"``, ``"observed"`` or ``"events"``.

        Raises:
            ValueError: no line has it.
        """
        if of not in ("steps", "observed", "events"):
            raise ValueError(_check.message("of", of, "'steps', 'observed' or 'events'"))
        entries: Entries = getattr(self, of)
        known = dict.fromkeys(key for entry in entries for key in entry)
        if name not in known:
            raise ValueError(f"{of} of {self.folder} has no {name!r}; {_check.closest(str(name), known)}")
        return np.array([_number(entry.get(name)) for entry in entries])


def _found(path: Path, columns: Mapping[str, str] | None) -> tuple[Path, Reader | None]:
    """The log and its reader; None for the folder of a run."""
    check_columns(columns)
    if (path / RUN).exists():
        if columns is not None:
            raise ValueError(f"columns are for logs of others, and {path} is a run of stepsize; leave them out")
        return path, None
    source = source_at(path)
    if source is None:
        raise no_run(path)
    return source[1], source[0]


def _foreign(path: Path, reader: Reader, columns: Mapping[str, str] | None) -> Run:
    log, lines = read_log(reader, path, columns)
    facts = {**log.facts, "log": reader.name, "columns": dict(lines.columns)}
    if lines.counts is not None:
        facts["counts"] = lines.counts
    return Run(path, facts, lines.steps, lines.observed or lines.steps, log.events)


def _followed_log(
    path: Path, reader: Reader, every: float, columns: Mapping[str, str] | None, always: bool
) -> Iterator[Run]:
    """A log is read anew as a whole whenever it has changed: of most formats the lines so far may change too."""
    seen: Any = None
    run: Run | None = None
    while True:
        stamp = [(file.name, (about := file.stat()).st_size, about.st_mtime_ns) for file in _files(path)]
        changed, seen = stamp != seen, stamp
        if changed:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RecordWarning)
                try:
                    run = _foreign(path, reader, columns)
                except ValueError:
                    if run is None:  # else it is being written anew, and is whole at the next look
                        raise
        if run is not None and (changed or always):
            yield run
            if run.facts.get("status", RUNNING) != RUNNING:
                return
        time.sleep(every)


def _files(path: Path) -> list[Path]:
    return sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else np.nan


def _run(
    folder: Path,
    facts: dict[str, Any],
    steps: Entries,
    seen: Entries,
    events: Entries,
    finding: dict[str, Any] | None,
    plans: dict[str, Any] | None = None,
) -> Run:
    """Events may stand among the steps' lines, and so may validations, where they have no file of their own."""
    figures = [entry for entry in steps if "what" not in entry]
    validated = [entry for entry in seen if "what" not in entry]
    among = [entry for lines in (steps, seen) for entry in lines if "what" in entry]
    return Run(folder, facts, figures, validated or figures, [*among, *events], finding, plans)


def _followed(folder: Path, every: float, always: bool) -> Iterator[Run]:
    steps, seen, events = (Tail(folder / name) for name in (METRICS, VALIDATION, EVENTS))
    last: tuple[Any, Any] | None = None
    while True:
        with warnings.catch_warnings():  # what is half written now is whole at the next look
            warnings.simplefilter("ignore", RecordWarning)
            facts, finding = _facts(folder), _kept(folder / FINDING, check_finding)
        changed = sum(tail.read() for tail in (steps, seen, events))  # each reads on
        if always or changed or (facts, finding) != last:
            last = facts, finding
            yield _run(folder, facts, steps.entries, seen.entries, [*events.entries], finding)
        if facts.get("status", RUNNING) != RUNNING:
            return
        time.sleep(every)


def _say(problem: str) -> None:
    warnings.warn(problem, RecordWarning, stacklevel=3)


def _facts(folder: Path) -> dict[str, Any]:
    """Each field that keeps its rule."""
    path = folder / RUN
    found = read_object(path)
    if found is None:
        _say(f"{path} is damaged and left out")
        return {}
    written = found.get("format", 1)
    if type(written) is int and written > FORMAT:
        raise ValueError(f"{path} was written by a newer stepsize (format {written}); update stepsize")
    facts = {}
    for name, value in found.items():
        try:
            check_fields(path, {name: value}, SHOWN, remedy="it is left out")
            facts[name] = value
        except ValueError as error:
            _say(str(error))
    return facts


def _kept(path: Path, check: Callable[[str, Any], None]) -> dict[str, Any] | None:
    if not path.exists():
        return None
    found = read_object(path)
    if found is None:
        _say(f"{path} is damaged and left out")
        return None
    try:
        check(str(path), found)
    except ValueError as error:
        _say(f"{error}; it is left out")
        return None
    return found


def _lines(path: Path) -> Entries:
    lines: Lines = read_lines(path)
    if lines.damaged:
        _say(lines.complaint())
    return lines.entries
