"""The report-only set: other model families on other data than tuning sees. No finder is changed by what it shows."""

from functools import partial

from _data import cifar10, diabetes, neighbours, photograph, phrases, review_characters, reviews, standardised, table
from _entry import (
    ADAGRAD,
    ADAMW,
    ADAMW_GROUPS,
    CONSTANT,
    LINEAR,
    MOMENTUM,
    MOMENTUM_GROUPS,
    NESTEROV,
    ONE_CYCLE,
    RMSPROP,
    SGD_GROUPS,
    SGD_PLAIN,
    WARM,
    classify,
    entry,
    own,
    squared,
)
from _report_networks import (
    ColourMixture,
    Contrast,
    FactorisationMachine,
    Flow,
    FourierFeatures,
    Highway,
    Mixer,
    MixtureDensity,
    Prototypes,
    RadialBasis,
    Residual,
    Sines,
    SoftTree,
)
from _report_words import BagOfWords, Elman, NextWord, SkipGram, Waves, WordConvolutions
from torch import Tensor


def patients() -> tuple[Tensor, ...]:
    return tuple(standardised(part) for part in diabetes())


def raw_patients() -> tuple[Tensor, ...]:
    """The features in their units (18 to 300), the progression over 100."""
    x, y = diabetes()
    return x, y / 100


def thirds() -> tuple[Tensor, ...]:
    """In which third of the patients the progression is."""
    x, y = diabetes()
    return standardised(x), (y[:, 0].argsort().argsort() * 3) // len(y)


def wine() -> tuple[Tensor, ...]:
    x, y = table("wine")
    return standardised(x), y


def raw_wine() -> tuple[Tensor, ...]:
    return table("wine")


def photographs() -> tuple[Tensor, ...]:
    return cifar10()


def photograph_rows() -> tuple[Tensor, ...]:
    x, y = cifar10()
    return x.transpose(1, 2).flatten(2), y


DIABETES, WINE, CIFAR, ROTTEN, IMDB = "diabetes", "wine", "cifar10", "rotten tomatoes", "imdb"

REPORT = (
    entry("machine-diabetes-raw", "factorisation machine", f"{DIABETES}, raw units",
          partial(FactorisationMachine, 10, 4), raw_patients, squared, ADAGRAD,
          batch=32, steps=600, schedule=LINEAR, scored=442),
    entry("radial-diabetes", "radial basis functions", DIABETES, partial(RadialBasis, 10, 60), patients, squared,
          SGD_PLAIN, batch=16, steps=600, schedule=CONSTANT, scored=442),
    entry("mixture-diabetes", "mixture density network", DIABETES, partial(MixtureDensity, 10, 5), patients, own,
          RMSPROP, batch=32, steps=500, schedule=LINEAR, scored=442),
    entry("highway-diabetes", "highway network, twelve layers", DIABETES, partial(Highway, 10, 24), patients, squared,
          MOMENTUM, batch=64, steps=250, schedule=ONE_CYCLE, scored=442),
    entry("flow-wine", "normalising flow", WINE, partial(Flow, 13, 32, 4), wine, own, ADAMW,
          batch=32, steps=300, schedule=ONE_CYCLE, scored=178),
    entry("prototypes-wine-raw", "prototypes", f"{WINE}, raw units",
          partial(Prototypes, 3, lambda: table("wine")[0], 5_000.0), raw_wine, classify, ADAMW,
          batch=16, steps=500, schedule=CONSTANT, scored=178),
    entry("tree-diabetes", "soft decision tree", f"{DIABETES}, thirds", partial(SoftTree, 10, 3), thirds, classify,
          SGD_PLAIN, batch=32, steps=500, schedule=LINEAR, scored=442),
    entry("bag-rotten", "mean of word vectors", ROTTEN, partial(BagOfWords, 1_500, 24),
          partial(reviews, "rotten_tomatoes", 3_000, 30, 1_500), classify, SGD_GROUPS,
          batch=32, steps=700, schedule=LINEAR),
    entry("convolutions-rotten", "convolutions over words", ROTTEN, partial(WordConvolutions, 1_500, 24, 16),
          partial(reviews, "rotten_tomatoes", 3_000, 30, 1_500), classify, ADAMW,
          batch=32, steps=200, schedule=ONE_CYCLE),
    entry("words-rotten", "next word from four", ROTTEN, partial(NextWord, 800, 4, 16, 48),
          partial(phrases, 4, 20_000, 800), classify, MOMENTUM, batch=64, steps=400, schedule=WARM),
    entry("skip-gram-rotten", "skip-gram", ROTTEN, partial(SkipGram, 800, 16), partial(neighbours, 20_000, 800, 5),
          own, SGD_PLAIN, batch=128, steps=1_000, schedule=LINEAR),
    entry("averaging-imdb", "mean of word vectors, hidden layer", IMDB, partial(BagOfWords, 2_000, 24, 24),
          partial(reviews, "imdb", 2_000, 100, 2_000), classify, ADAMW_GROUPS,
          batch=16, steps=400, schedule=CONSTANT),
    entry("waves-imdb", "gated causal convolutions", f"{IMDB}, characters", partial(Waves, 41, 24), review_characters,
          classify, NESTEROV, batch=8, steps=150, schedule=LINEAR, clip=1.0, scored=500),
    entry("elman-cifar", "Elman network", f"{CIFAR}, row by row", partial(Elman, 48, 48), photograph_rows, classify,
          SGD_PLAIN, batch=32, steps=300, schedule=WARM),
    entry("residual-cifar", "residual network, group norm", CIFAR, partial(Residual, 12, 2), photographs, classify,
          MOMENTUM_GROUPS, batch=32, steps=150, schedule=ONE_CYCLE, scored=1_000),
    entry("mixer-cifar", "MLP-Mixer", CIFAR, partial(Mixer, 32, 2), photographs, classify, ADAMW,
          batch=32, steps=200, schedule=WARM, scored=1_000),
    entry("contrast-cifar", "contrastive halves", CIFAR, partial(Contrast, 24), photographs, own, MOMENTUM,
          batch=64, steps=350, schedule=LINEAR, scored=1_920, chunk=64),
    entry("sines-china", "sine network of places", "photograph china", partial(Sines, 48),
          partial(photograph, "china", 8), squared, ADAMW, batch=256, steps=400, schedule=CONSTANT, scored=4_320),
    entry("fourier-flower", "Fourier features of places", "photograph flower", partial(FourierFeatures, 48, 48),
          partial(photograph, "flower", 8), squared, SGD_PLAIN, batch=128, steps=600, schedule=LINEAR, scored=4_320),
    entry("colours-flower", "mixture of Gaussians", "photograph flower, colours", partial(ColourMixture, 8),
          partial(photograph, "flower", 8), own, ADAGRAD, batch=64, steps=600, schedule=ONE_CYCLE, scored=4_320),
)  # fmt: skip
