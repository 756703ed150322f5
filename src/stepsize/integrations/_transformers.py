"""Transformers: a Trainer whose rates follow a plan."""

from typing import Any

from stepsize import _check, _extras
from stepsize.control import Plan, Scheduler


def drive_trainer(trainer: Any, per_epoch: float | None = None, **plan: Any) -> None:
    """Let a plan drive the rates of a Transformers ``Trainer``, in place of ``lr_scheduler_type``.

    The trainer makes its optimizer as ever (``learning_rate`` is the base), steps, saves and loads the scheduler itself.
    The clock is the optimizer's real updates, the run's length the trainer's own. Feedback gets the trainer's evaluation
    metrics, so that ``feedback=plateau(of="eval_loss")`` looks at the evaluation loss.

    Args:
        trainer: a ``transformers.Trainer`` that has not begun to train.
        per_epoch: updates in an epoch, > 0; needed by lengths such as ``"3ep"``.
        plan: what ``Plan`` takes: ``lr``, ``momentum``, ``weight_decay``, ``feedback``, ``floor``, ``cap``. Clipping is the
            trainer's own ``max_grad_norm``.

    Raises:
        TypeError, ValueError: an argument is not what is said above, or the trainer has a scheduler already.
        ImportError: Transformers is not installed.

    Example:
        >>> from stepsize.integrations import drive_trainer
        >>> drive_trainer(trainer, lr="warmup(5%) >> cosine()")  # doctest: +SKIP

    Source: ``transformers.Trainer.create_scheduler`` and ``TrainerCallback.on_evaluate``.
    """
    package = _extras.load("transformers", "transformers", "drive_trainer(...)")
    if not isinstance(trainer, package.Trainer):
        raise TypeError(_check.message("trainer", trainer, "a transformers.Trainer"))
    if trainer.lr_scheduler is not None:
        name = type(trainer.lr_scheduler).__name__
        raise ValueError(f"trainer has a scheduler already, {name}; hand over optimizers=(optimizer, None), or none")
    if plan.get("clip") is not None:
        raise ValueError(_check.message("clip", plan["clip"], "left to TrainingArguments(max_grad_norm=...)"))
    feedback = Plan(**plan).feedback
    per_epoch = None if per_epoch is None else _check.number("per_epoch", per_epoch, above=0)
    lr = plan.pop("lr", "constant()")

    def create_scheduler(num_training_steps: int, optimizer: Any = None) -> Scheduler:
        if trainer.lr_scheduler is None:
            mine = optimizer or trainer.optimizer
            mine = getattr(mine, "optimizer", mine)  # what Accelerate has wrapped
            trainer.lr_scheduler = Scheduler(mine, lr, num_training_steps, per_epoch=per_epoch, **plan)
        return trainer.lr_scheduler  # type: ignore[no-any-return]

    class Metrics(package.TrainerCallback):  # type: ignore[misc]
        """Hands evaluation metrics to feedback."""

        def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **_: Any) -> None:
            if feedback is not None and metrics and feedback.of in metrics and trainer.lr_scheduler is not None:
                wrapped = trainer.lr_scheduler
                getattr(wrapped, "scheduler", wrapped).observe(**{feedback.of: metrics[feedback.of]})

    trainer.create_scheduler = create_scheduler
    trainer.add_callback(Metrics)
