"""The plans that raced for a run, as ``plans.json`` keeps them."""

from typing import Any

from stepsize import _schema

_PLANS = _schema.record(
    {
        "plans": _schema.every(
            _schema.record(
                {
                    "rate": _schema.maybe(_schema.finite(above=0)),
                    "scores": _schema.table(_schema.maybe(_schema.real)),
                }
            )
        )
    },
    {"verdict": _schema.text},
)


def check_plans(name: str, value: Any) -> None:
    """Raise ValueError unless it is what a search of plans has written."""
    _PLANS(name, value)
    for length in (length for plan in value["plans"] for length in plan["scores"]):
        if not length.isdecimal():
            raise ValueError(f"scores in {name} must be numbers by length, got {length!r:.80}")
