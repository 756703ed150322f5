"""How a rate was found, as ``finding.json`` keeps it."""

from typing import Any

from stepsize import _schema

_RATE = _schema.finite(above=0)
_FINDING = _schema.record(
    {
        "rate": _schema.maybe(_RATE),
        "initial": _schema.maybe(_schema.real),
        "trials": _schema.every(
            _schema.record({"rate": _RATE, "steps": _schema.whole(1), "score": _schema.maybe(_schema.real)})
        ),
    },
    {"scored": _schema.text},
)


def check_finding(name: str, value: Any) -> None:
    """Raise ValueError unless it is what find has written; a rate has an interval."""
    _FINDING(name, value)
    end = _schema.maybe(_RATE) if value["rate"] is None else _RATE
    _schema.record({"low": end, "high": end})(name, value)
