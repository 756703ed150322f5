"""TensorBoard curves, as torch's own SummaryWriter makes them."""

import warnings
import weakref
from collections.abc import Collection, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import torch

from stepsize import _check, _extras
from stepsize.control import DEFAULT, Record, Signal, due, signals_of
from stepsize.state import evaluating
from stepsize.watch._board import LAYOUT, SETTINGS, histograms_into, holds, last_figures, layout_of, settings_of
from stepsize.watch._json_lines import event_line


class TensorBoard:
    """An observer that writes a run's curves for TensorBoard: ``tensorboard --logdir runs``.

    Tags are the signals' names, such as ``loss``, ``rate`` (``rate/NAME`` with several groups) and ``gradient_norm``,
    those handed to ``Control.observe``, and ``position`` where the clock does not count steps. The tab of custom
    scalars has loss and rate side by side and a chart for the layers of each signal that is written of them; the tab
    of texts the plan, the finding and every event; that of hyperparameters the settings and the figures of each run.
    The file is closed when the observer is dropped or the program ends.

    Args:
        folder: the run's folder for event files; made if missing.
        every: steps from one point to the next, >= 1. Nothing is read back from the device in between.
        resume_at: the step from which a stopped run goes on: its points and later ones come again, and TensorBoard
            shows the new ones only.
        signals: what is drawn of a step: names, patterns such as ``"update_ratio/*"``, and signals of one's own;
            loss, rates and gradient norm when left out. ``update_ratio`` copies weights.
        histograms: steps from one histogram of each layer's weights and gradients to the next, >= 1; none when left
            out. They are copied to host memory.
        finding: how the rate was found, from ``find``; its text is shown.

    Raises:
        TypeError, ValueError: an argument is invalid.
        ImportError: TensorBoard is not installed.
        OSError: a point cannot be written, such as on a full disk; the file is then as it was before it.

    Example:
        >>> import pathlib, tempfile, torch
        >>> from stepsize import Control, TensorBoard
        >>> weight = torch.ones(1, requires_grad=True)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     board = TensorBoard(folder, every=1)
        ...     control = Control(torch.optim.SGD([weight], lr=0.5), watch=board)
        ...     weight.square().sum().backward()
        ...     _ = control.step()
        ...     board.close()
        ...     len(list(pathlib.Path(folder).glob("events.out.tfevents.*")))
        1
    """

    def __init__(
        self,
        folder: Path | str,
        every: int = 10,
        resume_at: int | None = None,
        signals: Collection[str | Signal] = DEFAULT,
        histograms: int | None = None,
        finding: Any = None,
    ) -> None:
        if resume_at is not None:
            resume_at = _check.whole("resume_at", resume_at, least=0)
        self.every = _check.whole("every", every, least=1)
        signals_of(signals)
        self.signals = tuple(signals)
        self.histograms = None if histograms is None else _check.whole("histograms", histograms, least=1)
        if finding is not None and not hasattr(finding, "rate"):
            raise TypeError(_check.message("finding", finding, "a finding, as find returns it"))
        self._finding = finding
        self._folder, self._goes_on = Path(folder), bool(resume_at)
        self._settings: dict[str, Any] = {}
        self._figures: dict[str, float] = {}
        self._has_settings = False
        _extras.load("tensorboard", "tensorboard", "TensorBoard(...)")
        writer_type = _extras.load("stepsize.watch._event_file", "tensorboard", "TensorBoard(...)").Writer
        self._make = partial(writer_type, str(folder), purge_step=resume_at)
        self._made: Any = None
        if resume_at is None:  # else not before a run that may yet be refused has begun to go on
            _ = self._writer
        here = weakref.ref(self)
        self._drawing = histograms_into(lambda *drawn: here()._writer.add_histogram(*drawn))  # type: ignore[union-attr]

    @property
    def _writer(self) -> Any:
        if self._made is None:
            self._made = self._make()
            weakref.finalize(self, _close, self._made)
        return self._made

    def wants(self, step: int) -> Collection[str | Signal]:
        """The signals, each ``every`` steps; now and then histograms."""
        wanted = due(self.signals, step, self.every) if step % self.every == 0 else ()
        return (*wanted, self._drawing) if self.histograms and step % self.histograms == 0 else wanted

    def begin(self, facts: Mapping[str, Any]) -> None:
        """Write what stands beside the curves, unless a run that goes on has it already."""
        self._settings = settings_of(
            {name: value for name, value in facts.items() if name not in ("groups", "position")}
        )
        if self._holds(LAYOUT):
            return
        self._writer.add_custom_scalars(layout_of(self.signals))
        texts = {"plan": facts.get("plan"), "finding": self._finding}
        for name, text in texts.items():
            if text is not None:
                self._writer.add_text(name, "    " + str(text).replace("\n", "\n    "), 0)  # Markdown for: as it is

    def on(self, record: Record) -> None:
        """Add a point for each value; of an event a line of text under ``events``."""
        if record.kind == "event":
            self._writer.add_text("events", event_line(record), record.step)
            return
        counts_steps = record.kind != "step" or record.position == record.step
        for name, value in {**record.values, **({} if counts_steps else {"position": record.position})}.items():
            self._writer.add_scalar(name, value, record.step)
        last_figures(self._figures, record)
        if record.kind == "observed":  # now it is known by what runs can be compared
            self._compare()

    def end(self, status: str) -> None:
        """Several controls may share the file; it is closed when the observer is dropped."""
        self._compare()

    def _compare(self) -> None:
        """Write the settings, once, with the names of the figures; what these are last is read from their curves."""
        if not self._has_settings and self._settings and self._figures:
            self._has_settings = True
            if not self._holds(SETTINGS):
                self._writer.add_settings(self._settings, self._figures)

    def _holds(self, tag: bytes) -> bool:
        """Whether the files of a run that goes on have a tag, whose first value is what TensorBoard shows."""
        return self._goes_on and any(holds(file, tag) for file in self._folder.glob("*.tfevents.*"))

    def add_graph(self, model: torch.nn.Module, example: Any) -> None:
        """Add the model's graph, traced in eval mode; weights, mode and random state stay as they are.

        Args:
            model: the model.
            example: an input, or a tuple of inputs, on the model's device.
        """
        with evaluating(model), torch.random.fork_rng(), warnings.catch_warnings():
            # SummaryWriter traces with torch.jit, which torch itself has deprecated
            warnings.simplefilter("ignore", DeprecationWarning)
            self._writer.add_graph(model, example)

    def sync(self) -> None:
        """Wait until every point would survive a power cut."""
        if self._made is not None:
            self._made.sync()

    def close(self) -> None:
        """Close the file; further points open a new one."""
        if self._made is not None:
            self._made.close()


def _close(writer: Any) -> None:
    """Close what was dropped; a folder that is gone was an error where it was written to, and is none any more."""
    with suppress(OSError):
        writer.close()
