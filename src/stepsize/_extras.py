"""Optional packages: loaded where they are used, and named with their extra when they are missing."""

import importlib
import random
from typing import Any


class MissingExtraError(ImportError):
    """A feature needs a package that is not installed; the message says which extra to install."""


def load(module: str, extra: str, feature: str) -> Any:
    """Import a module of an optional package, or say which extra brings it."""
    drawn = random.getstate()  # importing scikit-learn draws from Python's generator, which is part of a run's state
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise MissingExtraError(
            f"{feature} needs {package}, which is not here; pip install 'stepsize[{extra}]'"
        ) from error
    finally:
        random.setstate(drawn)
