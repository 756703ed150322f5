"""Optional packages: loaded where they are used, and named with their extra when they are missing."""

import importlib
import random
from typing import Any

from stepsize import _check


class MissingExtraError(ImportError):
    """A feature needs a package that is not installed or cannot be loaded; the message says what to do."""


def load(module: str, extra: str, feature: str) -> Any:
    """Import a module of an optional package, or say which extra brings it."""
    package = module.partition(".")[0]
    drawn = random.getstate()  # importing scikit-learn draws from Python's generator, which is part of a run's state
    try:
        return importlib.import_module(module)
    except Exception as error:
        is_absent = isinstance(error, ModuleNotFoundError) or (isinstance(error, ImportError) and error.name is None)
        what = _absent(package, getattr(error, "name", None)) if is_absent else _damaged(error)
        remedy = f"pip install 'stepsize[{extra}]'"
        if not is_absent:  # it was set up in a way that it does not take, or has to be installed again
            remedy = "unset MPLBACKEND" if "backend" in what else remedy.replace("install", "install --upgrade")
        raise MissingExtraError(f"{feature} needs {package}, {what}; {remedy}") from error
    finally:
        random.setstate(drawn)


def _absent(package: str, name: str | None) -> str:
    missing = package if name is None else name.partition(".")[0]
    return "which is not here" if missing == package else f"which needs {missing}, which is not here"


def _damaged(error: Exception) -> str:
    return f"which cannot be loaded ({_check.with_class(error)})"
