"""Which engine, and why; kept in a file, so that what is gone on with is done as it was begun."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stepsize import _check
from stepsize.engine._batched import Batched
from stepsize.engine._measured import Measured
from stepsize.engine._processes import Processes
from stepsize.engine._serial import serial
from stepsize.engine._work import Engine
from stepsize.state import write_atomic

FILE = "engine.json"  # beside a sweep's database
NAMES = ("batched", "batched-compiled", "processes", "serial")


@dataclass(frozen=True)
class Choice:
    """An engine and why.

    Attributes:
        name: the engine's.
        why: one line.
        predicted: seconds by engine.
    """

    name: str
    why: str
    predicted: dict[str, float] = field(default_factory=dict)

    @staticmethod
    def of(measured: Measured, predicted: dict[str, float]) -> "Choice":
        """The engine with the least predicted time.

        Args:
            measured: what the prediction is made from.
            predicted: seconds by engine.
        """
        name = min(predicted, key=lambda engine: predicted[engine])
        listed = ", ".join(
            f"{engine} {_seconds(predicted[engine])}" for engine in sorted(predicted, key=lambda e: predicted[e])
        )
        why = f"{name}: {measured.trials} trials of {measured.steps} steps, predicted {listed}"
        return Choice(name, f"{why}; {measured.why_not}" if measured.why_not else why, predicted)

    def engine(self, workers: int | None = None) -> Engine:
        """The engine itself.

        Args:
            workers: how many processes, where it is ``processes``.
        """
        if self.name == "processes":
            return Processes(workers)
        return serial if self.name == "serial" else Batched(compiled=self.name == "batched-compiled")

    def write(self, path: Path) -> None:
        """Keep it in a file.

        Args:
            path: the file's.
        """
        content = {"engine": self.name, "why": self.why, "predicted": self.predicted}
        write_atomic(path, (json.dumps(content, indent=1) + "\n").encode())

    @staticmethod
    def read(path: Path) -> "Choice":
        """The choice that is kept in a file.

        Args:
            path: the file's.

        Raises:
            ValueError: it holds no choice of an engine.
        """
        try:
            content: Any = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
            choice = Choice(content["engine"], str(content["why"]), dict(content["predicted"]))
        except (ValueError, KeyError, TypeError, RecursionError):
            raise ValueError(f"{path} holds no choice of an engine; remove it to choose again") from None
        if choice.name not in NAMES:
            rule = f"one of {', '.join(NAMES)}"
            raise ValueError(_check.message(f"engine in {path}", choice.name, rule, "remove the file to choose again"))
        return choice


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value < 100 else f"{value / 60:.1f} min"
