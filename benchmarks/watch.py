"""What watching costs: the default observers' share of a step; each signal's price and memory where it is looked at.

A digits CNN, an LSTM and a small transformer, each in a loop of its own under Control; a bare step and a watched one in
turn, in one process. Watched is what the command line does in a run of 10,000 steps: TensorBoard and JSON lines every
50 steps, with curvature, decrease ratio and each layer's update ratio once in 200. A watched step is of one of three
kinds: nothing is wanted, a line is written, or a line with a look along the update. The median of each kind, weighted
as often as it comes, over the median of a bare step; intervals by bootstrap. CPU time on a CPU; on a card (--device
cuda) time by the clock, until all is done.

The second table is one look at one signal, as a share of that model's bare step, and the most memory beyond a bare
step's, in multiples of the weights, as torch's profiler counts it on the CPU.

Predicted before the first run, with a look once in 100 steps: 1.5 to 2 %, nearly all of it the look along the update.
Found: 1.5 to 1.9 %, upper ends to 3 %, and 4 to 5 % in 400 steps. Before this one, once in 200: 0.8 to 1.2 %, upper
ends below 2 %; 3 % in 400 steps and 2 % in 1,000, which are seconds.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Collection

import numpy as np
import torch
from _common import conclude, interval, progress
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from stepsize import Control, JsonLines, TensorBoard
from stepsize.control import DEFAULT, SIGNALS, Observer, Record, Signal, due

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="few repetitions, as CI runs it; writes no log")
parser.add_argument("--device", default="cpu", help="where models are trained")
GIVEN = parser.parse_args()
DEVICE = GIVEN.device
EVERY, BLOCK = 50, 100
ALONE = {name: signal for name, signal in SIGNALS.items() if not signal.needs_parts}  # an update here has one part
SHORT = {
    length: sum(due(["a@200"], step, length // 200) != () for step in range(0, length, length // 200))
    for length in (400, 1000)
}


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
    """A model in training; ``step`` gives its milliseconds: of the CPU, or by the clock on a card."""

    def __init__(self, name: str, watch: Collection[Observer]) -> None:
        torch.manual_seed(0)
        model, self.batch = LOOPS[name]
        self.model = model().to(DEVICE)
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4)
        self.control = Control(optimizer, lr="cosine()", total=10**7, clip=1.0, watch=watch, remind=False)

    def step(self) -> float:
        """One step; its milliseconds."""
        x, y = self.batch(DEVICE)

        def loss_of() -> Tensor:
            return nn.functional.cross_entropy(self.model(x).flatten(0, -2), y.flatten())

        began = now()
        loss = loss_of()
        loss.backward()
        self.control.step(loss, again=loss_of)
        return (now() - began) * 1e3


def now() -> float:
    """Seconds: of this process, or on the clock once the device has done what it was told."""
    if DEVICE == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def default_cost(name: str, steps: int, folder: str) -> dict[str, list[float]]:
    """Milliseconds of bare steps, and of watched ones by kind, when looks have come to their last interval."""
    signals = (*DEFAULT, "update_ratio@200", "update_ratio/*@200")
    lines = JsonLines(f"{folder}/metrics.jsonl", EVERY, signals=signals)
    board = TensorBoard(folder, EVERY, signals=signals)
    bare, watched = Loop(name, []), Loop(name, [board, lines])
    for loop in (bare, watched):
        warm = min(2 * BLOCK, steps // 10)
        loop.control.catch_up(2000 - warm)  # where looks have come to their last interval
        for _ in range(warm):
            loop.step()
    times: dict[str, list[float]] = {"bare": [], "nothing": [], "line": [], "look": []}
    for index in range(steps):
        kind = "look" if index % 200 == 0 else "line" if index % EVERY == 0 else "nothing"
        for loop in (bare, watched) if index % 3 else (watched, bare):
            times["bare" if loop is bare else kind].append(loop.step())
    board.close()
    lines.close()
    return times


def share_of(times: dict[str, list[float]]) -> tuple[float, float, float]:
    """By how many percent a watched step is longer, and the interval."""
    generator, weights = np.random.default_rng(0), {"nothing": 0.98, "line": 0.015, "look": 0.005}

    def share(drawn: dict[str, np.ndarray]) -> float:
        middle = {kind: float(np.median(values)) for kind, values in drawn.items()}
        return 100 * (sum(weight * middle[kind] for kind, weight in weights.items()) / middle["bare"] - 1)

    arrays = {kind: np.asarray(values) for kind, values in times.items()}
    again = [
        share({kind: generator.choice(values, len(values)) for kind, values in arrays.items()}) for _ in range(500)
    ]
    low, high = np.quantile(again, [0.025, 0.975])
    return share(arrays), float(low), float(high)


def look_cost(name: str, rounds: int) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Percent of a bare step that a look at each signal costs, and memory in multiples of the weights."""
    loops = {"": Loop(name, []), **{signal: Loop(name, [Looks(signal)]) for signal in ALONE}}
    for loop in loops.values():
        for _ in range(3):
            loop.step()
    most = {key: peak(loop) for key, loop in loops.items()}
    weights = sum(each.numel() * each.element_size() for each in loops[""].model.parameters())
    found: dict[str, list[float]] = {key: [] for key in loops}
    for _ in range(rounds):
        for key, loop in loops.items():
            found[key].append(min(loop.step() for _ in range(1 if key == "sharpness" else 5)))
    prices = {
        key: [100 * (one / other - 1) for one, other in zip(times, found[""], strict=True)]
        for key, times in found.items()
    }
    return prices, {key: (value - most[""]) / weights for key, value in most.items()}


