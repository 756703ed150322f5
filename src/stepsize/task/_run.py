"""A supervised run: the loop around Control that a task's callables are trained by, exactly resumable."""

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from functools import partial, reduce
from itertools import islice
from operator import add
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from stepsize import _check
from stepsize.control import Bus, Commands, Control, DivergedError, Observer, bus_of
from stepsize.optim import needs_closure
from stepsize.state import RandomState, evaluating, own_randomness
from stepsize.task._axes import check_takes
from stepsize.task._contract import Resumable, Trial
from stepsize.task._distributed import device_here, the_firsts
from stepsize.task._faces import Supervised
from stepsize.task._given import batches_of, check_gradients, figures, measured, model_of, next_of, number, probe_of
from stepsize.task._joint import Joint, Wants, placed, random_of, stream, who
from stepsize.task._own import with_settings
from stepsize.task._part import check_same, check_size, part
from stepsize.task._ranks import leads, ranks
from stepsize.task._saved import by_name, check_state, loaded, longest
from stepsize.task._settings import optimizers_of_trial, plan_of
from stepsize.task._whole import model_parts, optimizer_parts, whole

PROBE = 0x5EED  # makes the order of probe batches another one than that of training
SCORED = 24  # batches that a run is scored on whose task has no score


def check_device(device: Any) -> torch.device:
    """The device of a text, or an error that says what there is.

    Args:
        device: such as ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.

    Raises:
        TypeError, ValueError: it is no device, or not there.
    """
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError):
        raise ValueError(_check.message("device", device, 'a device of torch, such as "cpu" or "cuda"')) from None
    there = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if (found.index or 0) >= there.get(found.type, 0):
        names = [name for name, count in there.items() if count]
        raise ValueError(_check.message("device", device, f"one that is here: {', '.join(names)}"))
    return found


