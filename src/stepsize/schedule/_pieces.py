"""All pieces by name, as a text may call them."""

from collections.abc import Callable

from stepsize.schedule._core import Schedule
from stepsize.schedule._decays import exponential, inverse_sqrt, multi_step, step_decay
from stepsize.schedule._lines import constant, linear, one_minus_sqrt, polynomial, warmup
from stepsize.schedule._noise import noise
from stepsize.schedule._recipes import noam, wsd
from stepsize.schedule._stairs import stairs
from stepsize.schedule._tables import piecewise_constant, piecewise_linear
from stepsize.schedule._waves import cosine, cosine_restarts, cosine_wave, exp_range, triangular, triangular2
from stepsize.schedule._wrap import absolute, clip, part, repeat

_ALL: tuple[Callable[..., Schedule], ...] = (
    *(constant, linear, warmup, polynomial, one_minus_sqrt),
    *(exponential, step_decay, multi_step, inverse_sqrt),
    *(cosine, cosine_wave, cosine_restarts, triangular, triangular2, exp_range),
    *(piecewise_constant, piecewise_linear, noise),
    *(absolute, clip, part, repeat, stairs),
    *(noam, wsd),
)
PIECES: dict[str, Callable[..., Schedule]] = {piece.__name__: piece for piece in _ALL}
