"""A GPT with accumulation, a scaler, clipping and a rate written at each iteration, as in nanoGPT's train loop."""

import math

import torch
from loop_data import asked_steps, characters
from torch import nn
from torch.nn import functional

from stepsize import RateSearch  # +

BLOCK, BATCH, ACCUMULATION, CLIP = 32, 8, 2, 1.0
DATA = dict(zip(("train", "val"), characters()[:2], strict=True))
TOKENS = characters()[2]


class GPT(nn.Module):
    """A small decoder-only transformer that returns logits and the loss."""

    def __init__(self, width=64, heads=4, layers=2):
        super().__init__()
        self.tokens, self.places = nn.Embedding(TOKENS, width), nn.Embedding(BLOCK, width)
        layer = nn.TransformerEncoderLayer(width, heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(layer, layers, nn.LayerNorm(width), enable_nested_tensor=False)
        self.head = nn.Linear(width, TOKENS, bias=False)
        for p in self.parameters():
            if p.dim() > 1:
                nn.init.normal_(p, std=0.02)

    def forward(self, index, targets):
        """Logits and the mean loss over all places."""
        x = self.tokens(index) + self.places(torch.arange(index.shape[1]))
        x = self.blocks(x, nn.Transformer.generate_square_subsequent_mask(index.shape[1]), is_causal=True)
        logits = self.head(x)
        return logits, functional.cross_entropy(logits.flatten(0, 1), targets.flatten())

    def configure_optimizers(self, weight_decay, learning_rate, betas):
        """AdamW that decays matrices only."""
        matrices = [p for p in self.parameters() if p.dim() >= 2]
        others = [p for p in self.parameters() if p.dim() < 2]
        groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
        return torch.optim.AdamW(groups, lr=learning_rate, betas=betas)


def get_batch(split):
    """Random stretches of the text, and the same a place further."""
    starts = torch.randint(len(DATA[split]) - BLOCK - 1, (BATCH,)).tolist()
    rows = torch.stack([DATA[split][i : i + BLOCK + 1] for i in starts])
    return rows[:, :-1], rows[:, 1:]


def main(max_iters):
    """Train for so many iterations."""
    torch.manual_seed(1337)
    learning_rate, warmup_iters = 6e-4, max_iters // 20
    model = GPT()
    optimizer = model.configure_optimizers(1e-1, learning_rate, (0.9, 0.95))
    ctx = torch.autocast("cpu", torch.bfloat16, enabled=False)
    scaler = torch.amp.GradScaler("cpu", enabled=False)  # as nanoGPT has it for anything but float16

    @torch.no_grad()
    def estimate_loss():
        model.eval()
        losses = [model(*get_batch("val"))[1].item() for _ in range(20)]
        model.train()
        return sum(losses) / len(losses)

    def get_lr(it):
        if it < warmup_iters:
            return learning_rate * (it + 1) / (warmup_iters + 1)
        share = (it - warmup_iters) / (max_iters - warmup_iters)
        return learning_rate * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * share)))

    def train(iterations):
        for iter_num in iterations:
            for param_group in optimizer.param_groups:
                param_group["lr"] = get_lr(iter_num)
            for _ in range(ACCUMULATION):
                x, y = get_batch("train")
                with ctx:
                    _, loss = model(x, y)
                    loss = loss / ACCUMULATION
                scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad(set_to_none=True)

    before = estimate_loss()
    search = RateSearch(  # +
        optimizer,
        model,
        lr=f"warmup({warmup_iters}) >> cosine(end=0.1)",
        total=max_iters,
        loader=range(max_iters),
        own_steps=True,
        probe=estimate_loss,
    )
    for run in search:  # +
        train(run.batches())  # +
    learning_rate = search.finding.rate  # +
    print(f"learning rate {learning_rate:.3g}")
    train(range(max_iters))
    print(f"loss {before:.4g}, after training {estimate_loss():.4g}")


if __name__ == "__main__":
    main(asked_steps(__doc__, 200))