class SupervisedRun:
    """A trial of a supervised task under way."""

    def __init__(self, task: Supervised, trial: Trial, watch: Iterable[Observer]) -> None:
        if trial.task != task.name:
            raise ValueError(_check.message("trial", trial.task, f"one of the task {task.name!r}"))
        if "lr" not in trial.settings:
            raise ValueError(_check.message("settings", trial.settings, "with a rate", 'add {"lr": ...}'))
        check_takes(task, trial.settings)
        self.trial = trial
        bus = bus_of(watch)
        self.bus = bus if leads() else Bus()  # of several processes the first alone writes
        self._wants = None
        if ranks().shard:
            self._wants = Wants(self.bus.observers)
            self.bus = Bus([*self.bus, self._wants])
        size = trial.settings.get("batch_size")
        plan, per_epoch = plan_of(task, trial), task.epoch(size)
        self.task = task = with_settings(task, trial.settings)
        plan.over(trial.steps, per_epoch)  # a plan that does not fit is refused before anything is built
        self.size = size or task.batch_size
        check_size(self.size)
        self.device = check_device(device_here(task.device))
        with own_randomness(RandomState.seeded(trial.seed)) as ended:
            self.model = placed(model_of(task).to(self.device))
            self.optimizers = optimizers_of_trial(task, trial.settings, self.model)
            self.batches = self._fresh_batches()
        self._random = stream(ended[0], trial.seed)
        self._joint = Joint(task, self.model)
        self._done = 0
        self._needs_closure = any(map(needs_closure, self.optimizers.values()))
        self.is_guarded, self.ended = plan.guard is not None, ""
        if self.is_guarded and ranks().shard:
            raise ValueError("guard does not go with weights that are sharded over processes; leave guard or shard out")
        self.control = Control(
            self.optimizers if len(self.optimizers) > 1 else self.optimizer,
            plan=plan,
            total=trial.steps,
            per_epoch=per_epoch,
            model=self.model if self.is_guarded else None,
            watch=self.bus,
            remind=False,
        )

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer, or the first of several."""
        return next(iter(self.optimizers.values()))

    @property
    def done(self) -> int:
        """Steps so far."""
        return self._done

    @property
    def random(self) -> RandomState:
        """The iterator it draws from next."""
        return self._random

    @property
    def why_not_batched(self) -> str:
        """Why its steps are its own; empty where they can be taken together with those of others."""
        return "" if type(self) is SupervisedRun else "its runs are not the supervised builder's"

    def drawn(self, count: int) -> list[Any]:
        """Its next batches, on its device; its random state moves past them."""
        with own_randomness(self._random) as ended:
            batches = [to_device(self._next_batch(), self.device) for _ in range(count)]
        self._random = ended[0]
        return batches

    def fresh(self, count: int) -> list[Any]:
        """Its first batches, drawn beside those that it trains on."""
        with own_randomness(RandomState.seeded(self.trial.seed)):
            return [to_device(batch, self.device) for batch in islice(self._fresh_batches(), count)]

    def catch_up(self, leader: "SupervisedRun", done: int, clock: bool) -> None:
        """Be where steps done elsewhere have led: its batches where a leader's are, its clock too if asked."""
        self.batches, self._random = leader.batches, leader._random
        if clock:
            self.control.catch_up(done - self._done)
        self._done = done

    @property
    def total(self) -> int:
        """How many steps the run has, which commands may change."""
        total = self.control.total
        return self.trial.steps if total is None else math.ceil(total * (1 - 1e-12))

    def steer_by(self, commands: Commands) -> None:
        """Take commands from now on; ``advance`` then ends early where one wants something of its caller."""
        self.control.steer_by(commands)

    def asked(self, verb: str) -> bool:
        """Whether a command wants this of its caller; true once."""
        return self.control.asked(verb)

    def _fresh_batches(self) -> Iterator[Any]:
        generator = torch.Generator().manual_seed(self.trial.seed)
        return batches_of(self.task, generator, self.size)

    def advance(self, steps: int) -> list[float]:
        losses: list[Tensor] = []
        with own_randomness(self._random) as ended:
            self.model.train()
            if self._wants is not None:
                self._wants.agree(self._done, steps)
            total = self.total
            for index in range(steps):
                losses.append(self._step(check=index == 0))
                if self.ended or self.control.asked() or self.total != total:  # a command wants something of the caller
                    break
        self._random = ended[0]
        numbers: list[float] = torch.stack(losses).tolist() if losses else []
        if self.is_guarded:  # which goes back from losses that are not finite
            return numbers
        broken = next((index for index, loss in enumerate(numbers, 1) if not math.isfinite(loss)), len(numbers))
        return numbers[:broken]

    def _step(self, check: bool) -> Tensor:
        batches = (self._prepared(check) for _ in range(self.task.accumulate))
        if self._needs_closure:
            total = self._with_closure(list(batches))
        else:
            kept: list[tuple[Any, RandomState]] | None = [] if self.control.wants_again() else None
            total = self._backward(batches, kept)
            if check and not self._done:
                check_gradients(self.task, self.model.parameters())
            self._controlled(total, None if kept is None else self._again(kept))
        self._done += 1
        return total

    def _with_closure(self, batches: list[Any]) -> Tensor:
        """An update whose optimizer evaluates these batches as often as it likes; the loss of the first time."""
        losses: list[Tensor] = []

        def closure() -> Tensor:
            self.optimizer.zero_grad()
            losses.append(self._backward(batches))
            return losses[-1]

        self._controlled(closure)
        return losses[0]

    def _controlled(self, loss: Any, again: list[Callable[[], Tensor]] | None = None) -> None:
        """An update under control; where its guard gives up, the run has ended."""
        try:
            self.control.step(loss, again=again)
        except DivergedError as error:
            self.ended = str(error)

    def _prepared(self, check: bool) -> Any:
        """This process's part of the next batch, on its device."""
        batch = self._next_batch()
        if check:
            check_same(self.task, batch)
        return to_device(part(batch, self.size), self.device)

    def _backward(self, batches: Iterable[Any], kept: list[tuple[Any, RandomState]] | None = None) -> Tensor:
        """The gradients of an update, and its loss over all processes; batches are kept with where draws begin."""
        task, losses = self.task, []
        for place, batch in enumerate(batches, 1):
            if kept is not None:
                kept.append((batch, RandomState.now()))
            with torch.autocast(self.device.type, torch.bfloat16, enabled=task.amp):
                loss = self._joint(batch, last=place == task.accumulate)
            share = loss if task.accumulate == 1 else loss / task.accumulate
            share.backward()  # type: ignore[no-untyped-call]
            losses.append(share.detach())
        return self._joint.mean(reduce(add, losses))

    def _again(self, kept: list[tuple[Any, RandomState]]) -> list[Callable[[], Tensor]]:
        """Functions that compute the losses of these batches again, from the same random numbers."""
        return [partial(self._share_again, *shared, last=shared is kept[-1]) for shared in kept]

    def _share_again(self, batch: Any, state: RandomState, last: bool) -> Tensor:
        with own_randomness(state), torch.autocast(self.device.type, torch.bfloat16, enabled=self.task.amp):
            return self._joint.alone(batch, last) / self.task.accumulate

    def _next_batch(self) -> Any:
        return next_of(self.task, self.batches)

    def score(self) -> float:
        if self.task.score is None:
            losses = self._losses(SCORED, seed=PROBE)
            return sum(losses) / len(losses)
        return the_firsts(number(self.task, "score(...)", self._measure(self.task.score)))

    def metrics(self) -> dict[str, float]:
        measure = self.task.metrics
        return {} if measure is None else the_firsts(figures(self.task, "metrics(...)", self._measure(measure)))

    def test(self) -> dict[str, float]:
        """Figures on data that nothing is chosen by."""
        measure = self.task.test
        return {} if measure is None else the_firsts(figures(self.task, "test(...)", self._measure(measure)))

    def probe(self, batches: int) -> tuple[float, ...]:
        """The loss on each of so many batches, in eval mode: the same ones for every trial of a seed and batch size.

        They are drawn anew, in an order of their own; cheaper than a score where the training set is large.
        """
        return self._losses(batches, seed=self.trial.seed ^ PROBE)

    def _losses(self, batches: int, seed: int) -> tuple[float, ...]:
        """The loss on each of some batches that are drawn from a seed of their own, in eval mode."""
        generator = torch.Generator().manual_seed(seed)

        def losses(model: nn.Module) -> tuple[float, ...]:
            task = self.task
            drawn = probe_of(task, generator, self.size, batches)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=task.amp):
                return tuple(float(measured(task, model, to_device(batch, self.device))) for batch in drawn)

        return the_firsts(self._measure(losses))

    def observe(self, **values: float) -> None:
        self.control.observe(**values)
        self.control.decide()

    def state(self) -> dict[str, Any]:
        batches = self.batches.state_dict() if isinstance(self.batches, Resumable) else None
        return {
            "model": whole(self.model.state_dict()),
            "optimizer": self._of_each(lambda _, optimizer: whole(optimizer.state_dict())),
            "control": self.control.state_dict(),
            "random": self._random.state_dict(),
            "batches": batches,
            "done": self._done,
            **who(self._random),
        }

    def _of_each(self, call: Callable[[str, Optimizer], Any]) -> Any:
        """The result of a call on the optimizer, or of several by name."""
        found = {name: call(name, optimizer) for name, optimizer in self.optimizers.items()}
        return found if len(found) > 1 else next(iter(found.values()))

    def load_state(self, state: Mapping[str, Any]) -> None:
        unfit = f"state does not fit the task {self.task.name!r} as it is now"
        loaded(unfit, lambda: check_state(state, longest(state, self.trial.steps), self.model, self.optimizers))
        random = random_of(state)
        self.control.load_state_dict(state["control"])
        if self.total != self.trial.steps and state["control"].get("commands") is None:
            raise ValueError(
                f"total of control of state must be that of the trial, {self.trial.steps}, got {self.control.total:g}"
            )
        if self.control.position != state["done"]:
            raise ValueError(f"position of control of state must be done, {state['done']}, got {self.control.position}")
        loaded(unfit, lambda: self.model.load_state_dict(model_parts(state["model"], self.model)))
        # load_state_dict keeps the tensors it is given, and training changes them
        saved = by_name(copy.deepcopy(state["optimizer"]), self.optimizers)
        parts = {name: optimizer_parts(saved[name], optimizer) for name, optimizer in self.optimizers.items()}
        loaded(unfit, lambda: self._of_each(lambda name, own: own.load_state_dict(parts[name])))
        self._random = random
        self._done = int(state["done"])
        with own_randomness(RandomState.seeded(self.trial.seed)):
            self.batches = self._fresh_batches()
        batches = self.batches
        if state["batches"] is not None:
            if not isinstance(batches, Resumable):
                raise ValueError("batches of state are where they were, and those here cannot go on from there")
            loaded("batches of state", lambda: batches.load_state_dict(state["batches"]))
        else:
            self._draw_again(self._done * self.task.accumulate)
        for event in self.control.log:  # what observers of a run that was stopped here may not have kept
            if event.step >= self._done:
                self.bus.send(event.record())

    def _draw_again(self, count: int) -> None:
        before = RandomState.seeded(self.trial.seed)
        with own_randomness(before) as ended:
            for _ in range(count):
                self._next_batch()
        if not ended[0].equals(before):
            raise ValueError(
                f"batches of the task {self.task.name!r} draw from the global generators, so that they cannot be put "
                "back where they were; draw from the generator they are given"
            )

    def _measure(self, function: Callable[[nn.Module], Any]) -> Any:
        # what a measurement draws is drawn again at the next one, and leaves training as it would have been
        with own_randomness(self._random), evaluating(self.model), torch.no_grad():
            return function(self.model)


def to_device(batch: Any, device: torch.device) -> Any:
    """A batch with its tensors on a device, each thing in it of the class that it was; the batch itself stays.

    Args:
        batch: what an iterator of batches gives: tensors, lists, tuples and mappings of them, and what has a ``to``.
        device: where to.
    """
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, Mapping):
        return _mapping(batch, {name: to_device(item, device) for name, item in batch.items()})
    if hasattr(batch, "to") and callable(batch.to):
        return copy.copy(batch).to(device)  # some change themselves
    if isinstance(batch, tuple | list):
        parts = [to_device(item, device) for item in batch]
        return type(batch)(*parts) if hasattr(batch, "_fields") else type(batch)(parts)
    return batch


def _mapping(batch: Mapping[Any, Any], moved: dict[Any, Any]) -> Any:
    """A mapping of the class of a batch, such as a tokenizer's, with other values."""
    if type(batch) is dict or not isinstance(batch, MutableMapping):
        return moved
    made = copy.copy(batch)
    made.update(moved)
    return made
