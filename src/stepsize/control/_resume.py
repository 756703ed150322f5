"""Saving a run's course as small plain data, and going on from it: differences are choices, never silent."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from stepsize import _check
from stepsize.control._driver import Driver
from stepsize.control._extend import check_how, extended
from stepsize.control._line import Share
from stepsize.control._plan import Plan
from stepsize.control._saved import VERSION, check_feedback, check_state
from stepsize.control.feedback import Steering, as_feedback
from stepsize.control.feedback._protocol import Controller


@dataclass(frozen=True)
class Given:
    """What a control was built with, before it was laid over the run."""

    plan: Plan
    total: float | None
    per_epoch: float | None

    def laid(self) -> Plan:
        """The plan with all lengths as numbers."""
        return self.plan.over(self.total, self.per_epoch)


class DiffersError(ValueError):
    """The saved run and the present one differ, and no choice was made; what trainers' hooks say anew.

    Args:
        problem: what differs.
        choices: ``{"extend": ("keep", "stretch")}``: the words of ``Choice`` that answer it.
        remedy: how to choose where ``load_state_dict`` is called.
    """

    def __init__(self, problem: str, choices: Mapping[str, tuple[str, ...]], remedy: str) -> None:
        beside = f"on_resume(scheduler, {next(iter(choices))}=...) of stepsize.integrations"
        super().__init__(f"{problem}; {remedy}; where a trainer loads the state, {beside}")
        self.problem, self.choices, self.remedy = problem, choices, remedy

    def __reduce__(self) -> Any:
        return DiffersError, (self.problem, self.choices, self.remedy)

    def under(self, hook: str) -> ValueError:
        """The same, for those who use a trainer's hook, which takes choices as ``resume=``."""
        words = [f'{{"{name}": "{word}"}}' for name, group in self.choices.items() for word in group]
        return ValueError(f"{self.problem}; choose with {hook}(..., resume={' or '.join(words)})")


@dataclass(frozen=True)
class Choice:
    """What is to hold where the saved run and the present one differ; None: nothing may differ.

    Args:
        base: ``"saved"`` or ``"new"``.
        plan: ``"saved"`` or ``"new"``.
        extend: ``"keep"``, ``"stretch"`` or ``"cooldown"``.

    Raises:
        ValueError: there is no such choice, or a plan is chosen and extended.

    Example:
        >>> from stepsize.control import Choice
        >>> Choice.of({"extend": "stretch"})
        Choice(base=None, plan=None, extend='stretch')
    """

    base: str | None = None
    plan: str | None = None
    extend: str | None = None

    @staticmethod
    def of(words: Mapping[str, str | None]) -> "Choice":
        """A choice from named words."""
        known = [part.name for part in fields(Choice)]
        for word in words:
            if word not in known:
                raise TypeError(f"load_state_dict has no choice {word!r}; {_check.closest(word, known)}")
        return Choice(**words)

    def __post_init__(self) -> None:
        for name in ("base", "plan"):
            if getattr(self, name) not in (None, "saved", "new"):
                raise ValueError(_check.message(name, getattr(self, name), "'saved' or 'new'"))
        if self.extend is not None:
            check_how("extend", self.extend)
        if self.extend is not None and self.plan is not None:
            raise ValueError("extend= changes the saved plan, and plan= chooses one; give one of them")


def state_of(driver: Driver, given: Given, steering: Steering | None) -> dict[str, Any]:
    """The whole state as small plain data."""
    return {
        "version": VERSION,
        "position": driver.position,
        "steps": driver.steps,
        "skipped": driver.skipped,
        "shares": {name: list(map(_as_list, line.shares)) for name, line in driver.lines.items()},
        "written": {name: list(line.values) for name, line in driver.lines.items()},
        "given": {"plan": str(given.plan), "total": given.total, "per_epoch": given.per_epoch},
        "plan": str(driver.plan),
        "total": driver.total,
        "feedback": None if steering is None else steering.state_dict(),
        "log": driver.log.state(),
    }


def _as_list(share: Share) -> list[float | None]:
    return [share.base, share.taken, share.manual, share.held]


