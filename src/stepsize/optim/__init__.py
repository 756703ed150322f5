"""Parts of an update besides the rate: rules torch lacks, parameter groups, gradient clipping. It decides nothing."""

from typing import TYPE_CHECKING

from stepsize._lazy import lazily

if TYPE_CHECKING:  # each is loaded when it is used: texts of plans are read without torch
    from stepsize.optim._by_name import combine as combine
    from stepsize.optim._by_name import groups as groups
    from stepsize.optim._by_name import no_decay as no_decay
    from stepsize.optim._clip import Clipped as Clipped
    from stepsize.optim._clip import clip_adaptively as clip_adaptively
    from stepsize.optim._clip import clip_by_norm as clip_by_norm
    from stepsize.optim._clip import clip_by_value as clip_by_value
    from stepsize.optim._clip import clip_factor as clip_factor
    from stepsize.optim._clip import gradient_norm as gradient_norm
    from stepsize.optim._clippers import CLIPPERS as CLIPPERS
    from stepsize.optim._clippers import Clipper as Clipper
    from stepsize.optim._clippers import adaptive_clipping as adaptive_clipping
    from stepsize.optim._clippers import as_clip as as_clip
    from stepsize.optim._clippers import norm_clipping as norm_clipping
    from stepsize.optim._clippers import value_clipping as value_clipping
    from stepsize.optim._groups import group_names as group_names
    from stepsize.optim._groups import has_value as has_value
    from stepsize.optim._groups import needs_closure as needs_closure
    from stepsize.optim._groups import pair_index as pair_index
    from stepsize.optim._groups import parameters as parameters
    from stepsize.optim._groups import read_value as read_value
    from stepsize.optim._groups import write_value as write_value
    from stepsize.optim._lamb import LAMB as LAMB
    from stepsize.optim._lars import LARS as LARS
    from stepsize.optim._layers import layerwise as layerwise
    from stepsize.optim._named import check_choice as check_choice
    from stepsize.optim._named import kinds as kinds
    from stepsize.optim._named import optimizer as optimizer
    from stepsize.optim._named import read_choice as read_choice
    from stepsize.optim._norms import total_norm as total_norm
    from stepsize.optim._products import inner_product as inner_product
    from stepsize.optim._split import split_matrices as split_matrices
    from stepsize.optim._stages import Stages as Stages

__getattr__, __dir__ = lazily(
    __name__,
    {
        "_by_name": "combine groups no_decay",
        "_clip": "Clipped clip_adaptively clip_by_norm clip_by_value clip_factor gradient_norm",
        "_clippers": "CLIPPERS Clipper adaptive_clipping as_clip norm_clipping value_clipping",
        "_groups": "group_names has_value needs_closure pair_index parameters read_value write_value",
        "_lamb": "LAMB",
        "_lars": "LARS",
        "_layers": "layerwise",
        "_named": "check_choice kinds optimizer read_choice",
        "_norms": "total_norm",
        "_products": "inner_product",
        "_split": "split_matrices",
        "_stages": "Stages",
    },
)

__all__ = [
    "CLIPPERS",
    "LAMB",
    "LARS",
    "Clipped",
    "Clipper",
    "Stages",
    "adaptive_clipping",
    "as_clip",
    "check_choice",
    "clip_adaptively",
    "clip_by_norm",
    "clip_by_value",
    "clip_factor",
    "combine",
    "gradient_norm",
    "group_names",
    "groups",
    "has_value",
    "inner_product",
    "kinds",
    "layerwise",
    "needs_closure",
    "no_decay",
    "norm_clipping",
    "optimizer",
    "pair_index",
    "parameters",
    "read_choice",
    "read_value",
    "split_matrices",
    "total_norm",
    "value_clipping",
    "write_value",
]
