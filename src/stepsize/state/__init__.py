"""A run's state: exact capture and restore in memory, files that are whole or not there, and a lock on a folder."""

from typing import TYPE_CHECKING

from stepsize._lazy import lazily
from stepsize.state._appended import AppendedFile as AppendedFile
from stepsize.state._files import read_regular as read_regular
from stepsize.state._files import write_atomic as write_atomic
from stepsize.state._files import write_status as write_status
from stepsize.state._lock import LockedError as LockedError
from stepsize.state._lock import at_work as at_work
from stepsize.state._lock import locked as locked

if TYPE_CHECKING:  # what needs torch, which files and locks do not
    from stepsize.state._capture import Captured as Captured
    from stepsize.state._capture import can_capture as can_capture
    from stepsize.state._capture import capture as capture
    from stepsize.state._graph import is_generator as is_generator
    from stepsize.state._lent import is_optimizer as is_optimizer
    from stepsize.state._lent import lent as lent
    from stepsize.state._lent import on_loan as on_loan
    from stepsize.state._lent import optimizers_in as optimizers_in
    from stepsize.state._loader import has_state as has_state
    from stepsize.state._loader import is_loader as is_loader
    from stepsize.state._loader import known_length as known_length
    from stepsize.state._modes import evaluating as evaluating
    from stepsize.state._processes import gathered as gathered
    from stepsize.state._processes import mean_of_ranks as mean_of_ranks
    from stepsize.state._processes import processes as processes
    from stepsize.state._processes import reduced as reduced
    from stepsize.state._random import RandomState as RandomState
    from stepsize.state._random import own_randomness as own_randomness

__getattr__, __dir__ = lazily(
    __name__,
    {
        "_capture": "Captured can_capture capture",
        "_graph": "is_generator",
        "_lent": "is_optimizer lent on_loan optimizers_in",
        "_loader": "has_state is_loader known_length",
        "_modes": "evaluating",
        "_processes": "gathered mean_of_ranks processes reduced",
        "_random": "RandomState own_randomness",
    },
)

__all__ = [
    "AppendedFile",
    "Captured",
    "LockedError",
    "RandomState",
    "at_work",
    "can_capture",
    "capture",
    "evaluating",
    "gathered",
    "has_state",
    "is_generator",
    "is_loader",
    "is_optimizer",
    "known_length",
    "lent",
    "locked",
    "mean_of_ranks",
    "on_loan",
    "optimizers_in",
    "own_randomness",
    "processes",
    "read_regular",
    "reduced",
    "write_atomic",
    "write_status",
]