def load(state: Any, driver: Driver, given: Given, steering: Steering | None, choice: Choice) -> None:
    """Go on from a state; nothing is changed when it is refused."""
    check_state(state)
    steering_on = steering if state["feedback"] is not None and choice.plan != "new" else None
    if steering_on is not None and isinstance(steering_on.feedback, Controller):
        check_feedback(state["feedback"]["state"], steering_on.feedback.begin())
    driver.adopt()
    position, steps, skipped = float(state["position"]), int(state["steps"]), int(state.get("skipped", 0))
    plan, total = _plan_and_total(state, given, position, choice)
    shares = _shares(state, driver, choice)
    before = driver.plan
    try:
        driver.plan = plan
        driver.adopt()
    except ValueError:
        driver.plan = before
        driver.adopt()
        raise
    driver.position, driver.steps = position, steps
    driver.set_total(total)
    driver.skipped = skipped
    for name, own in shares.items():
        driver.lines[name].shares[:] = own
    if steering_on is not None:
        steering_on.load_state_dict(state["feedback"])
    driver.feedback = 1.0 if steering is None else steering.factor
    guarded = state.get("guard") if plan.guard is not None and choice.plan != "new" else None
    driver.guarded = 1.0 if guarded is None else float(guarded["factor"])
    driver.log.load(state["log"])
    driver.settling = True
    driver.refresh()
    chosen = ", ".join(f"{name}={value}" for name, value in vars(choice).items() if value is not None)
    if chosen:
        driver.say("resume", reason=chosen)


def _plan_and_total(state: Any, given: Given, position: float, choice: Choice) -> tuple[Plan, float | None]:
    saved = state["given"]
    if choice.plan is None:
        for name, now in (("plan", str(given.plan)), ("per_epoch", given.per_epoch)):
            if saved[name] != now:
                raise DiffersError(
                    f"{name} was {saved[name]!r} when the state was saved and is {now!r} now",
                    {"plan": ("saved", "new")},
                    'choose with load_state_dict(state, plan="saved" or plan="new")',
                )
        if given.total not in (saved["total"], state["total"]) and choice.extend is None:
            raise DiffersError(
                f"total was {state['total']!r} when the state was saved and is {given.total!r} now",
                {"extend": ("keep", "stretch", "cooldown"), "plan": ("new",)},
                'choose how to go on: load_state_dict(state, extend="keep", "stretch" or "cooldown"), or plan="new" '
                "for the new curve",
            )
    if choice.plan == "new":
        return given.laid(), given.total
    here = given.laid()
    same = str(here) == state["plan"]
    plan = here if same else _parse(state["plan"], given.plan, here)
    if choice.extend is None:
        return plan, state["total"]
    if given.total is None:
        raise ValueError("extend= leads to the new total, and this control was built without one; give total=")
    return extended(plan, position, state["total"], given.total, choice.extend), given.total


def _parse(text: str, given: Plan, laid: Plan) -> Plan:
    """The saved plan; functions, and feedback that has no text of its own, are those at hand."""
    lines = text.splitlines()
    feedback = next((line.removeprefix("feedback: ") for line in lines if line.startswith("feedback: ")), None)
    rest = "\n".join(line for line in lines if not line.startswith("feedback: "))
    try:
        plan = Plan.parse(rest, given.functions)
    except RecursionError:
        raise ValueError(_check.message("plan of state", rest, "a plan's text", "it is nested too deeply")) from None
    if feedback is not None:
        own = laid.feedback
        plan = plan.replaced(feedback=own if feedback == str(own) else as_feedback(feedback))
    return plan


def _shares(state: Any, driver: Driver, choice: Choice) -> dict[str, list[Share]]:
    shares = {}
    for hyperparameter, line in driver.lines.items():
        saved, written = state["shares"].get(hyperparameter), state["written"].get(hyperparameter)
        if saved is None and choice.plan == "new":
            continue
        saved, written = saved or [], written or []
        if not len(saved) == len(written) == len(line.members):
            raise ValueError(
                f"state has {len(saved)} parameter groups and the optimizer {len(line.members)}; build the optimizer "
                "with the groups it was saved with"
            )
        here = []
        names = [driver.names[member] for member in line.members]
        for name, share, (base, old, manual, held), last in zip(names, line.shares, saved, written, strict=True):
            # an optimizer loaded before the control was built carries what was last written: that is the same base
            same = share.taken == old or math.isclose(share.taken, last, rel_tol=1e-6)
            if not same and choice.base is None:
                what = "base rate" if hyperparameter == "lr" else f"base {hyperparameter}"
                raise DiffersError(
                    f"the {what} of {name} was {old!r} when the state was saved and is {share.taken!r} now",
                    {"base": ("saved", "new")},
                    'choose with load_state_dict(state, base="saved" or base="new")',
                )
            new = choice.base == "new" and not same
            bases = (share.taken, share.taken) if new else (float(base), float(old))
            here.append(Share(*bases, float(manual), held))
        shares[hyperparameter] = here
    return shares
