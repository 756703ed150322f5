"""The learning rate of an update."""

from collections.abc import Mapping

from stepsize.control.signals._signal import Signal, Update


def _rates(update: Update) -> Mapping[str, float]:
    rates = update.rates
    if not rates:
        return {}
    return {"": next(iter(rates.values())), **(rates if len(rates) > 1 else {})}


rate = Signal("rate", _rates, cost="free")
"""The first group's rate, and where there are several ``rate/NAME`` of each."""
