"""Going back from a divergence: the rule that sees one, the last good state, and what is done about it."""

from typing import TYPE_CHECKING

from stepsize._lazy import lazily
from stepsize.control.guarding._guard import Guard as Guard
from stepsize.control.guarding._guard import as_guard as as_guard
from stepsize.control.guarding._guard import guard as guard
from stepsize.control.guarding._state import STATE as STATE

if TYPE_CHECKING:  # what needs torch, which a plan's text does not
    from stepsize.control.guarding._kept import Keeper as Keeper
    from stepsize.control.guarding._watch import DivergedError as DivergedError
    from stepsize.control.guarding._watch import Guarding as Guarding

__getattr__, __dir__ = lazily(__name__, {"_kept": "Keeper", "_watch": "DivergedError Guarding"})

__all__ = ["STATE", "DivergedError", "Guard", "Guarding", "Keeper", "as_guard", "guard"]
