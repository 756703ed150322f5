"""An observer for experiment trackers: W&B, MLflow, trackio, and whatever has ``log(dict, step)``."""

import warnings
from collections.abc import Callable, Collection, Mapping
from typing import Any

from stepsize import _check
from stepsize.control import DEFAULT, Record, Signal, due, signals_of
from stepsize.record import RecordWarning
from stepsize.watch._board import settings_of
from stepsize.watch._json_lines import event_line
from stepsize.watch._trackers import target_of

ALARMING = ("error", "warning")
BAD_ENDS = ("diverged", "failed")


class Tracker:
    """An observer that writes a run into an experiment tracker.

    ``Tracker(wandb.init(...))``, ``Tracker(trackio.init(...))``, ``Tracker(mlflow)`` with an active run, or any object
    with ``log(dict, step)``, or such a function. Values have the signals' names. The plan's text, the settings and the
    finding become the run's settings, where it has such; symptoms (events with a severity) and a run that diverges or
    fails become alerts, in MLflow tags. An event with a value is drawn as ``events/WHAT``. Of a run that goes on, what
    MLflow, W&B and trackio have already is not written again.

    An error of the tracker does not end the training: it is reported once, as a ``RecordWarning``.

    Args:
        run: what is written to.
        every: steps from one point to the next, >= 1.
        signals: what is written of a step: names, patterns such as ``"update_ratio/*"``, and signals of one's own;
            loss, rates and gradient norm when left out.
        finding: how the rate was found, from ``find``; its text and rate become settings.

    Raises:
        TypeError, ValueError: an argument is invalid, or MLflow has no active run.

    Example:
        >>> import torch
        >>> from stepsize import Control, Tracker
        >>> class Run:
        ...     config = {}
        ...     def log(self, values, step):
        ...         print(step, values)
        >>> weight = torch.ones(1, requires_grad=True)
        >>> control = Control(torch.optim.SGD([weight], lr=0.5), lr="linear()", total=4, watch=Tracker(Run(), every=2))
        >>> for _ in range(4):
        ...     weight.square().sum().backward()
        ...     _ = control.step()
        0 {'rate': 0.5, 'gradient_norm': 2.0}
        2 {'rate': 0.25, 'gradient_norm': 0.0}
        >>> Run.config["plan"]
        'lr: linear(4)'
    """

    def __init__(
        self, run: Any, every: int = 10, signals: Collection[str | Signal] = DEFAULT, finding: Any = None
    ) -> None:
        self.every = _check.whole("every", every, least=1)
        signals_of(signals)
        self.signals = tuple(signals)
        if finding is not None and not hasattr(finding, "rate"):
            raise TypeError(_check.message("finding", finding, "a finding, as find returns it"))
        self._finding, self._target, self._is_broken = finding, target_of(run), False

    def wants(self, step: int) -> Collection[str | Signal]:
        """The signals, each ``every`` steps."""
        return due(self.signals, step, self.every) if step % self.every == 0 else ()

    def begin(self, facts: Mapping[str, Any]) -> None:
        """Write the plan, the settings and the finding."""
        settings: dict[str, Any] = {**settings_of(facts)}
        if self._finding is not None:
            settings |= {"finding": str(self._finding), "found_rate": self._finding.rate}
        self._try(lambda: self._target.settings(settings))

    def on(self, record: Record) -> None:
        """Write the values; of an event its value, and an alert if it is a symptom of some weight."""
        values = dict(record.values)
        if record.kind == "event":
            values = {f"events/{record.text['what']}": values.get("value", 1.0)}
            if record.text.get("severity") in ALARMING:
                title = f"{record.text['severity']}: {record.text['what']}"
                self._try(lambda: self._target.alert(title, f"step {record.step}: {event_line(record)}"))
        elif record.kind == "step" and record.position != record.step:
            values["position"] = record.position
        new = {name: value for name, value in values.items() if record.step > self._target.reached(name)}
        if new:
            self._try(lambda: self._target.log(new, record.step))

    def end(self, status: str) -> None:
        """Write the status; an alert if the run has failed."""
        self._try(lambda: self._target.end(status))
        if status.startswith(BAD_ENDS):
            self._try(lambda: self._target.alert(f"run {status.partition(':')[0]}", status))

    def _try(self, call: Callable[[], Any]) -> None:
        try:
            call()
        except Exception as error:  # a server that is away is no reason to lose a training
            if not self._is_broken:
                self._is_broken = True
                what = _check.with_class(error)
                warnings.warn(f"the tracker failed ({what}); training goes on", RecordWarning, stacklevel=2)
