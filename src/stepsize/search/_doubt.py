"""How far an answer is to be trusted: what speaks against it, and what would settle it."""

import math
import statistics
from collections.abc import Sequence

from stepsize.search._rung import Rung

# Why these, and what else was tried: docs/decisions/0021-trust.md
NOISY = 0.2  # share of the progress by which the training loss may scatter in the last quarter of the best run
LITTLE = 0.05  # share of the initial loss that the best run must have gained
APART = 0.8  # decades that the best rates of the last two rungs may lie apart
TAIL = 4  # the part of a run that scatter is taken from, as 1 / TAIL; at least as many steps
LONGER = 4  # how many times as long the runs are that settle it
THREE = (-1, 0, 1)  # and their rates, in distances from the best


def doubts(rungs: Sequence[Rung], total: int) -> tuple[str, ...]:
    """Reasons not to trust what some rungs come to, none after whole runs.

    Args:
        rungs: one or more, the shortest runs first.
        total: steps of a whole run.
    """
    learnt = [rung for rung in rungs if rung.gained > 0] or list(rungs)
    last = learnt[-1]
    if last.length >= total:
        return ()
    found = []
    if scatter(last) > NOISY:
        found.append(f"the training loss scatters by {scatter(last):.0%} of what was learnt")
    if last.gained < LITTLE * last.scale:
        found.append(f"only {last.gained / last.scale:.1%} of the loss was gained")
    before = next((rung for rung in reversed(learnt) if rung.length < last.length), None)
    if before is not None and abs(last.vertex - before.vertex) > APART:
        rates = f"{10**before.vertex:.2g} and {10**last.vertex:.2g}"
        found.append(f"runs of {before.length} and of {last.length} steps prefer {rates}")
    return tuple(found)


def scatter(rung: Rung) -> float:
    """Standard deviation of the training loss in the last part of the best run, as a share of its progress.

    Args:
        rung: that has a best run.
    """
    losses = [float(loss) for loss in rung.results[rung.best].losses]
    tail = losses[-max(TAIL, len(losses) // TAIL) :]
    if not tail or not all(map(math.isfinite, tail)) or rung.gained <= 0:
        return 0.0
    return statistics.pstdev(tail) / rung.gained


def longer(rung: Rung, total: int) -> int:
    """Steps of the runs that would settle it.

    Args:
        rung: the last one.
        total: steps of a whole run.
    """
    return min(total, LONGER * rung.length)


def remedy(rung: Rung, total: int) -> str:
    """What would settle it, and its price.

    Args:
        rung: the last one.
        total: steps of a whole run.
    """
    length = longer(rung, total)
    return f"{len(THREE)} runs of {length} steps, {len(THREE) * length / total:.2g} of a whole one"
