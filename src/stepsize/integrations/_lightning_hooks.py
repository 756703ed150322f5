"""What the Lightning callback does at the trainer's hooks."""

import math
import warnings
from collections.abc import Mapping
from typing import Any

from stepsize.control import Scheduler


class Hooks:
    """Drives the trainer's optimizers."""

    state_key = "stepsize"

    def __init__(self, given: dict[str, Any], resume: dict[str, str]) -> None:
        self.given, self.resume = given, resume
        self.schedulers: list[Scheduler] = []
        self._handles: list[Any] = []
        self._saved: list[Any] | None = None

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Forget checkpoints of other runs; that of this one, if there is one, is loaded after this."""
        self._saved = None

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Put a scheduler behind each optimizer: it steps whenever its optimizer has."""
        if trainer.lr_scheduler_configs:
            name = type(trainer.lr_scheduler_configs[0].scheduler).__name__
            raise ValueError(
                f"the module has a scheduler of its own, {name}, and one rate has one driver; return the optimizer "
                "alone from configure_optimizers, or leave the callback out"
            )
        for handle, scheduler in zip(self._handles, self.schedulers, strict=True):
            handle.remove()
            scheduler.detach()
        self._handles, self.schedulers = [], []
        length = trainer.estimated_stepping_batches
        given = {**self.given, "total": self.given["total"] or (length if 0 < length < math.inf else None)}
        for optimizer in trainer.optimizers:
            mine = Scheduler(optimizer, **given)
            self.schedulers.append(mine)
            self._handles.append(optimizer.register_step_post_hook(lambda *_, scheduler=mine: scheduler.step()))
        self._go_on(trainer.global_step)

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
        for scheduler, state in zip(self.schedulers, self._saved, strict=True):
            scheduler.load_state_dict(state, **self.resume)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Hand feedback what was logged."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._observe(trainer.callback_metrics)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Hand feedback what was logged, where nothing is validated."""
        if not trainer.enable_validation:
            self._observe(trainer.callback_metrics)

    def _observe(self, logged: Mapping[str, Any]) -> None:
        for scheduler in self.schedulers:
            feedback = scheduler.plan.feedback
            if feedback is None:
                continue
            if feedback.of not in logged:
                there = ", ".join(map(repr, sorted(logged))) or "nothing"
                raise ValueError(
                    f"feedback looks at {feedback.of!r}, and the module has logged {there} by now; call "
                    f"self.log({feedback.of!r}, ...) in validation_step, or name another with of="
                )
            scheduler.observe(**{feedback.of: logged[feedback.of]})

    def state_dict(self) -> dict[str, Any]:
        """The state of every scheduler, as small plain data."""
        return {"schedulers": [scheduler.state_dict() for scheduler in self.schedulers]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Keep the states until there are optimizers."""
        self._saved = list(state_dict["schedulers"])
