"""Freezing and unfreezing in stages."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping

from torch import nn

from stepsize import _check
from stepsize.optim._patterns import as_patterns, check_model, fitting


class Stages:
    """Which parameters are trained from which position on: gradual unfreezing, and freezing again.

    What is trained is a pure function of the position, so that a resumed run is right. All parameters can be in the
    optimizer from the beginning: those without a gradient are left alone by any torch optimizer. A frozen parameter
    loses its gradient and keeps its optimizer state. Norms' running statistics are no parameters and go on moving.

    Args:
        model: the model; with DistributedDataParallel, build that with everything trainable and
            ``find_unused_parameters=True``.
        stages: from positions >= 0, of which one is 0, to what is trained from there on: names of modules or
            parameters, or patterns such as ``"layer[34]"``, one or several; ``"*"`` for all.

    Raises:
        TypeError, ValueError: an argument is invalid, or a pattern fits nothing.

    Example:
        >>> import torch
        >>> from stepsize.optim import Stages
        >>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1))
        >>> stages = Stages(model, {0: "1", 500: "*"})
        >>> for position in (0, 499, 500):
        ...     print(stages(position))  # in a training loop: stages(control.position)
        ['1.weight', '1.bias']
        ['1.weight', '1.bias']
        ['0.weight', '0.bias', '1.weight', '1.bias']

    Source: Howard and Ruder 2018, "Universal language model fine-tuning" (arXiv 1801.06146), section 3.3.
    """

    def __init__(self, model: nn.Module, stages: Mapping[float, str | Iterable[str]]) -> None:
        check_model(model)
        if not isinstance(stages, Mapping) or not stages:
            raise TypeError(_check.message("stages", stages, 'a mapping such as {0: "head", 500: "*"}'))
        order = sorted(stages, key=lambda at: _check.number("position in stages", at, least=0))
        if order[0] != 0:
            raise ValueError(_check.message("first position in stages", order[0], "0", "say what is trained first"))
        self._model = model
        self._at = order
        self._trained = [fitting("stages", as_patterns("stages", stages[at]), model) for at in order]
        self._now: int | None = None

    def trained(self, position: float) -> list[str]:
        """The names of what is trained at a position, without touching the model.

        Args:
            position: >= 0, as of ``Control.position``.

        Raises:
            TypeError, ValueError: it is not that.
        """
        position = _check.number("position", position, least=0)
        chosen = self._trained[bisect_right(self._at, position) - 1]
        return [name for name, _ in self._model.named_parameters() if name in chosen]

    def __call__(self, position: float) -> list[str]:
        """Freeze and unfreeze as it is at a position; the names of what is trained."""
        names = self.trained(position)
        stage = bisect_right(self._at, position)
        if stage != self._now:
            self._now, chosen = stage, set(names)
            for name, parameter in self._model.named_parameters():
                parameter.requires_grad_(name in chosen)
                if name not in chosen:
                    parameter.grad = None
        return names
