"""Transformers: a Trainer whose rates follow a plan."""

import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from stepsize import _check, _extras
from stepsize.control import Commands, Scheduler
from stepsize.control.feedback import Feedback
from stepsize.integrations._given import check, check_resume, go_on
from stepsize.integrations._search_transformers import check_forks, find_now, fork_now, inner_of
from stepsize.integrations._searched import check_options, found_or_raise, largest_rate, scaled, write_rates
from stepsize.integrations._steered import LOOP, check_steer, is_over, steered
from stepsize.integrations._verified import Verifier, check_verify
from stepsize.search import Finding

LOG = "transformers.trainer"


def drive_trainer(
    trainer: Any,
    per_epoch: float | None = None,
    resume: Mapping[str, str] | None = None,
    find: bool | Mapping[str, Any] = False,
    steer: Path | str | None = None,
    verify: bool | str = False,
    **plan: Any,
) -> None:
    """Let a plan drive the rates of a Transformers ``Trainer``, in place of ``lr_scheduler_type`` and its warm-up.

    The trainer makes its optimizer as ever (``learning_rate`` is the base), steps, saves and loads the scheduler.
    The clock is the optimizer's real updates, the run's length the trainer's own. Feedback gets the metrics of the
    evaluations in training, so that ``feedback=plateau(of="eval_loss")`` looks at the evaluation loss.

    Args:
        trainer: a ``transformers.Trainer`` that has not begun to train.
        per_epoch: updates in an epoch, > 0; needed by lengths such as ``"3ep"``.
        resume: choices for a checkpoint that differs, as of ``Scheduler.load_state_dict``: ``{"extend": "stretch"}``
            for a run that shall now be longer.
        find: whether to find the rate just before the first step, as ``find_in_trainer`` does; or its options, such as
            ``{"budget": "0.3x"}``. A run that goes on from a checkpoint keeps its rate. The finding is logged, and in
            ``trainer.finding``.
        steer: the folder from which the run can be steered while it trains, by ``stepsize steer FOLDER scale 0.5`` or
            ``Steer(folder)``: all that ``Control`` does but ``clip`` and ``extend``, and ``checkpoint``, ``stop`` (with
            a checkpoint) and, where there is an evaluation set, ``validate``.
        verify: whether to try at a quarter of the run, by short forks of it, if another rate would do better for the
            rest; ``"apply"`` goes on at that rate. Forks train by the trainer's own steps on the next epoch's data and
            cost a tenth of the run at most; then all is put back to the bit, in mid-epoch too. The finding, whose rate
            is the run's own where that should be kept, is logged as ``verified_rate``, and in ``trainer.verified``.
        plan: as of ``Scheduler``: ``lr``, ``momentum``, ``weight_decay``, ``feedback``, ``floor``, ``cap``. Clipping is
            the trainer's own ``max_grad_norm``.

    Raises:
        TypeError, ValueError: an argument is invalid, the trainer has a scheduler already, or it never
            evaluates what feedback looks at.
            When training starts: the run is too short for ``verify``, or its forks could not be put back exactly,
            since it trains in several processes or on a stream.
        RuntimeError: when training starts: no usable rate was found.
        ImportError: Transformers is not installed.

    Example:
        >>> import torch
        >>> from transformers import PrinterCallback, Trainer, TrainingArguments
        >>> from stepsize.integrations import drive_trainer
        >>> class Model(torch.nn.Linear):
        ...     def forward(self, x):
        ...         return {"loss": super().forward(x).square().mean()}
        >>> quiet = dict(report_to="none", disable_tqdm=True, save_strategy="no", use_cpu=True)
        >>> settings = TrainingArguments("run", max_steps=4, learning_rate=0.5, **quiet)
        >>> trainer = Trainer(Model(2, 1), settings, train_dataset=[{"x": [1.0, 2.0]}] * 8)
        >>> trainer.remove_callback(PrinterCallback)
        >>> drive_trainer(trainer, lr="linear()")
        >>> _ = trainer.train()
        >>> trainer.lr_scheduler.position, trainer.lr_scheduler.get_last_lr()
        (4.0, [0.0, 0.0])

    Source: ``transformers.Trainer.create_scheduler`` and ``TrainerCallback.on_evaluate``.
    """
    package = _extras.load("transformers", "transformers", "drive_trainer(...)")
    if not isinstance(trainer, package.Trainer):
        raise TypeError(_check.message("trainer", trainer, "a transformers.Trainer"))
    if trainer.lr_scheduler is not None or "create_scheduler" in vars(trainer):
        name = "a plan" if trainer.lr_scheduler is None else type(trainer.lr_scheduler).__name__
        problem = f"trainer has a scheduler already, {name}, and one rate has one driver"
        raise ValueError(f"{problem}; build it with optimizers=(optimizer, None), or none, and drive it once")
    given, choices, options, folder, verifier = check_plan(per_epoch, resume, find, steer, verify, **plan)
    if given["feedback"] is not None:
        _check_feedback(given["feedback"], trainer.args.eval_strategy)
    hooks = type("RateCallback", (_Hooks, package.TrainerCallback), {})(
        trainer, given, choices, options, folder, verifier
    )
    trainer.create_scheduler = hooks.create_scheduler
    trainer.add_callback(hooks)


