"""What a diagnosis consists of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from stepsize import _check

SEVERITIES = ("info", "warning", "error")
"""From a remark to a ruined run."""


@dataclass(frozen=True)
class Symptom:
    """Something that a rule has found in a run.

    Args:
        name: of the rule's finding, such as ``"rate-too-high"``; it is also the heading in docs/diagnosis.md.
        severity: ``"info"``, ``"warning"`` or ``"error"``.
        step: where it was first seen, counted from 0; None if it holds of the whole run.
        evidence: the numbers that it rests on, by name.
        remedy: what to do, in one sentence with a number where there is one.
        factor: what to multiply the learning rate by; None if the rate is not what should change.

    Raises:
        TypeError, ValueError: an argument is invalid.

    Example:
        >>> from stepsize import Symptom
        >>> print(Symptom("rate-too-high", "warning", None, {"curvature": 1.4}, "lower the rate to 0.03", 0.3))
        warning: rate-too-high, times 0.3: lower the rate to 0.03 (curvature 1.4)
    """

    name: str
    severity: str
    step: int | None
    evidence: Mapping[str, float] = field(hash=False)
    remedy: str
    factor: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(_check.message("name", self.name, "a text"))
        if self.severity not in SEVERITIES:
            raise ValueError(_check.message("severity", self.severity, "'info', 'warning' or 'error'"))
        if self.step is not None:
            _check.whole("step", self.step, least=0)
        if not isinstance(self.evidence, Mapping):
            raise TypeError(_check.message("evidence", self.evidence, "a mapping from names to numbers"))
        if not isinstance(self.remedy, str):
            raise TypeError(_check.message("remedy", self.remedy, "a text"))
        if self.factor is not None:
            _check.number("factor", self.factor, above=0)
        object.__setattr__(self, "evidence", MappingProxyType(dict(self.evidence)))

    def __str__(self) -> str:
        where = "" if self.step is None else f" at step {self.step}"
        times = "" if self.factor is None else f", times {self.factor:.3g}"
        shown = ", ".join(f"{name.replace('_', ' ')} {value:.3g}" for name, value in self.evidence.items())
        return f"{self.severity}: {self.name}{where}{times}: {self.remedy}" + (f" ({shown})" if shown else "")

    @property
    def event(self) -> tuple[dict[str, float], dict[str, str]]:
        """The values and the text of a record of kind ``"event"`` that tells it."""
        values = {} if self.factor is None else {"value": self.factor}
        return values, {"what": self.name, "group": "*", "severity": self.severity, "reason": self.remedy}

    def plain(self) -> dict[str, Any]:
        """All of it as plain data, as ``stepsize diagnose --json`` prints it."""
        parts = {"name": self.name, "severity": self.severity, "step": self.step, "evidence": dict(self.evidence)}
        return {**parts, "remedy": self.remedy, "factor": self.factor}
