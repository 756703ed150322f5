"""Optional packages: loaded where they are used, and named with their extra when they are missing."""

import importlib
import random
from typing import Any


class MissingExtraError(ImportError):
    """A feature needs a package that is not installed or cannot be loaded; the message says what to do."""


def load(module: str, extra: str, feature: str) -> Any:
    """Import a module of an optional package, or say which extra brings it."""
    package = module.partition(".")[0]
    drawn = random.getstate()  # importing scikit-learn draws from Python's generator, which is part of a run's state
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = package if error.name is None else error.name.partition(".")[0]
        what = f"{feature} needs {package}, which is not here"
        if missing != package:  # the package is here, and something that it needs itself is not
            what = f"{feature} needs {package}, which needs {missing}, which is not here"
        raise MissingExtraError(f"{what}; pip install 'stepsize[{extra}]'") from error
    except Exception as error:  # what a package raises that is damaged, or set up in a way it does not take
        why = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        remedy = "unset MPLBACKEND" if "backend" in why else f"pip install --upgrade 'stepsize[{extra}]'"
        raise MissingExtraError(f"{feature} needs {package}, which cannot be loaded ({why}); {remedy}") from error
    finally:
        random.setstate(drawn)
