"""Control: the loop's one call. Clips, updates, zeroes, moves the clock, writes what comes next, tells observers."""

import inspect
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from stepsize import _check
from stepsize.control._again import Again, Repeats, losses_in
from stepsize.control._bus import NOTHING, Bus, bus_of, end_of, facts_of
from stepsize.control._course import BoundLike, CourseLike
from stepsize.control._given import clipping_at, optimizers_of, plan_of
from stepsize.control._governed import Governed
from stepsize.control._governor import Governor
from stepsize.control._hooks import unhook
from stepsize.control._observer import Observer, Record
from stepsize.control._parts import Parts
from stepsize.control._plan import Plan
from stepsize.control._records import Step, read
from stepsize.control._update import Closure, Updater
from stepsize.control._window import Window
from stepsize.control.feedback import Feedback
from stepsize.control.guarding import Guard, Guarding, Keeper
from stepsize.control.steering import Commands
from stepsize.optim import Clipper
from stepsize.schedule import Schedule

new_step = tuple.__new__  # twice as fast as the named tuple's own
Optimizers = Optimizer | Iterable[Optimizer] | Mapping[str, Optimizer]


class Control(Governed):
    """Keeps the learning rate of one or several optimizers where the plan says, step by step.

    Formula, for each driven hyperparameter of each parameter group:
        value = clip(base * schedule(position) * feedback * manual, floor, cap)

    The base is the group's own value when Control takes it over; feedback, manual changes, floor and cap are for the
    learning rate, and feedback is the factor of all that look at the loss, a guard too. The value is derived anew each
    time, never read back: a group added later, a checkpoint loaded before or after the optimizer's, a step run twice
    cannot make it wrong. ``absolute(schedule)`` gives the rate itself, whatever the base. A base of 0 stays 0.

    Args:
        optimizer: any torch optimizer, a list of them or a mapping by name, which are stepped together and clipped by
            their common norm. Tensor rates stay the same tensors. With several, groups are called ``name/group``.
        lr: a schedule or its text, such as ``warmup(500) >> cosine()``; a list with one for each parameter group; or a
            mapping from the groups' names (patterns such as ``"*"`` too) or indices, where None leaves groups alone;
            constant when left out. Or a plan, as ``from_torch`` may give, which the other arguments complete.
        momentum: the same for the momentum (beta1 for Adam's kin); left alone when left out.
        weight_decay: the same for the weight decay; left alone when left out.
        clip: the largest global gradient norm let through: a number > 0 or a schedule; or another way of clipping, such
            as ``value_clipping(0.5)`` or ``adaptive_clipping(0.01)`` of ``stepsize.optim``; none when left out.
        feedback: what looks at the loss, such as ``plateau(patience=5)`` or its text. With several processes all ranks
            take one decision, exchanged in ``step``, so that every rank must call it.
        guard: what goes back to the last good state where the run diverges, with a lower rate, such as
            ``guard(returns=3)`` or its text; none when left out. It reads the losses back every few updates.
        model: the module whose buffers, such as BatchNorm's statistics, a guard puts back beside the optimizers'
            parameters.
        floor: the smallest learning rate: a number, a schedule that gives it, or one by group.
        cap: the largest learning rate, likewise.
        total: the run's length on its clock, > 0; needed by schedules with an open or relative length.
        per_epoch: positions in an epoch, > 0; needed by lengths such as ``"3ep"``.
        accumulate: calls of ``step`` to one update, >= 1. Divide the loss by it yourself.
        scaler: the ``torch.amp.GradScaler`` that scales the loss; ``step`` unscales, steps and updates it. A step that
            it leaves out does not move the clock.
        watch: an observer, such as ``TensorBoard("runs/a")``, or several.
        zero: whether ``step`` also zeroes the gradients after the update.
        foreign: when something else writes a driven value: ``"warn"`` once and keep the plan, ``"raise"``, or
            ``"adopt"`` it as a change by hand. Noticed without reading from the device.
        plan: all of lr to cap and others as one ``Plan`` or its text, instead of them.
        nonfinite: what to do about gradients that are not finite: ``"skip"``: leave the step out, and count it in
            ``skipped``; ``"raise"`` FloatingPointError before anything is changed; nothing when left out. Both read one
            number back from the device at each step.
        position: where the clock begins, >= 0, for a run that was begun without stepsize (its number of updates; see
            ``position_of`` for torch's schedulers); 0 when left out. The count of steps begins there too.
        remind: whether to warn, once, of training past the total or stopping below 90 % of it, of feedback that is
            given nothing, and of groups whose base is 0.
        steer: the folder from which the run can be steered while it trains, by ``stepsize steer FOLDER scale 0.5`` or
            ``Steer(folder)``; or ``Commands`` of it, which say what the loop does too. With several processes the first
            one reads, and every one must call ``step``.
        others: any other number in the groups, such as ``beta2`` or ``eps``, as for lr.

    Raises:
        TypeError, ValueError: an argument is invalid, or the optimizer is under control already.

    Example:
        >>> import torch
        >>> from stepsize import Control, cosine, warmup
        >>> model = torch.nn.Linear(3, 1)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> control = Control(optimizer, lr=warmup("10%") >> cosine(), total=3, clip=1.0)
        >>> for _ in range(3):
        ...     loss = model(torch.ones(4, 3)).square().mean()
        ...     loss.backward()
        ...     step = control.step(loss)
        >>> step.position, control.position
        (2.0, 3.0)
        >>> control.rates
        {'group0': 0.0}
    """

    def __init__(
        self,
        optimizer: Optimizers,
        *,
        lr: CourseLike | Plan | None = None,
        momentum: CourseLike | None = None,
        weight_decay: CourseLike | None = None,
        clip: float | Schedule | Clipper | str | None = None,
        feedback: Feedback | str | None = None,
        guard: Guard | str | None = None,
        model: nn.Module | None = None,
        floor: BoundLike | None = None,
        cap: BoundLike | None = None,
        total: float | None = None,
        per_epoch: float | None = None,
        accumulate: int = 1,
        scaler: torch.amp.GradScaler | None = None,
        watch: Observer | Iterable[Observer] | Bus | None = None,
        zero: bool = True,
        foreign: str = "warn",
        plan: Plan | str | None = None,
        nonfinite: str | None = None,
        position: float | None = None,
        remind: bool = True,
        steer: Path | str | Commands | None = None,
        **others: CourseLike,
    ) -> None:
        optimizers = optimizers_of(optimizer)
        if not isinstance(zero, bool):
            raise TypeError(_check.message("zero", zero, "True or False"))
        if scaler is not None and not isinstance(scaler, torch.amp.GradScaler):
            raise TypeError(_check.message("scaler", scaler, "a torch.amp.GradScaler"))
        self._accumulate = _check.whole("accumulate", accumulate, least=1)
        self._bus = bus_of(watch)
        self._updater = Updater(optimizers, scaler, nonfinite)
        parts = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "clip": clip,
            "feedback": feedback,
            "guard": guard,
            "floor": floor,
            "cap": cap,
            **others,
        }
        for name, part in others.items():
            if not isinstance(part, Schedule | str | Iterable):
                known = [key for key in inspect.signature(type(self)).parameters if key != "others"]
                raise TypeError(f"Control has no parameter {name!r}; {_check.closest(name, known)}")
        plan = plan_of(plan, {name: part for name, part in parts.items() if part is not None})
        self._governor = Governor(optimizers, plan, total, per_epoch, foreign, self._bus, remind, position)
        self._driver = self._governor.driver
        if self._bus.observers:
            self._bus.about(partial(facts_of, weakref.ref(self._driver)))
            self._end_watch = weakref.finalize(self, end_of, self._bus, self._driver)
        self._end_hooks = weakref.finalize(self, unhook, self._updater.beside.listen())
        if steer is not None:
            self.steer_by(steer)
        self._zero = zero
        self._waited = 0.0  # what calls that a wrapper left out have said of the clock
        self._window = Window()
        self._repeats = Repeats(self._bus)
        self._model = model
        self._guard = self._guarding()
        self._parts = Parts(self._updater.parameters, scaler, self._bus)
        self._parts.ready(self._driver.steps)
        self._unsettled: tuple[Tensor, float] | None = None  # an update of which only the device knows whether it was

    def _guarding(self) -> Guarding | None:
        """What the plan's guard does; its updates are never the plain ones."""
        plan, updater, model = self._driver.plan.guard, self._updater, self._model
        if not isinstance(model, nn.Module | None):
            raise TypeError(_check.message("model", model, "a torch.nn.Module", "several: give one nn.ModuleList"))
        if plan is None and model is not None:
            raise ValueError("model is what a guard puts back, and there is none; give guard=, or leave model out")
        updater.is_plain = updater.can_be_plain and plan is None
        if plan is None:
            return None
        keeper = Keeper(updater.optimizers, updater.parameters, model, updater.scaler)
        return Guarding(plan, self._driver, keeper)

    @property
    def position(self) -> float:
        """The clock: what was consumed so far, in steps unless ``step(advance=...)`` says otherwise."""
        self._settle()
        return self._driver.position

    @property
    def rates(self) -> dict[str, float]:
        """The learning rate of each group at the present position, by group name; reads nothing from the device."""
        self._settle()
        self._driver.check()
        return self._driver.rates

    @property
    def skipped(self) -> int:
        """How many updates were left out because gradients were not finite."""
        self._settle()
        return self._driver.skipped

    def step(
        self,
        loss: Tensor | float | Closure | None = None,
        advance: float | None = None,
        to: float | None = None,
        again: Callable[[], Tensor] | Sequence[Callable[[], Tensor]] | None = None,
    ) -> Step:
        """Clip, update, zero the gradients, advance the clock, write the next values, tell the observers.

        Args:
            loss: this step's loss, a number or a tensor of one element, for observers and feedback; may be missing. It
                is read back only at steps that an observer wants, and each time by feedback that looks at it. For
                optimizers such as LBFGS, the closure that computes gradients and returns the loss.
            advance: what this step consumes of the clock, > 0: the batch's samples or tokens where the clock counts
                these; 1 for each update when left out.
            to: where the clock is after this update, in place of ``advance``, for loops that keep a count of their own:
                ``control.step(loss, to=iteration + 1)``. Above the present position.
            again: computes the same loss of the same batch once more, such as ``lambda: loss_fn(model(x), y)``, or
                several that do so part by part, for signals that look along the update (``curvature``,
                ``decrease_ratio``). Called at steps only of which an observer wants these; gradients, buffers such as
                BatchNorm's statistics and random numbers are then as if it had not been. Divided and cast as the loss
                is, but not scaled by a scaler. With several processes every rank hands it over, and the first one's
                observers decide.

        Raises:
            TypeError, ValueError: loss is not one number; advance is not a finite number > 0; ``to`` is not above the
                present position; the optimizer needs a closure or cannot take one; again is no function, or returns no
                loss.
            RuntimeError: the control was detached.
            FloatingPointError: the gradients are not finite, and ``nonfinite="raise"`` was asked for.
            DivergedError: the run has diverged more often than its guard may go back.
        """
        closure: Closure | None = None
        if self._driver.detached:
            self._driver.refuse_detached()
        if loss is not None:
            if callable(loss):
                closure, loss = loss, None
            else:
                _check.one_number("loss", loss)
        losses = () if again is None else losses_in(again)
        if self._updater.beside.outside:
            self._updater.beside.begin()
        if advance is not None:
            advance = _check.number("advance", advance, above=0)
        if to is not None:
            advance, self._waited = self._up_to(to, advance), 0.0
        if self._accumulate > 1:
            if closure is not None:
                raise ValueError(_check.message("loss", closure, "a loss, since a closure cannot be accumulated"))
            part = self._window.add(loss, advance, to is not None, losses)
            if self._window.calls < self._accumulate:
                return Step(self._driver.position, None, None, False, None, part)
            return self._flushed()
        if self._obey is not None and not self._obey.is_idle():
            self._obeyed()
        driver, updater = self._driver, self._updater
        looked_at = self._bus.observers or driver.plan.clip is not None or self._governor.steering is not None
        if looked_at or closure is not None or losses or self._parts.together or not updater.is_plain:
            return self._update(loss, closure, advance, losses)
        # what _update does, in short, where there is nothing to be looked at
        driver.check()
        position, names = driver.position, driver.rated
        values = driver.rates_now() if driver.leaves_alone else driver.lines["lr"].values
        updater.beside.inside = updater.beside.stepped = True
        for optimizer in updater.optimizers:
            optimizer.step()
        updater.beside.inside = False
        if self._zero:
            for optimizer in updater.optimizers:
                optimizer.zero_grad()
        driver.advance(1.0 if advance is None else advance)
        return new_step(Step, (position, None, None, True, None, loss, names, values))

    def _up_to(self, to: Any, advance: float | None) -> float:
        if advance is not None:
            raise ValueError(_check.message("to", to, "left out beside advance", "give one of them"))
        self._settle()
        here = self._driver.position
        to = _check.number("to", to, least=0)
        if not to > here:
            rule = f"above the present position, {here:g}"
            raise ValueError(_check.message("to", to, rule, "it is the clock's position after this update"))
        return float(to - here)

    def flush(self) -> Step | None:
        """Update with what has been accumulated so far, at the ragged end of an epoch; None if that is nothing."""
        return self._flushed() if self._window.calls else None

    def _flushed(self) -> Step:
        self._driver.refuse_detached()
        window, self._window = self._window, Window()
        if self._obey is not None and not self._obey.is_idle():
            self._obeyed()
        self._parts.calls = window.calls
        return self._update(window.loss, None, window.advance, window.losses())

    def _obeyed(self) -> None:
        """Do the commands that are due before this update."""
        self._settle()
        if self._obey is not None:
            self._obey()

    def wants_again(self) -> bool:
        """Whether the next update's batch will be evaluated once more; reads nothing back.

        A loop needs to ask only where handing the batch over costs something. With several processes every rank asks.

        Example:
            >>> import torch
            >>> from stepsize import Control
            >>> Control(torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=0.5)).wants_again()
            False
        """
        if not self._window.calls:
            self._parts.agree(self._driver.steps)
        return bool(self._repeats.wanted(self._driver.steps))

    def _update(self, loss: Any, closure: Closure | None, norm: float | None, losses: tuple[Any, ...] = ()) -> Step:
        driver, updater = self._driver, self._updater
        advance = 1.0 if norm is None else norm + self._waited
        if self._unsettled is not None:
            self._settle()
        driver.check()
        position, way, steering = driver.position, driver.plan.clip, self._governor.steering
        names, values = driver.rated, driver.rates_now() if driver.leaves_alone else driver.lines["lr"].values
        looks = steering is not None and steering.feedback.of == "loss"
        if looks and loss is None and closure is None:
            raise ValueError("feedback looks at the loss of every step; call control.step(loss)")
        guard = self._guard
        if guard is not None:
            if loss is None and closure is None:
                raise ValueError("guard looks at the loss of every step; call control.step(loss)")
            guard.begin(steering)
        wanted = self._repeats.wanted(driver.steps) if losses and closure is None else NOTHING
        again = Again(losses, updater.parameters(), updater.scaler, self._repeats, wanted) if wanted else None
        known = {"driven": driver.driven, "skipped": driver.skipped, "total": driver.total}
        known |= {"parts": self._parts if self._parts.listens else None, "again": again}
        look = self._bus.look(driver.steps, position, driver.groups, **known)
        threshold, clip = clipping_at(way, position)
        updated = updater(closure, clip, look is not None and look.needs_norm)
        if closure is not None:
            loss = updated.loss
        if updated.done is False:
            look = None
        if look is not None:
            look.measure(loss, dict(zip(names, values, strict=True)), updated.norm, updated.factor)
        if self._zero:
            updater.zero_grad()
        self._waited = advance if updated.waits and norm is not None else 0.0
        if updated.done is True:
            driver.advance(advance)
        elif not updated.waits:
            self._unsure(updated.done, advance)
        if steering is not None and not updated.waits:  # a loss whose gradients were not finite says nothing
            looked = {"loss": read(loss)} if looks and updated.done is not False else None
            self._governor.steer(looked, True, position, updater.device)
        if look is not None:
            look.tell()
        if guard is not None and not updated.waits:
            guard.end(loss, updated, steering)
        if not updated.waits:
            self._parts.ready(driver.steps)
        return Step(position, updated.norm, threshold, updated.done, updated.factor, loss, names, values)

    def _unsure(self, done: bool | Tensor, advance: float) -> None:
        """After an update that was left out, or of which only the device knows whether it was."""
        if done is False:
            who = "the scaler left the step out" if self._updater.nonfinite is None else "the step was left out"
            self._driver.skipped += 1
            self._driver.say("skipped", reason=f"the gradients were not finite, and {who}")
            return
        self._unsettled = done, self._driver.position  # type: ignore[assignment]
        self._driver.advance(advance)

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError(
            "a Control is tied to its loop, and cannot be copied or pickled; keep control.state_dict(), and load it "
            "into a Control over the copied optimizer"
        )

    def load_state_dict(
        self, state: Mapping[str, Any], *, base: str | None = None, plan: str | None = None, extend: str | None = None
    ) -> None:
        """Go on where the saved Control was, exactly; before or after the optimizer's own ``load_state_dict``.

        Where base, plan or total differ from the saved ones, say which is to hold; nothing is chosen silently.

        Args:
            state: from ``state_dict``.
            base: ``"saved"``, or ``"new"``: the optimizer's as it was built now.
            plan: ``"saved"``, or ``"new"``: this Control's own plan and total, at the saved position.
            extend: ``"keep"``, ``"stretch"`` or ``"cooldown"``: the way in which the saved plan goes on to this
                Control's total.

        Raises:
            TypeError, ValueError: it is no such state, or it differs and no choice was made. Nothing is changed then.
        """
        super().load_state_dict(state, base=base, plan=plan, extend=extend)
        self._guard = self._guarding()
        if self._guard is not None:
            self._guard.load(state.get("guard") if plan != "new" else None)
        self._window = Window()
        self._parts.ready(self._driver.steps)

    def state_dict(self) -> dict[str, Any]:
        """The whole state as small plain data, for ``torch.save`` and ``torch.load(weights_only=True)``.

        With a guard the last good state is in it too: the parameters and the optimizer's state, as they were.
        Gradients that are being accumulated are not in it: save after an update, or call ``flush`` first.
        """
        state = super().state_dict()
        return state if self._guard is None else {**state, "guard": self._guard.state()}

    def _settle(self) -> None:
        """Ask the device whether the last update was one, if nobody else knows, before the clock is read again."""
        if self._unsettled is None:
            return
        done, position = self._unsettled
        self._unsettled = None
        if not bool(done):
            self._governor.retreat(position)
            self._unsure(False, 0.0)

    def observe(self, **values: float | Tensor) -> None:
        """Hand measured values, such as validation losses, to observers and feedback. Tensors are read back.

        With several processes it may be called on one rank alone: what feedback makes of it is agreed in the next step.

        Args:
            values: by name, a number or a tensor of one element each.

        Raises:
            TypeError: a value is not one number.
            ValueError: feedback looks at a name that is not among them.
        """
        for name, value in values.items():
            _check.one_number(name, value)
        numbers = {name: read(value) for name, value in values.items()}
        steering = self._governor.steering
        if steering is not None and steering.feedback.of != "loss":
            self._governor.steer(numbers, now=not steering.together)
        self._bus.send(Record(self._driver.steps, self._driver.position, "observed", numbers))

    def catch_up(self, updates: int) -> None:
        """Move the clock past updates that were done elsewhere, by one position each, as where steps are batched.

        Args:
            updates: how many, >= 0.

        Raises:
            TypeError, ValueError: updates is no whole number >= 0.

        Example:
            >>> import torch
            >>> from stepsize import Control
            >>> control = Control(torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5), lr="linear()", total=4)
            >>> control.catch_up(3)
            >>> control.rates
            {'group0': 0.125}
        """
        self._settle()
        for _ in range(_check.whole("updates", updates, least=0)):
            self._driver.advance(1.0)

    def decide(self) -> None:
        """Let feedback decide now on what was observed, and not with the next step; every rank must call.

        With one process there is nothing to wait for, and ``observe`` has done it.
        """
        self._governor.steer(None, now=True, device=self._updater.device)

    def zero_grad(self) -> None:
        """Drop the gradients of all parameters; an accumulation window that was open begins anew."""
        self._window = Window()
        self._parts.clear()
        self._updater.zero_grad()

    def detach(self) -> None:
        """End control: the groups get their bases back, and another Control may take the optimizer over."""
        if self._bus.observers:
            self._end_watch()
        super().detach()
        self._end_hooks()
