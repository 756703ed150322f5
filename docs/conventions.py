"""Writes docs/conventions.md by running the real packages: torch, transformers, optax, timm, fastai.

    pip install torch transformers optax jax timm fastai
    python docs/conventions.py

Not part of the project's own environment: these packages are large, and only this page needs them. The numbers on the
page that are ours are checked by the tests.
"""

import importlib.metadata
import importlib.util
import sys
import types
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from stepsize import Schedule

TOTAL, WARM, BEYOND = 100, 10, 110
PACKAGES = ("torch", "transformers", "optax", "timm", "fastai")
Curve = Callable[[], list[float]]


def torch_curve(build: Callable) -> Curve:
    """A torch scheduler stepped once a step, from a base of 1."""

    def run() -> list[float]:
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        scheduler, values = build(optimizer), []
        for step in range(BEYOND + 1):
            values.append(float(optimizer.param_groups[0]["lr"]))
            if step < getattr(scheduler, "total_steps", BEYOND + 1) - 1:  # OneCycleLR raises past its end
                optimizer.step()
                scheduler.step()
        return values

    return run


def timm_curve(build: Callable) -> Curve:
    """A timm scheduler told the number of each update, from a base of 1."""

    def run() -> list[float]:
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        scheduler, values = build(optimizer), []
        for step in range(BEYOND + 1):
            scheduler.step_update(step)
            values.append(float(optimizer.param_groups[0]["lr"]))
        return values

    return run


def rows() -> list[tuple[str, str, str, Curve, str]]:
    """(what, package, call, curve, text of the same in stepsize)."""
    # timm's models need torchvision, its schedulers do not: the package is entered below its front door
    front = types.ModuleType("timm")
    front.__path__ = list(importlib.util.find_spec("timm").submodule_search_locations)  # type: ignore[union-attr]
    sys.modules["timm"] = front
    import optax
    import transformers
    from fastai.callback.schedule import combined_cos
    from timm.scheduler import CosineLRScheduler, StepLRScheduler

    s = torch.optim.lr_scheduler
    steps = range(BEYOND + 1)

    def fast(*arguments: float) -> Curve:
        curve = combined_cos(*arguments)
        return lambda: [float(curve(min(step / TOTAL, 1.0))) for step in steps]

    def opt(schedule: Callable) -> Curve:
        return lambda: [float(schedule(step)) for step in steps]

    def up_and_down(o):
        return s.SequentialLR(o, [s.LinearLR(o, 0.1, 1, WARM), s.CosineAnnealingLR(o, TOTAL - WARM)], [WARM])

    updates = {"t_in_epochs": False}
    return [
        (
            "warm-up and cosine",
            "torch",
            "SequentialLR([LinearLR(o, 0.1, 1, 10), CosineAnnealingLR(o, 90)], [10])",
            torch_curve(up_and_down),
            "warmup(10, start=0.1) >> cosine_wave(every=90)",
        ),
        (
            "warm-up and cosine",
            "transformers",
            "get_cosine_schedule_with_warmup(o, 10, 100)",
            torch_curve(lambda o: transformers.get_cosine_schedule_with_warmup(o, WARM, TOTAL)),
            "warmup(10, start=0) >> cosine_wave(every=90)",
        ),
        (
            "warm-up and cosine",
            "optax",
            "warmup_cosine_decay_schedule(0, 1, 10, 100)",
            opt(optax.warmup_cosine_decay_schedule(0.0, 1.0, WARM, TOTAL)),
            "warmup(10, start=0) >> cosine(90)",
        ),
        (
            "warm-up and cosine",
            "timm",
            "CosineLRScheduler(o, 100, warmup_t=10, warmup_lr_init=0.1)",
            timm_curve(lambda o: CosineLRScheduler(o, TOTAL, warmup_t=WARM, warmup_lr_init=0.1, **updates)),
            "warmup(10, start=0.1) >> part(cosine(100), start=10)",
        ),
        (
            "warm-up and cosine",
            "timm",
            "CosineLRScheduler(o, 90, warmup_t=10, warmup_lr_init=0.1, warmup_prefix=True)",
            timm_curve(
                lambda o: CosineLRScheduler(
                    o, TOTAL - WARM, warmup_t=WARM, warmup_lr_init=0.1, warmup_prefix=True, **updates
                )
            ),
            "warmup(10, start=0.1) >> cosine(90)",
        ),
        (
            "warm-up and cosine",
            "fastai",
            "combined_cos(0.1, 0.1, 1, 0)",
            fast(0.1, 0.1, 1.0, 0.0),
            "cosine(10, start=0.1, end=1) >> cosine(90)",
        ),
        (
            "cosine",
            "torch",
            "CosineAnnealingLR(o, 100)",
            torch_curve(lambda o: s.CosineAnnealingLR(o, TOTAL)),
            "cosine_wave(every=100)",
        ),
        (
            "cosine",
            "transformers",
            "get_cosine_schedule_with_warmup(o, 0, 100)",
            torch_curve(lambda o: transformers.get_cosine_schedule_with_warmup(o, 0, TOTAL)),
            "cosine_wave(every=100)",
        ),
        (
            "cosine",
            "optax",
            "cosine_decay_schedule(1, 100)",
            opt(optax.cosine_decay_schedule(1.0, TOTAL)),
            "cosine(100)",
        ),
        (
            "cosine",
            "timm",
            "CosineLRScheduler(o, 100)",
            timm_curve(lambda o: CosineLRScheduler(o, TOTAL, **updates)),
            "cosine(100)",
        ),
        (
            "one-cycle",
            "torch",
            "OneCycleLR(o, max_lr=1, total_steps=100)",
            torch_curve(lambda o: s.OneCycleLR(o, 1.0, TOTAL, cycle_momentum=False)),
            "cosine(29, start=0.04, end=1) >> cosine(70, end=4e-6)",
        ),
        (
            "one-cycle",
            "optax",
            "cosine_onecycle_schedule(100, 1)",
            opt(optax.cosine_onecycle_schedule(TOTAL, 1.0)),
            "cosine(30, start=0.04, end=1) >> cosine(70, end=4e-6)",
        ),
        (
            "one-cycle",
            "fastai",
            "combined_cos(0.25, 1/25, 1, 1/1e5)  (fit_one_cycle's)",
            fast(0.25, 1 / 25, 1.0, 1e-5),
            "cosine(25, start=0.04, end=1) >> cosine(75, end=1e-5)",
        ),
        ("step", "torch", "StepLR(o, 30)", torch_curve(lambda o: s.StepLR(o, 30)), "step_decay(every=30)"),
        (
            "step",
            "timm",
            "StepLRScheduler(o, 30, 0.1)",
            timm_curve(lambda o: StepLRScheduler(o, 30, 0.1, **updates)),
            "step_decay(every=30)",
        ),
        (
            "step",
            "optax",
            "exponential_decay(1, 30, 0.1, staircase=True)",
            opt(optax.exponential_decay(1.0, 30, 0.1, staircase=True)),
            "step_decay(every=30)",
        ),
    ]


