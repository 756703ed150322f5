"""What the schedules multiply as things stand, of each group."""

from stepsize import _check
from stepsize.control._governed import Governed


def levels(driven: Governed) -> list[dict[str, float]]:
    """The driven values of each parameter group as they would be without schedules: base * feedback * manual.

    Whoever tries other schedules or rates on the groups of a run under way writes these, and takes them for the bases.

    Formula:
        base * feedback * manual; the base alone under an absolute schedule, which gives values itself

    Args:
        driven: a Control or Scheduler.

    Returns:
        By group, in their order, and by hyperparameter.

    Raises:
        TypeError: it is none.
        ValueError: a value is held by hand, so that it follows neither base nor schedule.

    Example:
        >>> import torch
        >>> from stepsize import Scheduler
        >>> from stepsize.control import levels
        >>> scheduler = Scheduler(torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5), "linear()", total=4)
        >>> scheduler.scale(0.5)
        >>> levels(scheduler)
        [{'lr': 0.25}]
    """
    if not isinstance(driven, Governed):
        raise TypeError(_check.message("driven", driven, "a Control or Scheduler"))
    driven._settle()
    driver = driven._governor.driver
    found: list[dict[str, float]] = [{} for _ in driver.names]
    for line in driver.lines.values():
        for member, share, schedule, effective in zip(
            line.members, line.shares, line.schedules, line.effective, strict=True
        ):
            if share.held is not None:
                problem = f"{line.name} of {driver.names[member]} is held at {share.held:g} by hand"
                raise ValueError(f"{problem}, whatever its base and schedule are; release it first")
            found[member][line.name] = share.base if schedule.is_absolute else effective
    return found
