"""One line about each built-in task, for listing them without torch."""

from collections.abc import Mapping

CATALOGUE: Mapping[str, tuple[int, str]] = {
    "quadratic": (
        100,
        "gradient descent on a quadratic bowl of condition number 10, where theory says which rates converge",
    ),
    "linear-regression": (
        300,
        "diabetes progression of 353 patients from ten features, a line, SGD, 300 steps; batch_size 353 takes all",
    ),
    "digits": (
        400,
        "handwritten digits, 1,437 images of 8x8, a small CNN with batch norm, SGD with momentum, 400 steps",
    ),
    "digits-mlp": (
        400,
        "handwritten digits, 1,437 images of 8x8, a perceptron 64-128-10, SGD with momentum, 400 steps",
    ),
    "mnist": (
        2_577,
        "handwritten digits, 55,000 images of 28x28, the course's CNN, AdamW, 3 epochs",
    ),
    "cifar10-small": (
        1_053,
        "colour photographs, 45,000 images of 32x32, ResNet-18 of a quarter of the width, SGD, 3 epochs",
    ),
    "cifar10-small-plateau": (
        2_106,
        "cifar10-small at a constant rate, cut to a fifth when the validation loss no longer falls, 6 epochs",
    ),
    "cifar10": (
        10_530,
        "colour photographs, 45,000 images of 32x32, ResNet-18, crop and flip, SGD with Nesterov momentum, 30 epochs",
    ),
    "cifar10-plateau": (
        10_530,
        "cifar10 at a constant rate, cut to a tenth when the validation loss no longer falls, 30 epochs",
    ),
    "imdb": (
        1_053,
        "whole film reviews, good or bad, 22,500 of up to 400 words, an LSTM, AdamW, 3 epochs",
    ),
    "rotten-tomatoes": (
        532,
        "sentences of film reviews, good or bad, 8,530 of up to 60 words, an LSTM, AdamW, 2 epochs",
    ),
    "shakespeare": (
        2_000,
        "Shakespeare by the character, a transformer of 4 layers and width 128, AdamW, 2,000 steps",
    ),
    "frozenlake": (
        10_000,
        "Q-learning on the slippery 4x4 lake, 10,000 episodes; the rate is alpha, the score what is missed",
    ),
}
"""The steps of a whole run and a line for people, by the task's name."""
