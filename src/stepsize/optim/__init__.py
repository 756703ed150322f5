"""What an update needs beside the rate: gradient clipping and update ratios. They compute and decide nothing."""

from stepsize.optim._clip import Clipped as Clipped
from stepsize.optim._clip import clip_by_norm as clip_by_norm
from stepsize.optim._clip import gradient_norm as gradient_norm
from stepsize.optim._groups import group_names as group_names
from stepsize.optim._groups import pair_index as pair_index
from stepsize.optim._groups import parameters as parameters
from stepsize.optim._groups import read_value as read_value
from stepsize.optim._groups import write_value as write_value
from stepsize.optim._split import split_matrices as split_matrices

__all__ = [
    "Clipped",
    "clip_by_norm",
    "gradient_norm",
    "group_names",
    "pair_index",
    "parameters",
    "read_value",
    "split_matrices",
    "write_value",
]
