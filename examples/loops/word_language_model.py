"""An LSTM over a long text with its state carried on, clipped, as in pytorch/examples, word_language_model."""

import torch
from loop_data import asked_steps, characters
from torch import nn

from stepsize import RateSearch  # +

BPTT = 20
TRAIN, VALID, TOKENS = characters()


class RNNModel(nn.Module):
    """Embedding, LSTM, decoder."""

    def __init__(self, tokens, width):
        super().__init__()
        self.encoder, self.rnn = nn.Embedding(tokens, width), nn.LSTM(width, width)
        self.drop, self.decoder = nn.Dropout(0.2), nn.Linear(width, tokens)

    def forward(self, data, hidden):
        """Logits for each next token, and the state."""
        output, hidden = self.rnn(self.drop(self.encoder(data)), hidden)
        return self.decoder(self.drop(output)).flatten(0, 1), hidden


def batchify(data, size):
    """The text in so many columns."""
    length = len(data) // size
    return data[: length * size].view(size, length).t().contiguous()


def get_batch(source, i):
    """A stretch of every column, and the tokens that follow."""
    length = min(BPTT, len(source) - 1 - i)
    return source[i : i + length], source[i + 1 : i + 1 + length].flatten()


def main(steps):
    """Train for about so many steps."""
    torch.manual_seed(1111)
    train_data, val_data = batchify(TRAIN, 16)[: steps * BPTT + 1], batchify(VALID, 10)[:400]
    model, criterion = RNNModel(TOKENS, 48), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=20)
    starts = range(0, len(train_data) - 1, BPTT)

    def evaluate():
        model.eval()
        total, hidden = 0.0, None
        with torch.no_grad():
            for i in range(0, len(val_data) - 1, BPTT):
                data, targets = get_batch(val_data, i)
                output, hidden = model(data, hidden)
                total += len(data) * criterion(output, targets).item()
        return total / (len(val_data) - 1)

    def train(positions):
        model.train()
        hidden = None
        for i in positions:
            data, targets = get_batch(train_data, i)
            if hidden is not None:  # from the batch before, without its history
                hidden = tuple(each.detach() for each in hidden)
            model.zero_grad()
            output, hidden = model(data, hidden)
            criterion(output, targets).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.25)
            optimizer.step()

    before = best = evaluate()
    epochs = max(1, round(steps / len(starts)))
    search = RateSearch(  # +
        optimizer, model, lr="constant()", total=epochs * len(starts), loader=starts, own_steps=True, probe=evaluate
    )
    for run in search:  # +
        train(run.batches())  # +
    search.apply()  # +
    print(f"learning rate {optimizer.param_groups[0]['lr']:.3g}")
    for _ in range(epochs):
        train(starts)
        loss = evaluate()
        if loss >= best:
            optimizer.param_groups[0]["lr"] /= 4
        best = min(best, loss)
    print(f"loss {before:.4g}, after training {loss:.4g}")


if __name__ == "__main__":
    main(asked_steps(__doc__, 200))
