"""Experiment trackers, each with its own calls: numbers at a step, settings, alerts, the end."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from stepsize import _check

LONGEST = 6000  # characters of a parameter of MLflow
LONGEST_KEY = 250
FORBIDDEN = str.maketrans(dict.fromkeys("*[]()?,;=+<>|\"'\\", "_"))  # in MLflow's names


class Target(NamedTuple):
    """A tracker as an observer uses it.

    Attributes:
        log: takes numbers by name, and a step.
        settings: takes plain settings by name, as often as there are new ones.
        alert: takes a title and a text.
        end: takes the status in a word.
        reached: of a run that goes on, up to which step it has a value; asked with a name.
    """

    log: Callable[[Mapping[str, float], int], Any]
    settings: Callable[[Mapping[str, Any]], Any]
    alert: Callable[[str, str], Any]
    end: Callable[[str], Any]
    reached: Callable[[str], int]


def target_of(run: Any) -> Target:
    """The calls of a tracker's run.

    Args:
        run: of W&B or trackio, the module mlflow, or anything with ``log(dict, step)``.

    Raises:
        TypeError: it is none of these.
        ValueError: it is MLflow, and no run has been started.
    """
    if all(callable(getattr(run, name, None)) for name in ("log_metrics", "log_params", "active_run")):
        return _mlflow(run)
    if callable(getattr(run, "log", None)):
        return _logs(run)
    if callable(run) and not isinstance(run, type):
        return Target(lambda values, step: run(values, step), _nothing, _nothing, _nothing, _from_start)
    rule = "a run of W&B or trackio, the module mlflow, or anything with log(dict, step)"
    raise TypeError(_check.message("run", run, rule, 'write for example Tracker(wandb.init(project="mine"))'))


def _nothing(*_: Any) -> None:
    """It has no place for that."""


def _from_start(_: str) -> int:
    return -1


def _logs(run: Any) -> Target:
    """W&B, trackio and what is like them: ``log``, and where they are there ``config``, ``summary``, ``alert``."""
    alert = getattr(run, "alert", None)
    settings, summary = (getattr(getattr(run, name, None), "update", None) for name in ("config", "summary"))
    to_come = getattr(run, "step", getattr(run, "_next_step", 0))  # of W&B and trackio
    status = summary or settings or _nothing
    return Target(
        lambda values, step: run.log(dict(values), step=step),
        settings or _nothing,
        (lambda title, text: alert(title=title, text=text)) if callable(alert) else _nothing,
        lambda word: status({"status": word}),
        lambda _: to_come - 1 if isinstance(to_come, int) else -1,
    )


def _mlflow(mlflow: Any) -> Target:
    """MLflow's run that is active now, also when another one is later."""
    run = mlflow.active_run()
    if run is None:
        raise ValueError("run is MLflow without an active run; call mlflow.start_run() before Tracker(mlflow)")
    key, client = run.info.run_id, mlflow.MlflowClient()
    last = {name: max(point.step for point in client.get_metric_history(key, name)) for name in run.data.metrics}

    def settings(values: Mapping[str, Any]) -> None:
        known = client.get_run(key).data.params  # a parameter never changes
        for name, value in values.items():
            if _mlflow_name(name) not in known:
                client.log_param(key, _mlflow_name(name), str(value)[:LONGEST])

    def alert(title: str, text: str) -> None:
        client.set_tag(key, f"alert {title}"[:LONGEST_KEY].translate(FORBIDDEN), text[:LONGEST])

    return Target(
        lambda values, step: mlflow.log_metrics(
            {_mlflow_name(name): value for name, value in values.items()}, step=step, run_id=key
        ),
        settings,
        alert,
        lambda status: client.set_tag(key, "stepsize.status", status),
        lambda name: last.get(_mlflow_name(name), -1),
    )


def _mlflow_name(name: str) -> str:
    return name.translate(FORBIDDEN)[:LONGEST_KEY]
