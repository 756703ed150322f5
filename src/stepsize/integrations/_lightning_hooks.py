"""The Lightning callback at the trainer's hooks."""

import logging
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from stepsize.control import Commands, Scheduler, loaded_bases
from stepsize.integrations._find_lightning import attribute_of, put_attribute
from stepsize.integrations._given import go_on
from stepsize.integrations._search_lightning import check_forks, find_now, fork_now
from stepsize.integrations._searched import found_or_raise, largest_rate, write_rates
from stepsize.integrations._steered import LOOP, is_over, steered
from stepsize.integrations._verified import Verifier
from stepsize.search import Finding
from stepsize.state import on_loan

LOG = "lightning.pytorch"


@dataclass(frozen=True)
class Given:
    """The callback's arguments, by the optimizers' places; under None those for all."""

    plans: Mapping[int | None, dict[str, Any]]
    lengths: Mapping[str, Mapping[int | None, float]]
    count: int | None = None  # of the optimizers, where the plans came as a list

    def of(self, place: int, total: float | None) -> dict[str, Any] | None:
        """The arguments of one optimizer's scheduler; None where it is left alone."""
        plan = self.plans.get(place, self.plans.get(None))
        if plan is None:
            return None
        lengths = {name: by.get(place, by.get(None)) for name, by in self.lengths.items()}
        return {**plan, **lengths, "total": lengths["total"] or total}

    def check(self, count: int) -> None:
        """Raise unless the module has the optimizers that the plans and lengths are for."""
        if self.count not in (None, count):
            raise ValueError(
                f"plans has {self.count} and the module {count} optimizers; give a plan for each, and None for one "
                "that is left alone"
            )
        for name, by in {"plans": self.plans, **self.lengths}.items():
            beyond = [place for place in by if place is not None and place >= count]
            if beyond:
                problem = f"{name} has one for optimizer {beyond[0]}, and the module has {count}"
                raise ValueError(f"{problem}; optimizers are counted from 0, as configure_optimizers returns them")


