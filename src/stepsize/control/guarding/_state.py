"""What a guard's saved state must look like."""

from stepsize import _schema

LEVEL = _schema.record(
    {
        "first": _schema.maybe(_schema.finite()),
        "best": _schema.maybe(_schema.finite()),
        "spreads": _schema.every(_schema.finite(least=0)),
        "lost_since": _schema.maybe(_schema.finite(least=0)),
        "checks": _schema.whole(),
    }
)
GOOD = _schema.record(
    {
        "step": _schema.whole(),
        "position": _schema.finite(least=0),
        "level": LEVEL,
        "feedback": _schema.maybe(_schema.of_type(dict, "a mapping")),
        "parameters": _schema.every(_schema.anything),
        "model": _schema.table(_schema.anything),
        "optimizers": _schema.every(_schema.of_type(dict, "a mapping")),
        "scaler": _schema.maybe(_schema.of_type(dict, "a mapping")),
    }
)
STATE = _schema.record(
    {
        "factor": _schema.finite(least=0),
        "returns": _schema.whole(),
        "level": LEVEL,
        "losses": _schema.every(_schema.real),
        "updates": _schema.whole(),
        "apart": _schema.whole(),
        "skipped": _schema.whole(),
        "good": _schema.maybe(GOOD),
    }
)
