"""Everything Control applies, as one value with a text."""

from dataclasses import dataclass, field

from stepsize import _check
from stepsize.schedule import Schedule, constant


@dataclass(frozen=True, init=False)
class Plan:
    """What Control applies to an optimizer: a schedule for the learning rate, and a clipping threshold.

    Its text is a small YAML mapping, and ``Plan.parse`` reads it back.

    Args:
        lr: a schedule or its text; constant when left out.
        clip: the largest global gradient norm let through, > 0; no clipping when left out.

    Raises:
        TypeError, ValueError: lr is not a schedule, or clip is not a finite number > 0.

    Example:
        >>> from stepsize import Plan
        >>> plan = Plan(lr="warmup(5%) >> cosine()", clip=1)
        >>> print(plan)
        lr: warmup(5%) >> cosine()
        clip: 1.0
        >>> Plan.parse(str(plan)) == plan
        True
    """

    lr: Schedule = field(default_factory=constant)
    clip: float | None = None

    def __init__(self, lr: Schedule | str | None = None, clip: float | None = None) -> None:
        object.__setattr__(self, "lr", as_schedule("lr", lr))
        object.__setattr__(self, "clip", None if clip is None else _check.number("clip", clip, above=0))

    def __str__(self) -> str:
        return f"lr: {self.lr}" + ("" if self.clip is None else f"\nclip: {self.clip!r}")

    def over(self, total: float | None, per_epoch: float | None = None) -> "Plan":
        """This plan on a run of ``total`` positions; without a total, itself, if its schedule can do without.

        Args:
            total: the run's length in positions (steps), > 0, or None.
            per_epoch: positions in an epoch, > 0.

        Raises:
            ValueError: the schedule does not fit the total, or needs one.

        Example:
            >>> from stepsize import Plan
            >>> print(Plan("warmup(5%) >> cosine()").over(100))
            lr: warmup(5) >> cosine(95)
        """
        if total is not None:
            return Plan(self.lr.over(total, per_epoch), self.clip)
        if self.lr.missing is not None:
            raise ValueError(f"lr={self.lr} needs the run's length; give total=, the number of steps to be trained")
        return self

    @staticmethod
    def parse(text: str) -> "Plan":
        """Read a plan from its text, the inverse of ``str``.

        Args:
            text: lines ``name: value``, as printed by ``str(plan)``.

        Raises:
            TypeError, ValueError: a line has no name, an unknown name, or a value that its name does not take.

        Example:
            >>> from stepsize import Plan
            >>> Plan.parse("lr: cosine()")
            Plan(lr=cosine(), clip=None)
        """
        if not isinstance(text, str):
            raise TypeError(_check.message("text", text, "a plan's text", 'write for example "lr: cosine()"'))
        values: dict[str, str] = {}
        for line in text.splitlines():
            if not line.strip():
                continue
            name, colon, value = (part.strip() for part in line.partition(":"))
            if not colon:
                raise ValueError(_check.message("line of a plan", line, "name: value", 'write "lr: cosine()"'))
            if name not in ("lr", "clip"):
                raise ValueError(f"a plan has no {name!r}; {_check.closest(name, ('lr', 'clip'))}")
            if name in values:
                raise ValueError(f"{name} stands twice in the plan; leave one out")
            values[name] = value
        try:
            clip = float(values["clip"]) if "clip" in values else None
        except ValueError:
            raise ValueError(_check.message("clip", values["clip"], "a finite number > 0")) from None
        return Plan(values.get("lr"), clip)


def as_schedule(name: str, value: Schedule | str | None) -> Schedule:
    """A schedule from a schedule, its text, or None for a constant factor of 1."""
    if value is None:
        return constant()
    if isinstance(value, str):
        return Schedule.parse(value)
    if not isinstance(value, Schedule):
        remedy = 'write for example lr=warmup("5%") >> cosine(); the rate itself is the optimizer\'s lr'
        raise TypeError(_check.message(name, value, "a schedule or its text", remedy))
    return value