class Hooks:
    """Drives the trainer's optimizers."""

    state_key = "stepsize"

    def __init__(
        self,
        given: Given,
        resume: dict[str, str],
        find: dict[str, Any] | None,
        steer: Path | None,
        verify: bool | str,
    ) -> None:
        self.given, self.resume, self.find, self.steer, self.verify = given, resume, find, steer, verify
        self.verified: Finding | None = None
        self._verifier = Verifier(verify, LOG) if verify else None
        self.commands: list[Commands] = []  # of each optimizer that is driven, where they are steered
        self.finding: Finding | None = None
        self._searches = False  # at the first batch of this run
        self.schedulers: list[Scheduler | None] = []  # of each optimizer; None where it is left alone
        self._handles: list[Any] = []
        self._saved: list[Any] | None = None
        self._validated = False  # in this run
        self._measured: dict[int, str] = {}  # after what the measure of each optimizer's feedback comes

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Forget checkpoints of other runs; that of this one, if there is one, is loaded after this."""
        self._saved, self._validated, self._measured = None, False, {}

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Put a scheduler behind each optimizer: it steps whenever its optimizer has."""
        if trainer.lr_scheduler_configs:
            name = type(trainer.lr_scheduler_configs[0].scheduler).__name__
            raise ValueError(
                f"the module has a scheduler of its own, {name}, and one rate has one driver; return the optimizer "
                "alone from configure_optimizers, or leave the callback out"
            )
        self.given.check(len(trainer.optimizers))
        for optimizer in trainer.optimizers if self.find is not None else ():
            for base in loaded_bases(optimizer):  # of the checkpoint: found then, and it holds
                optimizer.defaults["lr"] = base
        self._drive(trainer)
        self._go_on(trainer.global_step)
        self._searches = self.find is not None and not trainer.global_step
        if self._verifier is not None:
            self.verified = None
            totals = [one.total for one in self.schedulers if one is not None]
            if self._verifier.begin((totals or [trainer.estimated_stepping_batches])[0], trainer.global_step):
                check_forks(trainer)

    def _drive(self, trainer: Any) -> None:
        """Drive the trainer's optimizers from the rates they have."""
        self._let_go()
        length = trainer.estimated_stepping_batches
        for place, optimizer in enumerate(trainer.optimizers):
            parts = self.given.of(place, length if 0 < length < math.inf else None)
            own = None if parts is None else Scheduler(optimizer, **parts)
            self.schedulers.append(own)
            if own is not None and self.steer is not None:
                one = len(trainer.optimizers) == 1
                self.commands.append(steered(own, self.steer if one else self.steer / f"optimizer{place}", LOOP))
            if own is not None:
                step = partial(_step, own)
                self._handles.append(optimizer.register_step_post_hook(step))

    def _let_go(self) -> None:
        for handle in self._handles:
            handle.remove()
        for scheduler in filter(None, self.schedulers):
            scheduler.detach()
        self._handles, self.schedulers, self.commands = [], [], []

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Find the rate before the first batch, or try others on the way, where that is wanted."""
        if self._searches:
            self._find(trainer, pl_module)
        if self._verifier is not None and self._verifier.is_due(trainer.global_step):
            self._try(trainer, self._verifier)

    def _find(self, trainer: Any, pl_module: Any) -> None:
        """Find the rate, and begin the schedule from it."""
        self._searches = False
        lengths = {name: by.get(None) for name, by in self.given.lengths.items()}  # the search's clock is batches
        plan = {**self.given.plans[None], "per_epoch": lengths["per_epoch"]}
        self._let_go()
        self.finding = find_now(trainer, plan, lengths["total"], self.find or {})
        rate, largest = found_or_raise(self.finding), largest_rate(trainer.optimizers)
        write_rates(trainer.optimizers, rate)
        attribute = attribute_of(pl_module, None)
        if attribute is not None:
            put_attribute(pl_module, attribute, rate, largest)
        self._drive(trainer)
        logging.getLogger(LOG).info("%s", self.finding)
        for logger in trainer.loggers:
            logger.log_metrics({"found_rate": rate}, step=0)

    def _try(self, trainer: Any, verifier: Verifier) -> None:
        """Try other rates by forks of the run."""
        scheduler = self.schedulers[0]
        if scheduler is None:
            return
        self.verified = verifier.look(scheduler, trainer.optimizers[0], partial(fork_now, trainer))
        if self.verified is not None:
            for logger in trainer.loggers:
                logger.log_metrics({"verified_rate": self.verified.rate}, step=trainer.global_step)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Hand on to the trainer what commands want of it."""
        if not self.commands:
            return
        driven = [scheduler for scheduler in self.schedulers if scheduler is not None]
        stops = [scheduler.asked("stop") for scheduler in driven]  # each is asked
        saves = [scheduler.asked("checkpoint") for scheduler in driven]
        over = all(map(is_over, driven)) and trainer.global_step < trainer.estimated_stepping_batches
        if any(stops) or over:
            trainer.should_stop = True
        if any(stops) or any(saves) or over:
            beside = trainer.checkpoint_callback and trainer.checkpoint_callback.dirpath
            place = Path(beside or trainer.default_root_dir)
            trainer.save_checkpoint(place / f"steered-step={trainer.global_step}.ckpt")

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Say in the folder that the run has ended."""
        for commands in self.commands:
            commands.close()

    def _go_on(self, step: int) -> None:
        if self._saved is None:
            if step:
                warnings.warn(
                    f"training goes on at step {step}, and no state of this callback was saved there, so that the "
                    "schedule begins anew; train with it from the beginning, or load the weights alone",
                    stacklevel=2,
                )
            return
        if len(self._saved) != len(self.schedulers):
            problem = f"the checkpoint is of {len(self._saved)} optimizers, and the module has {len(self.schedulers)}"
            raise ValueError(f"{problem}; configure as many as it was saved with")
        for place, (scheduler, state) in enumerate(zip(self.schedulers, self._saved, strict=True)):
            if (scheduler is None) is not (state is None):
                was, now = ("left alone", "driven") if state is None else ("driven", "left alone")
                raise ValueError(
                    f"optimizer {place} was {was} when the checkpoint was saved and is {now} now; give plans for the "
                    "same optimizers"
                )
            if scheduler is not None:
                go_on(scheduler, state, self.resume, "lightning_callback")

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Hand feedback what was logged in validation."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._validated = True
            self._observe(trainer.callback_metrics, "validation")

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Hand feedback what was logged in training; by now its measure must have come, if anything was validated."""
        self._observe(trainer.callback_metrics, "epoch")
        if self._validated or not trainer.enable_validation:
            self._refuse_unmeasured(trainer.callback_metrics)

    def _observe(self, logged: Mapping[str, Any], after: str) -> None:
        for place, scheduler in enumerate(self.schedulers):
            feedback = None if scheduler is None else scheduler.plan.feedback
            if scheduler is None or feedback is None or feedback.of not in logged:
                continue
            if self._measured.setdefault(place, after) == after:  # what is logged in training stays there till the next
                scheduler.observe(**{feedback.of: logged[feedback.of]})

    def _refuse_unmeasured(self, logged: Mapping[str, Any]) -> None:
        for place, scheduler in enumerate(self.schedulers):
            feedback = None if scheduler is None else scheduler.plan.feedback
            if scheduler is not None and feedback is not None and place not in self._measured:
                there = ", ".join(map(repr, sorted(logged))) or "nothing"
                scheduler.detach()  # this run ends here
                raise ValueError(
                    f"feedback looks at {feedback.of!r}, and the module has logged {there} by now; call "
                    f"self.log({feedback.of!r}, ...) in validation_step, or name another with of="
                )

    def state_dict(self) -> dict[str, Any]:
        """The state of every scheduler, as small plain data."""
        return {"schedulers": [scheduler and scheduler.state_dict() for scheduler in self.schedulers]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Keep the states until there are optimizers."""
        self._saved = list(state_dict["schedulers"])


def _step(scheduler: Scheduler, optimizer: Any, *_: Any) -> None:
    """Step a scheduler after its optimizer, unless that step will be rolled back."""
    if not on_loan(optimizer):
        scheduler.step()