OURS = {
    "warm-up and cosine": "warmup(10) >> cosine(90)",
    "cosine": "cosine(100)",
    "one-cycle": "cosine(30, start=0.04, end=1) >> cosine(70, end=4e-6)",
    "step": "step_decay(every=30)",
}


def figures(values: list[float] | np.ndarray) -> str:
    """First, peak (and its first step), last and past-the-end value, as cells of the table."""
    peak = int(np.argmax(np.round(values[:TOTAL], 12)))
    return f"{values[0]:.6g} | {values[peak]:.6g} (step {peak}) | {values[TOTAL - 1]:.6g} | {values[BEYOND]:.6g}"


INTRODUCTION = """\
Written by `python docs/conventions.py`, which runs the packages themselves: {versions}. The base rate is 1, the run 100
steps; *past* is step 110. *Difference* is the largest over steps 0 to 110 between the package and the text beside it
(optax and fastai compute in float32)."""
QUIRKS = """\
stepsize spends no step at zero and no two at the peak; it reaches the end value at the schedule's length and keeps
it. The cosines of torch and transformers rise again past the end; timm counts the cosine from the run's start
unless `warmup_prefix=True`, so it jumps at the end of the warm-up; torch's OneCycleLR reaches peak and end one step
early. Transformers rounds the length of a warm-up up to a whole step; stepsize rounds no length ([what that
means](schedules.md#between-two-steps))."""


def main() -> None:
    """Run every package and write the page."""
    warnings.simplefilter("ignore")
    versions = ", ".join(f"{package} {importlib.metadata.version(package)}" for package in PACKAGES)
    lines = [
        "# Conventions of other libraries, and their equivalents here",
        INTRODUCTION.format(versions=versions),
        QUIRKS,
    ]
    measured = rows()
    for what, ours in OURS.items():
        table = [
            "| library | call | first | peak | last | past | in stepsize | difference |",
            "|---|---|---|---|---|---|---|---|",
        ]
        own = Schedule.parse(ours)(np.arange(BEYOND + 1))
        table.append(f"| stepsize | | {figures(own)} | `{ours}` | |")
        for kind, package, call, curve, text in measured:
            if kind == what:
                values = curve()
                gap = float(np.max(np.abs(np.array(values) - Schedule.parse(text)(np.arange(BEYOND + 1)))))
                table.append(f"| {package} | `{call}` | {figures(values)} | `{text}` | {gap:.0e} |")
        lines += [f"## {what}", "\n".join(table)]
    path = Path(__file__).with_suffix(".md")
    path.write_text("\n\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
