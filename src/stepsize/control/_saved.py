"""What a control's saved state must look like."""

from collections.abc import Mapping, Sequence
from typing import Any

from stepsize import _check, _schema
from stepsize.control.guarding import STATE as GUARDED
from stepsize.control.steering import STATE as STEERED

VERSION = 2
_POSITION = _schema.finite(least=0)
_FACTOR = _schema.finite(least=0, most=1e18)  # the product of two must be a number in float32 too
_SHARE = _schema.row(_FACTOR, _FACTOR, _FACTOR, _schema.maybe(_FACTOR))  # base, taken, manual, held
_FIELDS = (_schema.whole(), _POSITION, _schema.text, _schema.maybe(_schema.real), _schema.text, _schema.text)
_SIDES = (_schema.maybe(_schema.real), _schema.maybe(_schema.real))


def _event(name: str, value: Any) -> None:
    """An entry of ``control.log``; older ones do not have the values before and after."""
    short = isinstance(value, Sequence) and len(value) == len(_FIELDS)
    _schema.row(*_FIELDS, *(() if short else _SIDES))(name, value)


_LENGTH = _schema.maybe(_schema.finite(above=0))
STATE = _schema.record(
    {
        "version": _schema.whole(),
        "position": _POSITION,
        "steps": _schema.whole(),
        "shares": _schema.table(_schema.every(_SHARE)),
        "written": _schema.table(_schema.every(_schema.finite())),
        "given": _schema.record({"plan": _schema.text, "total": _LENGTH, "per_epoch": _LENGTH}),
        "plan": _schema.text,
        "total": _LENGTH,
        "feedback": _schema.maybe(
            _schema.record(
                {
                    "factor": _FACTOR,
                    "state": _schema.table(_schema.anything),
                    "waiting": _schema.every(_schema.real),
                }
            )
        ),
        "log": _schema.every(_event),
    },
    {"skipped": _schema.whole(), "commands": _schema.maybe(STEERED), "guard": _schema.maybe(GUARDED)},
)


def check_state(state: Any) -> None:
    """Raise TypeError or ValueError, naming the field, unless it is a state from ``state_dict()``.

    Args:
        state: what was given.
    """
    if not isinstance(state, Mapping):
        raise TypeError(_check.message("state", state, "a mapping from state_dict()"))
    if "version" in state and state["version"] != VERSION:
        raise ValueError(_check.message("version of state", state["version"], f"{VERSION}", "update stepsize"))
    STATE("state", state)


def check_feedback(state: Mapping[str, Any], fresh: Mapping[str, Any]) -> None:
    """Raise ValueError, naming the field, unless a controller's state has what one that begins has, of the same kind.

    Args:
        state: that was saved.
        fresh: of the same controller, before its first observation.
    """
    for name, own in fresh.items():
        what = f"{name} of the feedback's state"
        if name not in state:
            raise ValueError(f"state is not of this feedback: it lacks {name}")
        if isinstance(own, list):
            _schema.every(_schema.real)(what, state[name])
        elif own is None:  # nothing was seen yet
            _schema.maybe(_schema.real)(what, state[name])
        else:
            _schema.real(what, state[name])