def check_plan(
    per_epoch: float | None = None,
    resume: Mapping[str, str] | None = None,
    find: bool | Mapping[str, Any] = False,
    steer: Path | str | None = None,
    verify: bool | str = False,
    **plan: Any,
) -> tuple[dict[str, Any], dict[str, str], dict[str, Any] | None, Path | None, Verifier | None]:
    """The scheduler's arguments, choices for a checkpoint, what the search is told, where commands are, who verifies.

    Of the last three any may be missing.
    """
    given = check(plan, "use TrainingArguments(max_grad_norm=...)", per_epoch=per_epoch)
    options = check_options(find)
    verifier = Verifier(verify, LOG) if check_verify(verify) else None
    return given, check_resume(resume, found=options is not None), options, check_steer(steer), verifier


def _check_feedback(feedback: Feedback, strategy: str) -> None:
    if not feedback.of.startswith("eval_"):
        rule, remedy = "a metric of the trainer's evaluation", 'write for example plateau(of="eval_loss")'
        raise ValueError(_check.message("of of feedback", feedback.of, rule, remedy))
    if strategy == "no":
        problem = f"feedback looks at {feedback.of!r}, and the trainer never evaluates"
        raise ValueError(f'{problem}; give TrainingArguments(eval_strategy="epoch" or "steps")')


class _Hooks:
    """Makes the scheduler when the trainer wants it, and hands it the metrics of evaluations."""

    def __init__(
        self,
        trainer: Any,
        given: dict[str, Any],
        resume: dict[str, str],
        find: dict[str, Any] | None,
        steer: Path | None,
        verifier: Verifier | None,
    ) -> None:
        self.trainer, self.given, self.resume, self.find, self.steer = trainer, given, resume, find, steer
        self.verifier = verifier
        self.commands: Commands | None = None
        self.finding: Finding | None = None
        self.scheduler: Scheduler | None = None
        self.measured: dict[str, None] = {}  # the names of all metrics so far, in their order

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Scheduler:
        """In place of the trainer's own; called anew at each ``train()``."""
        trainer = self.trainer
        if self.scheduler is not None and trainer.lr_scheduler is self.scheduler:
            return self.scheduler
        if self.scheduler is not None:
            self.scheduler.detach()
        self.scheduler = Scheduler(optimizer or trainer.optimizer, total=num_training_steps, **self.given)
        if self.steer is not None:
            verbs = [*LOOP, *(["validate"] if trainer.eval_dataset is not None else [])]
            self.commands = steered(self.scheduler, self.steer, verbs)
        # it is the trainer that loads, and it does not choose
        load = partial(go_on, self.scheduler, resume=self.resume, hook="drive_trainer")
        self.scheduler.load_state_dict = load  # type: ignore[method-assign]
        trainer.lr_scheduler, trainer._created_lr_scheduler = self.scheduler, True
        return self.scheduler

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Find the rate, where that is wanted and nothing is trained yet, and begin the schedule from it."""
        if self.verifier is not None:
            self.trainer.verified = None
            if self.verifier.begin(state.max_steps, state.global_step):
                check_forks(self.trainer)
        if self.find is None or state.global_step:
            return
        trainer = self.trainer
        found = find_now(trainer, self.given, self.find)
        self.finding = trainer.finding = found
        rate = found_or_raise(found)
        if self.scheduler is not None:
            self.scheduler.detach()
        optimizer = inner_of(trainer)
        args.learning_rate = scaled(args.learning_rate, rate, largest_rate([optimizer]))
        write_rates([optimizer], rate)
        trainer.lr_scheduler = self.scheduler = None
        trainer.callback_handler.lr_scheduler = self.create_scheduler(state.max_steps)
        logging.getLogger(LOG).info("%s", found)
        trainer.log({"found_rate": rate})

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Try other rates, where that is wanted and it is time."""
        verifier, scheduler, trainer = self.verifier, self.scheduler, self.trainer
        if verifier is None or scheduler is None or not verifier.is_due(state.global_step):
            return
        trainer.verified = verifier.look(scheduler, inner_of(trainer), partial(fork_now, trainer))
        if trainer.verified is not None:
            trainer.log({"verified_rate": trainer.verified.rate})

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Hand on to the trainer what commands want of it."""
        scheduler, commands = self.scheduler, self.commands
        if scheduler is None or commands is None:
            return
        stops = scheduler.asked("stop") or (is_over(scheduler) and state.global_step < state.max_steps)
        if stops:
            control.should_training_stop = True
        if scheduler.asked("checkpoint") or stops:
            control.should_save = True
        if "validate" in commands.verbs and scheduler.asked("validate"):
            control.should_evaluate = True

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Say in the folder that the run has ended."""
        if self.commands is not None:
            self.commands.close()

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **_: Any) -> None:
        feedback = None if self.scheduler is None else self.scheduler.plan.feedback
        if feedback is None or self.scheduler is None or not self.trainer.is_in_train:
            return
        several = isinstance(self.trainer.eval_dataset, dict) and not self.measured.keys() >= set(metrics)
        self.measured |= dict.fromkeys(metrics)
        if feedback.of in metrics:
            self.scheduler.observe(**{feedback.of: metrics[feedback.of]})
        elif feedback.of not in self.measured and not several:  # of several sets, each comes by itself
            found = ", ".join(map(repr, self.measured))
            problem = f"feedback looks at {feedback.of!r}, and the evaluation gave {found}"
            self.scheduler.detach()  # this run ends here
            raise ValueError(f"{problem}; name one of these with of=")
