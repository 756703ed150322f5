"""A loader's batches as a task needs them: epoch after epoch, the same for the same seed, the loader untouched."""

import copy
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler, IterableDataset, RandomSampler, SequentialSampler

from stepsize import _check
from stepsize.state import RandomState, known_length, own_randomness
from stepsize.task._part import tensors_in

ASIDE = 16  # batches that a loader in a fixed order keeps for scoring,
SHARE = 20  # or the 20th part of an epoch where that is less,
FEWEST = 4  # and none where it is less than this
KNOWN = 65_536  # numbers of each tensor of a batch that it is known by
_KEYS = {"seed", "epoch", "position", "length"}
END = object()
RULE = "a DataLoader, a list of batches, or anything that gives its batches anew each time"


class Batches:
    """The ``batches`` of a task from a loader; each pass is over a copy of the loader with a generator of its own.

    Args:
        loader: a DataLoader, a list of batches, anything else that can be iterated again and again, or a function
            without arguments that makes one of these for each pass.

    Raises:
        TypeError, ValueError: it is none of these, or has no batch.
    """

    def __init__(self, loader: Any) -> None:
        check_loader(loader)
        self.given = loader
        sample = made(loader)
        if sample is not loader:
            check_loader(sample, "what loader() gives")
        self.length = known_length(sample)
        if self.length == 0:
            raise ValueError(_check.message("loader", sample, "of one batch or more"))
        share = ASIDE if self.length is None else min(ASIDE, self.length // SHARE)
        self.aside = 0 if can_reorder(sample) or share < FEWEST else share
        self._first: dict[tuple[int, bool], bytes] = {}

    @property
    def theirs(self) -> tuple[Any, ...]:
        """The user's code that it is made of."""
        functions = (self.given, getattr(self.given, "collate_fn", None))
        return tuple(
            function for function in (*functions, getattr(self.given, "dataset", None)) if function is not None
        )

    @property
    def epoch(self) -> int | None:
        """Batches in an epoch of training, where that is known."""
        return None if self.length is None else self.length - self.aside

    def __call__(self, generator: torch.Generator) -> "Epochs":
        """Batches to train on, epoch after epoch.

        Args:
            generator: one number is drawn from it, from which all else follows.
        """
        return Epochs(self, generator)

    def set_aside(self, generator: torch.Generator, count: int) -> Iterator[Any]:
        """Batches to be scored on: in an order of their own, or those that are never trained on, which may be fewer.

        Args:
            generator: one number is drawn from it.
            count: how many.
        """
        return islice(Epochs(self, generator, scored=True), min(count, self.aside or count))

    def one_pass(self, seed: int, scored: bool) -> Iterator[Any]:
        """The batches of one epoch; to be called, and drawn from, in a random state of its own.

        Args:
            seed: of the epoch.
            scored: whether they are to be scored on.
        """
        batches = iter(twin(made(self.given), seed, shuffled=scored))
        return batches if scored or not self.aside else islice(batches, self.aside, None)

    def check_first(self, seed: int, scored: bool, batch: Any) -> None:
        """Raise ValueError where the same seed once gave another first batch, since then runs cannot be compared.

        Args:
            seed: of the epochs.
            scored: whether they are to be scored on.
            batch: the first.
        """
        digest = hashlib.sha256()
        for tensor in (found for found in tensors_in(batch) if found.layout == torch.strided):
            part = tensor.detach().flatten()[:KNOWN].cpu().contiguous().view(torch.uint8)
            digest.update(part.numpy().tobytes())
        if self._first.setdefault((seed, scored), digest.digest()) != digest.digest():
            raise ValueError(
                "loader must give the same batches for the same seed, and its first batch was another one this time; "
                "let it begin anew at each pass, and draw from torch's, NumPy's or Python's global generators only"
            )

    def __getstate__(self) -> dict[str, Any]:
        loader = self.given
        if isinstance(loader, DataLoader):  # an iterator with living workers cannot travel
            loader = copy.copy(loader)
            vars(loader)["_iterator"] = None
        return {**vars(self), "given": loader, "_first": {}}


class Epochs:
    """An endless iterator over a loader's batches that goes on exactly where another one over the same was.

    Args:
        source: whose batches.
        generator: one number is drawn from it.
        scored: whether they are to be scored on.
    """

    def __init__(self, source: Batches, generator: torch.Generator, scored: bool = False) -> None:
        self._source, self._scored = source, scored
        self._seed = int(torch.randint(2**48, (), generator=generator))
        self._begin(0)

    def _begin(self, epoch: int) -> None:
        self._epoch, self._position = epoch, 0
        self._batches: Iterator[Any] | None = None  # made when it is needed: workers may be costly
        seed = int(np.random.SeedSequence([self._seed, epoch, self._scored]).generate_state(1)[0])
        self._epoch_seed, self._random = seed, RandomState.seeded(seed)

    def __iter__(self) -> "Epochs":
        return self

    def __next__(self) -> Any:
        batch = self._drawn()
        if batch is END:
            self._check_pass()
            self._begin(self._epoch + 1)
            batch = self._drawn()
        if batch is END:
            self._check_pass()
        if self._epoch == self._position == 0:
            self._source.check_first(self._seed, self._scored, batch)
        self._position += 1
        return batch

    def _drawn(self) -> Any:
        with own_randomness(self._random) as ended:
            if self._batches is None:
                self._batches = self._source.one_pass(self._epoch_seed, self._scored)
            batch = next(self._batches, END)
        self._random = ended[0]
        return batch

    def _check_pass(self) -> None:
        """Raise ValueError if an epoch was none, or shorter than what is set aside of it."""
        if self._position == 0 or (self._source.length is None and self._position < self._source.aside):
            aside = f" beside {self._source.aside} set aside for scoring" if self._source.aside else ""
            got = f"{self._position} in pass {self._epoch + 1}{aside}"
            raise ValueError(
                f"loader must give its batches again in each pass, got {got}; "
                "give a list of them, or a function without arguments that makes the loader"
            )

    def state_dict(self) -> dict[str, Any]:
        """Its place in the data, in a few numbers."""
        length = self._source.length
        return {"seed": self._seed, "epoch": self._epoch, "position": self._position, "length": length}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where another one over the same loader stood: its epoch is drawn again up to there.

        Args:
            state: from its ``state_dict()``.

        Raises:
            ValueError: it is no such state, or one of a loader of another length.
        """
        missing = _KEYS - set(state)
        if missing:
            raise ValueError(f"state is not of a loader's batches: it lacks {', '.join(sorted(missing))}")
        if state["length"] != self._source.length:
            rule = f"{self._source.length}, as here"
            raise ValueError(_check.message("length of the saved loader", state["length"], rule))
        self._seed = _check.whole("seed of the saved loader", state["seed"], least=0)
        epoch = _check.whole("epoch of the saved loader", state["epoch"], least=0)
        position = _check.whole("position of the saved loader", state["position"], least=0)
        self._begin(epoch)
        for _ in range(position):
            next(self)
        if self._epoch != epoch:
            raise ValueError(_check.message("position of the saved loader", position, "within an epoch of the loader"))


def check_loader(loader: Any, name: str = "loader") -> None:
    """Raise TypeError or ValueError unless batches can be drawn from a loader again and again.

    Args:
        loader: what was given for it.
        name: what an error calls it.
    """
    if isinstance(loader, Dataset) and not isinstance(loader, IterableDataset):
        remedy = "write DataLoader(dataset, batch_size=..., shuffle=True)"
        raise TypeError(_check.message(name, type(loader).__name__, "a loader of batches, not a data set", remedy))
    if isinstance(loader, Iterator):
        remedy = "give what it was made from, or a function without arguments that makes it"
        raise TypeError(_check.message(name, type(loader).__name__, RULE, remedy))
    no_loader = isinstance(loader, str | bytes | Mapping | Tensor | torch.nn.Module | type)
    if no_loader or not (isinstance(loader, Iterable) or callable(loader)):
        raise TypeError(_check.message(name, loader, RULE))
    sampler = getattr(loader, "sampler", None)
    if isinstance(sampler, DistributedSampler) and sampler.num_replicas > 1:
        remedy = "leave it out, since each batch is shared among the processes here"
        raise ValueError(_check.message(f"sampler of {name}", "a DistributedSampler", "one of all examples", remedy))


def made(loader: Any) -> Any:
    """A loader, or what a function gives that makes one."""
    return loader if isinstance(loader, Iterable) or not callable(loader) else loader()


def can_reorder(loader: Any) -> bool:
    """Whether a loader's batches can be had in another order than that of training."""
    if isinstance(loader, DataLoader):
        return not isinstance(loader.dataset, IterableDataset)
    return isinstance(loader, Sequence)


def twin(loader: Any, seed: int, shuffled: bool) -> Iterable[Any]:
    """A copy of a loader over the same data, whose sampler and workers draw from a generator of its own.

    Args:
        loader: stays as it is.
        seed: of the generator.
        shuffled: whether data in a fixed order come in a random one.
    """
    generator = torch.Generator().manual_seed(seed)
    if not isinstance(loader, DataLoader):
        if shuffled and isinstance(loader, Sequence):
            return (loader[index] for index in torch.randperm(len(loader), generator=generator).tolist())
        return loader  # type: ignore[no-any-return]
    made = copy.copy(loader)
    sampler, batch_sampler = (_own(part, generator, shuffled) for part in (loader.sampler, loader.batch_sampler))
    if getattr(loader.batch_sampler, "sampler", None) is not None:
        inner = loader.batch_sampler.sampler  # type: ignore[union-attr]
        batch_sampler.sampler = sampler if inner is loader.sampler else _own(inner, generator, shuffled)
    # set in its dictionary, since a DataLoader refuses to have them set
    own = {"generator": generator, "sampler": sampler, "batch_sampler": batch_sampler}
    vars(made).update(own, _iterator=None, persistent_workers=False)
    return made


def _own(part: Any, generator: torch.Generator, shuffled: bool) -> Any:
    """A sampler that draws from a generator, of the same indices."""
    if shuffled and isinstance(part, SequentialSampler):
        return RandomSampler(part.data_source, generator=generator)
    if shuffled and isinstance(part, list | tuple | range):
        return [part[index] for index in torch.randperm(len(part), generator=generator).tolist()]
    own = copy.copy(part)
    if isinstance(getattr(part, "generator", None), torch.Generator):
        own.generator = generator
    if isinstance(part, DistributedSampler):
        own.seed = generator.initial_seed()
    return own


Loader = Iterable[Any] | Callable[[], Iterable[Any]]
