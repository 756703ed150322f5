"""What watching costs: the default observers' share of a step, and the price of each signal where it is looked at.

A digits CNN, an LSTM and a small transformer, each in a loop of its own under Control; blocks of 100 steps, bare and
watched in turn, in one process. Watched is what the command line does in a run of 10,000 steps: TensorBoard and JSON
lines every 50 steps, with curvature, decrease and update ratio once in 100. Medians of CPU time with the interval of
the median. The second table is one look at one signal, as a share of that model's bare step; memory is what the signal
copies, in multiples of the weights.

Predicted before the first run: 1.5 to 2 % by default, nearly all of it the curvature, which is one step in a hundred.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Collection

import torch
from _common import conclude, interval, progress
from torch import Tensor, nn

from stepsize import Control, JsonLines, TensorBoard
from stepsize.control import DEFAULT, SIGNALS, Observer, Record, Signal

EVERY, BLOCK = 50, 100
COPIES = {"curvature": "2, on the device", "decrease_ratio": "2, on the device", "update_ratio": "1, in host memory"}
COPIES |= {"gradient_cosine": "2, one kept", "sharpness": "3 and the graph, one kept"}


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words, self.cell, self.head = nn.Embedding(200, 32), nn.LSTM(32, 64, batch_first=True), nn.Linear(64, 200)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.cell(self.words(tokens))[0])


class Attentive(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(64, 4, 256, dropout=0.0, batch_first=True)
        self.words, self.head = nn.Embedding(200, 64), nn.Linear(64, 200)
        self.body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.body(self.words(tokens)))


def convolutional() -> nn.Module:
    first = nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU()
    second = nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(128, 10)
    return nn.Sequential(*first, *second)


def images(device: str) -> tuple[Tensor, Tensor]:
    return torch.randn(64, 1, 8, 8, device=device), torch.randint(10, (64,), device=device)


def tokens(device: str) -> tuple[Tensor, Tensor]:
    drawn = torch.randint(200, (16, 33), device=device)
    return drawn[:, :-1], drawn[:, 1:]


LOOPS: dict[str, tuple[Callable[[], nn.Module], Callable[[str], tuple[Tensor, Tensor]]]] = {
    "digits CNN": (convolutional, images),
    "LSTM": (Recurrent, tokens),
    "transformer": (Attentive, tokens),
}


def now(device: str) -> float:
    """Seconds, after all that was given to the card is done."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


class Looks:
    """Wants one signal at every step, and writes nothing."""

    def __init__(self, *wanted: str) -> None:
        self.wanted, self.seen = wanted, 0

    def wants(self, step: int) -> Collection[str | Signal]:
        return self.wanted

    def begin(self, facts: object) -> None: ...

    def on(self, record: Record) -> None:
        self.seen += 1

    def end(self, status: str) -> None: ...


class Loop:
    """A model in training; ``advance`` gives the milliseconds of a step: of the CPU, or by the clock on a card."""

    def __init__(self, name: str, watch: Collection[Observer], device: str) -> None:
        torch.manual_seed(0)
        model, self.batch = LOOPS[name]
        self.device, self.model = device, model().to(device)
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4)
        self.control = Control(optimizer, lr="cosine()", total=10**7, clip=1.0, watch=watch, remind=False)

    def advance(self, steps: int) -> float:
        began = now(self.device)
        for _ in range(steps):
            x, y = self.batch(self.device)

            def loss_of(x: Tensor = x, y: Tensor = y) -> Tensor:
                return nn.functional.cross_entropy(self.model(x).flatten(0, -2), y.flatten())

            loss = loss_of()
            loss.backward()
            self.control.step(loss, again=loss_of)
        return (now(self.device) - began) / steps * 1e3


def share(times: list[float], bare: list[float]) -> list[float]:
    return [100 * (one / other - 1) for one, other in zip(times, bare, strict=True)]


def default_cost(name: str, rounds: int, folder: str, device: str) -> tuple[list[float], list[float]]:
    signals = (*DEFAULT, "update_ratio@100")
    lines = JsonLines(f"{folder}/metrics.jsonl", EVERY, signals=signals)
    board = TensorBoard(folder, EVERY, signals=signals)
    bare, watched = Loop(name, [], device), Loop(name, [board, lines], device)
    for loop in (bare, watched):
        loop.advance(BLOCK)
    alone, seen = [], []
    for index in range(rounds):
        for loop, kept in ((bare, alone), (watched, seen)) if index % 2 else ((watched, seen), (bare, alone)):
            kept.append(loop.advance(BLOCK))
    board.close()
    lines.close()
    return alone, seen


def look_cost(name: str, rounds: int, device: str) -> dict[str, list[float]]:
    loops = {None: Loop(name, [], device), **{signal: Loop(name, [Looks(signal)], device) for signal in SIGNALS}}
    found: dict[str | None, list[float]] = {key: [] for key in loops}
    for loop in loops.values():
        loop.advance(3)
    for _ in range(rounds):
        for key, loop in loops.items():
            found[key].append(loop.advance(3 if key == "sharpness" else 10))
    return {str(key): share(times, found[None]) for key, times in found.items() if key is not None}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few repetitions, as CI runs it; writes no log")
    parser.add_argument("--device", default="cpu", help="cpu, or cuda where there is a card")
    options = parser.parse_args()
    quick, device = options.quick, options.device
    card = "CPU time" if device == "cpu" else f"by the clock, {torch.cuda.get_device_name(device)}"
    rounds, looks = (2, 1) if quick else (30, 15)
    lines, data = [f"default watching, {rounds} interleaved rounds of {BLOCK} steps; % of a step, {card}"], {}
    prices = {}
    for name in LOOPS:
        progress(name)
        with tempfile.TemporaryDirectory() as folder:
            alone, seen = default_cost(name, rounds, folder, device)
        middle, low, high = interval(share(seen, alone))
        step = interval(alone)[0]
        lines.append(f"  {name:12s} {middle:5.2f} % ({low:.2f} to {high:.2f})   a bare step {step:.2f} ms")
        prices[name] = look_cost(name, looks, device)
        data[name] = {"bare": alone, "watched": seen, "looks": prices[name]}
    lines.append("one look at one signal, % of a bare step (median); copies in multiples of the weights")
    for signal, value in SIGNALS.items():
        found = "  ".join(f"{name} {interval(prices[name][signal])[0]:7.1f}" for name in LOOPS)
        lines.append(f"  {signal:15s} {value.cost:10s}  {found}   copies {COPIES.get(signal, '0')}")
    conclude("watch" if device == "cpu" else "watch_cuda", lines, {"milliseconds": data}, quick)


if __name__ == "__main__":
    main()
