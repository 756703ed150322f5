"""A curve of a million steps: ours in one call, beside stepping torch's scheduler and optax's schedule.

All in one process, interleaved rounds, medians with intervals; torch is stepped once per round for a tenth of the
steps, and its time multiplied by ten (it is linear in the steps). optax is float32, and shown where it is installed.

Prediction, written down before the first run: 120 times faster than torch's CosineAnnealingLR, 60 times for the
warm-up and cosine against SequentialLR.
"""

import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from _common import arguments, conclude, interval

from stepsize import cosine, warmup

STEPS = 1_000_000


def ours(schedule) -> Callable[[int], np.ndarray]:
    return lambda steps: schedule.over(STEPS)(np.arange(steps, dtype=np.float64))


def stepped(build) -> Callable[[int], list[float]]:
    def run(steps: int) -> list[float]:
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        scheduler, values = build(optimizer), []
        for _ in range(steps):
            values.append(optimizer.param_groups[0]["lr"])
            scheduler.step()
        return values

    return run


def sequential(optimizer):
    schedulers = torch.optim.lr_scheduler
    up = schedulers.LinearLR(optimizer, 1e-3, 1, STEPS // 20)
    down = schedulers.CosineAnnealingLR(optimizer, STEPS - STEPS // 20)
    return schedulers.SequentialLR(optimizer, [up, down], [STEPS // 20])


def optax_curves() -> dict[str, Callable[[int], object]]:
    try:
        import jax
        import optax
    except ImportError:
        return {}
    decay = jax.jit(jax.vmap(optax.cosine_decay_schedule(1.0, STEPS)))
    return {"optax cosine_decay_schedule, jit(vmap), float32": lambda n: decay(np.arange(n)).block_until_ready()}


def main() -> None:
    quick = arguments(__doc__ or "").quick
    rounds, torch_steps = (1, 2_000) if quick else (15, STEPS // 10)
    warnings.simplefilter("ignore")  # torch's, about stepping without an optimizer
    cases: dict[str, tuple[Callable[[int], object], int]] = {
        "stepsize cosine(), float64": (ours(cosine()), STEPS),
        "torch CosineAnnealingLR, stepped": (
            stepped(lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, STEPS)),
            torch_steps,
        ),
        "stepsize warmup(5%) >> cosine(), float64": (ours(warmup("5%") >> cosine()), STEPS),
        "torch SequentialLR(LinearLR, CosineAnnealingLR), stepped": (stepped(sequential), torch_steps),
        **{name: (curve, STEPS) for name, curve in optax_curves().items()},
    }
    times: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(rounds + 1):
        for name, (curve, steps) in cases.items():
            began = time.perf_counter()
            curve(steps)
            if number:  # the first round warms up
                times[name].append((time.perf_counter() - began) * STEPS / steps)
    lines = [
        f"a curve of {STEPS:,} steps; {rounds} interleaved rounds; median (95 % interval of the median), milliseconds"
    ]
    for name, values in times.items():
        median, low, high = (1000 * value for value in interval(values))
        lines.append(f"  {name:58s} {median:9.1f}  ({low:.1f} to {high:.1f})")
    names = list(cases)
    for mine, theirs in ((names[0], names[1]), (names[2], names[3])):
        ratios = [other / own for own, other in zip(times[mine], times[theirs], strict=True)]
        median, low, high = interval(ratios)
        lines.append(f"  {mine} is {median:.0f} times faster ({low:.0f} to {high:.0f}) than {theirs}")
    exact = stepped(lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, STEPS))(1_000 if quick else 100_000)
    error = float(np.max(np.abs(np.array(exact) - ours(cosine())(len(exact)))))
    lines.append(f"  largest difference to torch over its first {len(exact):,} steps: {error:.1e} of the base")
    conclude("schedules", lines, {"seconds": times}, quick)


if __name__ == "__main__":
    main()
