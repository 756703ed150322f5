"""A task that writes down each time one of its trials is begun, wherever that is."""

import os
from dataclasses import replace
from pathlib import Path

from torch import nn

from stepsize.task import task_named

digits_mlp = task_named("digits-mlp")


def model() -> nn.Module:
    with Path(os.environ["STEPSIZE_NOTES"]).open("a") as notes:
        notes.write(".")
    return digits_mlp.model()  # type: ignore[attr-defined, no-any-return]


task = replace(digits_mlp, name="noted", model=model)  # type: ignore[type-var]
