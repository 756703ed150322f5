"""Model families of the report-only set for words and characters."""

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, pad


class BagOfWords(nn.Module):
    """The mean of the words' vectors, classified.

    Source: Joulin et al. 2016, "Bag of tricks for efficient text classification" (arXiv 1607.01759), section 2.
    """

    def __init__(self, vocabulary: int, width: int, inner: int | None = None) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width, padding_idx=0)
        hidden = [nn.Linear(width, inner), nn.ReLU()] if inner else []
        self.head = nn.Sequential(*hidden, nn.Linear(inner or width, 2))

    def forward(self, words: Tensor) -> Tensor:
        there = (words > 0).sum(1, keepdim=True).clamp(min=1)
        return self.head(self.embedding(words).sum(1) / there)


class WordConvolutions(nn.Module):
    """Convolutions over three widths of words, the largest answer of each, dropout, and a line.

    Source: Kim 2014, "Convolutional neural networks for sentence classification" (arXiv 1408.5882), section 2.
    """

    def __init__(self, vocabulary: int, width: int, filters: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.filters = nn.ModuleList([nn.Conv1d(width, filters, size) for size in (2, 3, 4)])
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(3 * filters, 2))

    def forward(self, words: Tensor) -> Tensor:
        x = self.embedding(words).transpose(1, 2)
        return self.head(torch.cat([torch.relu(convolution(x)).amax(2) for convolution in self.filters], 1))


class NextWord(nn.Module):
    """The next word from the vectors of the words before it.

    Source: Bengio et al. 2003, "A neural probabilistic language model", JMLR 3, equation 1.
    """

    def __init__(self, vocabulary: int, before: int, width: int, inner: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Embedding(vocabulary, width),
            nn.Flatten(),
            nn.Linear(before * width, inner),
            nn.Tanh(),
            nn.Linear(inner, vocabulary),
        )

    def forward(self, words: Tensor) -> Tensor:
        return self.layers(words)


class SkipGram(nn.Module):
    """Words that tell the word after them from words drawn at random; gives the loss. Starts at word2vec's saddle.

    Source: Mikolov et al. 2013, "Distributed representations of words" (arXiv 1310.4546), equation 4.
    """

    def __init__(self, vocabulary: int, width: int) -> None:
        super().__init__()
        self.words, self.contexts = nn.Embedding(vocabulary, width), nn.Embedding(vocabulary, width)
        nn.init.uniform_(self.words.weight, -0.5 / width, 0.5 / width)
        nn.init.zeros_(self.contexts.weight)

    def forward(self, words: Tensor, contexts: Tensor) -> Tensor:
        products = torch.einsum("bw,bcw->bc", self.words(words), self.contexts(contexts))
        return -(logsigmoid(products[:, 0]) + logsigmoid(-products[:, 1:]).sum(1)).mean()


class Waves(nn.Module):
    """Gated causal convolutions over 1, 2, 4, 8 characters; [batch, time] -> [batch, time, symbols].

    Source: van den Oord et al. 2016, "WaveNet" (arXiv 1609.03499), equation 2.
    """

    def __init__(self, symbols: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(symbols, width)
        self.reaches = (1, 2, 4, 8)
        self.gated = nn.ModuleList([nn.Conv1d(width, 2 * width, 2, dilation=reach) for reach in self.reaches])
        self.head = nn.Linear(width, symbols)

    def forward(self, codes: Tensor) -> Tensor:
        x = self.embedding(codes).transpose(1, 2)
        for reach, each in zip(self.reaches, self.gated, strict=True):
            value, gate = each(pad(x, (reach, 0))).chunk(2, 1)
            x = x + torch.tanh(value) * torch.sigmoid(gate)
        return self.head(x.transpose(1, 2))


class Elman(nn.Module):
    """A plain recurrent network of tanh that reads a photograph row by row; the last state is classified.

    Source: Elman 1990, "Finding structure in time".
    """

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.cells = nn.RNN(inputs, hidden, batch_first=True)
        self.head = nn.Linear(hidden, 10)

    def forward(self, rows: Tensor) -> Tensor:
        return self.head(self.cells(rows)[0][:, -1])
