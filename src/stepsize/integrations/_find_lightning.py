"""Lightning: the search for a rate in a module's own training steps."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from stepsize import _check, _extras
from stepsize.control import CourseLike, Plan
from stepsize.integrations._kept import Kept
from stepsize.integrations._search_lightning import find_now
from stepsize.integrations._searched import checked, largest_rate, scaled
from stepsize.search import Finding, Progress

ATTRIBUTES = ("lr", "learning_rate")


def find_in_module(
    module: Any,
    trainer: Any,
    data: Any = None,
    lr: CourseLike | None = None,
    *,
    total: int | None = None,
    attr: str | None = None,
    put: bool = True,
    budget: str | int | None = None,
    low: float = 1e-6,
    high: float = 100.0,
    probe: Any = None,
    progress: Progress | None = None,
) -> Finding:
    """Find the learning rate of a Lightning module, with automatic or manual optimization.

    ``trainer.fit(module, data)`` is begun, and where its first batch would be trained on, ``RateSearch`` trains the
    short runs by Lightning's own loop: the module's ``training_step`` and hooks, the trainer's device, precision,
    accumulation and clipping. Then all is as it was before, but for the rate. Callbacks and loggers see nothing of it.
    Several optimizers keep their ratio; an update is then a batch in which any was stepped.

    Under manual optimization runs are scored on the loss that ``training_step`` returns, in eval mode, while the steps
    in it do nothing; or by ``probe``.

    Args:
        module: a ``LightningModule``.
        trainer: a ``Trainer`` that has not begun to fit it.
        data: a loader or a ``LightningDataModule``; the module's own when left out.
        lr: the schedule of the whole run or its text, a factor of the rate; that of the module's schedulers when left
            out, and constant where there are none.
        total: updates of the whole run, >= 1; the trainer's own estimate when left out.
        attr: the name of the module's attribute, or of its ``hparams``, that has the rate; ``lr`` or ``learning_rate``
            when left out.
        put: whether the rate is put into that attribute.
        budget: what to spend, about, as for ``find``.
        low: the lowest rate to try, > 0.
        high: the highest rate to try, > low.
        probe: a function that returns the loss on held-out data, to score runs on; as for ``RateSearch`` when left out.
        progress: called with (steps done, steps expected, a note for people).

    Returns:
        The finding; without a rate where nothing was learnt, and then nothing is put anywhere.

    Raises:
        TypeError, ValueError: an argument is invalid, the module has no such attribute, no optimizer or no training
            data, the trainer has begun to fit, or the length of the run is not known.
        ImportError: Lightning is not installed.

    Example:
        >>> import warnings
        >>> import torch
        >>> from lightning.pytorch import LightningModule, Trainer
        >>> from stepsize.integrations import find_in_module
        >>> warnings.simplefilter("ignore")  # Lightning's, about the number of workers
        >>> class Model(LightningModule):
        ...     def __init__(self, lr=0.001):
        ...         super().__init__()
        ...         self.lr, self.layer = lr, torch.nn.Linear(4, 1)
        ...     def training_step(self, x):
        ...         return (self.layer(x) - x.sum(1, keepdim=True)).square().mean()
        ...     def configure_optimizers(self):
        ...         return torch.optim.SGD(self.parameters(), lr=self.lr)
        >>> x = torch.randn(256, 4, generator=torch.Generator().manual_seed(0))
        >>> module, trainer = Model(), Trainer(max_epochs=2, accelerator="cpu", barebones=True)
        >>> finding = find_in_module(module, trainer, torch.utils.data.DataLoader(x, 8), lr="cosine()")
        >>> 0.01 < finding.rate < 1, module.lr == finding.rate
        (True, True)
    """
    package = _extras.load("lightning.pytorch", "lightning", "find_in_module(...)")
    _check_arguments(package, module, trainer, put, total)
    Plan(lr)
    options = checked(budget=budget, low=low, high=high, probe=probe, progress=progress)
    _check_unused(trainer)
    name = _place_of_rate(module, attr) if put else None
    finding, largest = _searched(package, module, trainer, data, lambda: find_now(trainer, {"lr": lr}, total, options))
    if finding.rate is not None and name is not None:
        put_attribute(module, name, finding.rate, largest)
    return finding


def _check_arguments(package: Any, module: Any, trainer: Any, put: Any, total: Any) -> None:
    if not isinstance(module, package.LightningModule):
        raise TypeError(_check.message("module", module, "a LightningModule"))
    if not isinstance(trainer, package.Trainer):
        raise TypeError(_check.message("trainer", trainer, "a lightning.pytorch.Trainer"))
    if not isinstance(put, bool):
        raise TypeError(_check.message("put", put, "True or False"))
    if total is not None:
        _check.whole("total", total, least=1)


def _check_unused(trainer: Any) -> None:
    if trainer.global_step or trainer.training:
        problem = f"trainer has begun to fit, it is at step {trainer.global_step}"
        raise ValueError(f"{problem}; find the rate with a new one, or by lightning_callback(find=True, ...)")


def _place_of_rate(module: Any, attr: str | None) -> str:
    name = attribute_of(module, attr)
    if name is None:
        raise ValueError(
            f"module has none of the attributes {', '.join(ATTRIBUTES)}, nor have its hparams, to put the rate into; "
            "name another with attr=, or give put=False and train with lightning_callback(find=True, ...)"
        )
    return name


def _searched(package: Any, module: Any, trainer: Any, data: Any, find: Callable[[], Finding]) -> tuple[Finding, float]:
    """The finding of a search at the first batch of ``fit``, and the largest rate there; all else is put back."""
    kept = Kept(trainer, module, data)
    found: list[tuple[Finding, float]] = []
    from lightning.pytorch.utilities.exceptions import _TunerExitException

    def search(*_: Any, **__: Any) -> None:
        largest = largest_rate(trainer.optimizers)
        found.append((find(), largest))
        raise _TunerExitException  # as Lightning's own tuner ends a fit

    try:
        trainer.callbacks = [type("Search", (package.Callback,), {"on_train_batch_start": search})()]
        trainer.loggers, trainer.num_sanity_val_steps, trainer.limit_val_batches = [], 0, 0
        trainer.fit(module, data)
    finally:
        kept.restore()
    if not found:
        raise ValueError("trainer.fit trained on no batch; give it training data, and more than 0 steps and epochs")
    return found[0]


def attribute_of(module: Any, name: str | None) -> str | None:
    """The name of the attribute that has the rate, in a module or its hparams; None where there is none."""
    from lightning.pytorch.utilities.parsing import lightning_getattr, lightning_hasattr

    if name is not None and (not isinstance(name, str) or not lightning_hasattr(module, name)):
        raise ValueError(_check.message("attr", name, "an attribute of the module or of its hparams"))
    name = name or next((attribute for attribute in ATTRIBUTES if lightning_hasattr(module, attribute)), None)
    value = None if name is None else lightning_getattr(module, name)
    if callable(value) or isinstance(value, Tensor):  # a layer, a method, a parameter: no place for a rate
        rule = f"the name of an attribute that has a rate, and {name!r} is a {type(value).__name__}"
        raise ValueError(_check.message("attr", name, rule, "name another with attr="))
    return name


def put_attribute(module: Any, name: str, rate: float, largest: float) -> None:
    """Put a rate that was found where the module reads its own, in the ratio that has to the largest of all groups."""
    from lightning.pytorch.utilities.parsing import lightning_getattr, lightning_setattr

    value = lightning_getattr(module, name)
    lightning_setattr(module, name, rate if not isinstance(value, int | float) else scaled(value, rate, largest))
