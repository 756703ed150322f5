"""Texts as numbers: words, a vocabulary, padded batches."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

PADDING, UNKNOWN = 0, 1  # numbers of what is no word
LARGEST = 20_000  # words of a vocabulary
_WORD = re.compile(r"[\w']+|[!?]")


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, and its exclamation and question marks; line breaks in HTML go.

    Example:
        >>> words_of("It's GREAT!<br />Or not")
        ["it's", 'great', '!', 'or', 'not']
    """
    return _WORD.findall(text.lower().replace("<br />", " "))


def vocabulary_of(texts: Iterable[Sequence[str]]) -> dict[str, int]:
    """Numbers from 2 for the 20,000 most frequent words, most frequent first.

    Example:
        >>> vocabulary_of([["b", "a", "b"], ["b", "a"]])
        {'b': 2, 'a': 3}
    """
    counts = Counter(word for text in texts for word in text)
    return {word: number for number, (word, _) in enumerate(counts.most_common(LARGEST), 2)}


@dataclass(frozen=True)
class Texts:
    """Texts as numbers of words, one after the other, and their classes.

    Args:
        numbers: int64 [words of all texts].
        starts: int64 [count], where each text begins.
        lengths: int64 [count], >= 1.
        labels: int64 [count].
    """

    numbers: Tensor
    starts: Tensor
    lengths: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def padded(self, picked: Tensor) -> Tensor:
        """Some of the texts, int64 [count, words of the longest of them], zeros behind the shorter ones."""
        lengths = self.lengths[picked, None]
        place = torch.arange(int(lengths.max()))
        index = (self.starts[picked, None] + place).clamp(max=len(self.numbers) - 1)
        return torch.where(place < lengths, self.numbers[index], PADDING)


def numbered(texts: Sequence[Sequence[str]], labels: Tensor, vocabulary: Mapping[str, int], longest: int) -> Texts:
    """Texts as numbers: the first words of each, 1 for a word that is not in the vocabulary.

    Args:
        texts: by word; one without words counts as one unknown word.
        labels: int64 [count].
        vocabulary: number by word.
        longest: words of a text that are read.
    """
    rows = [[vocabulary.get(word, UNKNOWN) for word in text[:longest]] or [UNKNOWN] for text in texts]
    lengths = torch.tensor([len(text) for text in rows], dtype=torch.int64)
    numbers = torch.tensor([number for text in rows for number in text], dtype=torch.int64)
    return Texts(numbers, lengths.cumsum(0) - lengths, lengths, labels)