def peak(loop: Loop) -> int:
    """The most bytes in use at once in a step, beyond those at its beginning."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        loop.step()
    events = [each for each in seen.profiler.kineto_results.events() if each.name() == "[memory]"]
    changes = [each.nbytes() for each in sorted(events, key=lambda each: each.start_ns())]
    return int(np.cumsum([0, *changes]).max())


def main() -> None:
    steps, looks = (EVERY + 10, 1) if GIVEN.quick else (30 * BLOCK, 5)
    if DEVICE != "cpu":
        steps = 6 * BLOCK  # a device that is alone with this is quiet
    lines, data = [f"default watching on {DEVICE}, {steps} steps each, in turn; % of a step"], {}
    prices, memory = {}, {}
    for name in LOOPS:
        progress(name)
        with tempfile.TemporaryDirectory() as folder:
            times = default_cost(name, steps, folder)
        middle, low, high = share_of(times)
        step = float(np.median(times["bare"]))
        line, look = (float(np.median(times[kind])) / step - 1 for kind in ("line", "look"))
        lines.append(
            f"  {name:12s} {middle:5.2f} % ({low:.2f} to {high:.2f})   a bare step {step:.2f} ms, a line {line:+.0%}, "
            f"a look {look:+.0%}; with {SHORT[400]} looks in 400 steps {SHORT[400] * look / 400:.1%}, with "
            f"{SHORT[1000]} in 1,000 {SHORT[1000] * look / 1000:.1%}"
        )
        data[name] = times
        if not (GIVEN.quick and prices):  # the first alone
            prices[name], memory[name] = look_cost(name, looks)
            data[name] |= {"looks": prices[name], "memory": memory[name]}
    lines.append("one look at one signal, % of a bare step (median), and memory in multiples of the weights")
    for signal, value in ALONE.items():
        cost = "  ".join(f"{name} {interval(prices[name][signal])[0]:7.1f}" for name in prices)
        copies = " ".join(f"{memory[name][signal]:4.1f}" for name in memory)
        lines.append(f"  {signal:15s} {value.cost:10s}  {cost}   memory {copies}")
    conclude("watch" if DEVICE == "cpu" else "watch_cuda", lines, {"milliseconds": data}, GIVEN.quick)


if __name__ == "__main__":
    main()
