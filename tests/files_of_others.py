"""Files as a crash or a stranger may leave them: every field missing, of another type, out of range; files cut."""

import copy
import math
import shutil

import torch

from stepsize import Task, train

OTHERS = [None, True, -1, 1.5, 10**9, 10**400, math.nan, -math.inf, 1e308, "x", "a\nb", b"x", [], [[1]], {}, {"x": 1}]
TENSORS = [torch.zeros(0), torch.zeros(2, 3, 4), torch.tensor(1.0), torch.full((3,), math.nan), torch.zeros(3).long()]
LONG = 8  # entries of a list that are each changed
STEPS = 12


def batches(generator):
    while True:
        yield torch.randn(8, 3, generator=generator)


def small(**more):
    """A task that trains in milliseconds."""
    return Task(
        name="small",
        model=lambda: torch.nn.Linear(3, 2),
        batches=batches,
        loss=lambda model, batch: (model(batch) - batch[:, :2]).square().mean(),
        optimizer=lambda parameters, lr: torch.optim.AdamW(parameters, lr=lr),
        score=lambda model: float(model(torch.ones(1, 3)).square().sum()),
        metrics=lambda model: {"validation_loss": float((model(torch.ones(1, 3)) - 1).square().mean())},
        steps=STEPS,
        **more,
    )


def paths(value, at=()):
    """Every place in nested data, outermost first."""
    if at:
        yield at
    if isinstance(value, dict):
        for key, entry in value.items():
            yield from paths(entry, (*at, key))
    elif isinstance(value, list | tuple):
        for index, entry in enumerate(value[:LONG] if len(value) <= LONG else value[:1]):
            yield from paths(entry, (*at, index))


def changed(value, at, new=None, *, missing=False):
    """A copy of nested data with one place changed or missing."""
    if not at:
        return new
    first, rest = at[0], at[1:]
    if isinstance(value, dict):
        copied = dict(value)
        if missing and not rest:
            del copied[first]
        else:
            copied[first] = changed(value[first], rest, new, missing=missing)
        return copied
    copied = list(value)
    if missing and not rest:
        del copied[first]
    else:
        copied[first] = changed(value[first], rest, new, missing=missing)
    return type(value)(copied) if isinstance(value, tuple) else copied


def attacks(value, tensors=False):
    """Each place of nested data missing, and of each other type or out of range: the place, what was done, the data."""
    for at in paths(value):
        yield at, "missing", changed(value, at, missing=True)
        for other in [*OTHERS, *(TENSORS if tensors else [])]:
            yield at, repr(other)[:20], changed(value, at, copy.deepcopy(other))


def contents(folder):
    """Every file in a folder with its bytes."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def stopped(folder, at=6, **more):
    """A folder with the checkpoints of a training that was stopped on its way."""

    class Stops:
        def wants(self, step):
            if step == at:
                raise KeyboardInterrupt
            return ()

        def on_step(self, record):
            """Nothing."""

        def on_observe(self, step, values):
            """Nothing."""

        def on_event(self, step, event):
            """Nothing."""

    try:
        train(small(), lr=0.01, folder=folder, watch=[Stops()], save_every=1e-9, evaluate_every=2, **more)
    except KeyboardInterrupt:
        return folder
    raise AssertionError


def copied(folder, to):
    """A fresh copy of a folder."""
    shutil.rmtree(to, ignore_errors=True)
    return shutil.copytree(folder, to)
