"""Which parameters go to an optimizer that takes matrices only."""

from collections.abc import Iterable

from torch import nn
from torch.nn import Parameter

from stepsize import _check
from stepsize.optim._patterns import fitting


def split_matrices(model: nn.Module, others: Iterable[str] = ()) -> tuple[list[Parameter], list[Parameter]]:
    """The matrices of hidden layers, and everything else: for Muon, which takes 2-D weights only, beside AdamW.

    Matrices are the 2-D parameters outside embeddings. The output layer is better left to AdamW too: name it.

    Args:
        model: the model.
        others: names of modules or parameters, or patterns such as ``"head*"``, whose parameters go to the second list.

    Returns:
        Matrices and the rest, each in the model's order, each parameter once; frozen ones are among them.

    Raises:
        TypeError, ValueError: model is no module, or a pattern fits nothing.

    Example:
        >>> import torch
        >>> from stepsize import Control
        >>> from stepsize.optim import split_matrices
        >>> model = torch.nn.Sequential(torch.nn.Embedding(9, 4), torch.nn.Linear(4, 4), torch.nn.Linear(4, 9))
        >>> matrices, rest = split_matrices(model, others=["2"])
        >>> [tuple(p.shape) for p in matrices], [tuple(p.shape) for p in rest]
        ([(4, 4)], [(9, 4), (4,), (9, 4), (9,)])
        >>> muon, adamw = torch.optim.Muon(matrices, lr=0.02), torch.optim.AdamW(rest, lr=1e-3)
        >>> control = Control({"muon": muon, "adamw": adamw}, lr="warmup(5%) >> cosine()", total=100, clip=1.0)
        >>> list(control.rates)
        ['muon/group0', 'adamw/group0']

    Source: Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks", and ``torch.optim.Muon``.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(_check.message("model", model, "a torch.nn.Module"))
    named = fitting("others", [others] if isinstance(others, str) else list(others), model)
    embedded = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding | nn.EmbeddingBag)}
    matrices: list[Parameter] = []
    rest: list[Parameter] = []
    for name, parameter in model.named_parameters():
        hidden = parameter.ndim == 2 and id(parameter) not in embedded and name not in named
        (matrices if hidden else rest).append(parameter)
    return matrices, rest
