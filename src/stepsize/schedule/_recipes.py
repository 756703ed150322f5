"""Well-known courses, written as what they are: compositions."""

from collections.abc import Mapping

from stepsize import _check
from stepsize.schedule._core import Schedule
from stepsize.schedule._decays import inverse_sqrt
from stepsize.schedule._length import REMEDY, Length, canonical
from stepsize.schedule._lines import constant, linear, one_minus_sqrt, warmup
from stepsize.schedule._waves import cosine
from stepsize.schedule._wrap import absolute

SHAPES = {"cosine": cosine, "linear": linear}
COOLDOWNS = {"linear": linear, "one_minus_sqrt": one_minus_sqrt}


def wsd(warm: Length = "5%", cool: Length = "20%", shape: str = "one_minus_sqrt") -> Schedule:
    """Warm-up, stable, decay.

    Formula:
        warmup(warm) >> constant() >> one_minus_sqrt(cool), or linear(cool)

    Args:
        warm: length of the warm-up: positions, a share of the run or epochs.
        cool: length of the cool-down: positions, a share of the run or epochs.
        shape: ``"one_minus_sqrt"`` or ``"linear"``.

    Raises:
        TypeError, ValueError: an argument is not a length, or shape no shape.

    Example:
        >>> from stepsize.schedule import wsd
        >>> wsd()
        warmup(5%) >> constant() >> one_minus_sqrt(20%)
        >>> trapezoid = wsd(100, 200).over(1_000)
        >>> trapezoid(0) < 0.01, trapezoid(100), trapezoid(799), trapezoid(1_000)
        (True, 1.0, 1.0, 0.0)

    Source: Hu et al. 2024, "MiniCPM" (arXiv 2404.06395), section 4; Hägele et al. 2024 (arXiv 2405.18392), section 3.
    """
    _one_of("shape", shape, COOLDOWNS)
    warm, cool = _length("warm", warm), _length("cool", cool)
    return warmup(warm) >> constant() >> COOLDOWNS[shape](cool)


def noam(warm: float, dimension: float = 1.0) -> Schedule:
    """The transformer's schedule: a warm-up, then one over the square root of the step.

    Formula:
        f(t) = dimension^-0.5 min((t + 1)^-0.5, (t + 1) warm^-1.5) for the step t = 0, 1, 2 ...

    Args:
        warm: steps of the warm-up, > 0.
        dimension: width of the model, > 0; the factor is relative to a base rate of 1.

    Raises:
        TypeError, ValueError: an argument is not a finite number > 0.

    Example:
        >>> from stepsize.schedule import noam
        >>> rate = noam(4_000, dimension=512)
        >>> round(rate(0), 12), round(rate(3_999), 9), round(rate(15_999), 9)
        (1.74693e-07, 0.000698771, 0.000349386)

    Source: Vaswani et al. 2017, "Attention is all you need" (arXiv 1706.03762), equation 3.
    """
    warm = _check.number("warm", warm, above=0)
    dimension = _check.number("dimension", dimension, above=0)
    before = max(warm - 1.0, 0.0)
    scale = float((dimension * warm) ** -0.5)
    return scale * (warmup(before, start=min(1.0, 1.0 / warm)) >> inverse_sqrt(every=warm))


def one_cycle(
    up: Length = "30%",
    *,
    start: float = 1 / 25,
    end: float = 1e-4 / 25,
    momentum: tuple[float, float] = (0.95, 0.85),
    shape: str = "cosine",
    phases: int = 2,
) -> dict[str, Schedule]:
    """One-cycle for the learning rate and the momentum together: ``Control(optimizer, **one_cycle(), total=...)``.

    Formula:
        rate: from start to 1 in ``up``, then to end; momentum: the other way round, between its two values. With three
        phases the rate goes back to start in another ``up`` before it goes to end, and the momentum stays high there.

    Args:
        up: length of the rise: positions, a share of the run or epochs.
        start: factor of the base rate at the first position, >= 0.
        end: factor of the base rate at the end of the run, >= 0.
        momentum: the high and the low value of the momentum (beta1 for Adam's kin), each >= 0 and < 1.
        shape: ``"cosine"`` or ``"linear"``.
        phases: 2 or 3.

    Returns:
        The schedules by hyperparameter: ``lr`` (a factor of the base) and ``momentum`` (absolute).

    Raises:
        TypeError, ValueError: an argument is invalid.

    Example:
        >>> from stepsize.schedule import one_cycle
        >>> course = one_cycle(start=0.1, end=0)
        >>> course["lr"]
        cosine(30%, start=0.1, end=1) >> cosine()
        >>> course["momentum"].over(10)([0, 3, 10])
        array([0.95, 0.85, 0.95])

    Source: Smith and Topin 2017, "Super-convergence" (arXiv 1708.07120), section 3; Smith 2018 (arXiv 1803.09820),
    section 4.3, for the momentum.
    """
    piece = SHAPES[_one_of("shape", shape, SHAPES)]
    if phases not in (2, 3) or isinstance(phases, bool):
        raise ValueError(_check.message("phases", phases, "2 or 3"))
    up = _length("up", up)
    if not isinstance(momentum, tuple | list) or len(momentum) != 2:
        raise TypeError(_check.message("momentum", momentum, "two numbers, high and low", "such as (0.95, 0.85)"))
    high, low = (_check.number("momentum", value, least=0) for value in momentum)
    if not (high < 1 and low < 1):
        raise ValueError(_check.message("momentum", momentum, "two numbers < 1"))
    rate, inertia = piece(up, start=start, end=1.0), piece(up, start=high, end=low)
    if phases == 2:
        return {
            "lr": rate >> piece(start=1.0, end=end),
            "momentum": absolute(inertia >> piece(start=low, end=high)),
        }
    return {
        "lr": rate >> piece(up, start=1.0, end=start) >> piece(start=start, end=end),
        "momentum": absolute(inertia >> piece(up, start=low, end=high) >> constant(value=high)),
    }


def _length(name: str, value: Length) -> Length:
    if value is None:
        raise ValueError(_check.message(name, None, "a length", REMEDY))
    return canonical(name, value)


def _one_of(name: str, value: str, options: Mapping[str, object]) -> str:
    if value not in list(options):
        rule = "one of " + ", ".join(sorted(options))
        raise ValueError(_check.message(name, value, rule, _check.closest(str(value), options)))
    return value
