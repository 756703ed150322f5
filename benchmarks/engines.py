"""What a step of one member costs, batched, beside a plain loop of torch; and what ``auto`` costs and chooses.

Steps: an MLP 64-128-10, SGD with momentum, rates between 0.001 and 0.1, one seed, so that members share their batches.
The plain loop is what a person writes: draw a batch, forward, backward, ``SGD(fused=True)``, no schedule, no reading of
losses. Serial is this project's loop with Control; batched is the engine's, with batches drawn, rates derived and
losses read back. Every way takes its turn in every round. The figure is plain / way, per step of one member; compiling
is left out and stated beside, from an empty cache, with the member-steps after which it is paid back.

auto: sweeps that take a minute or more one after the other. All of it is timed: choosing, compiling, training. Serial
is two of the same trials, times what there are for each.

CPU seconds, with those of the compilers that are called; on a GPU (``--device cuda``) seconds by the clock.

Predictions, written before the first run, with a prototype's figures in hand: compiled, 8 members at batch 8 are 10 to
14 times as quick, 32 members 18 to 22; at batch 32 8 times; at batch 128 3 to 4 times. Not compiled: 1.5 at 8 members,
4 at 32 at batch 8, nothing at batch 128. Compiling takes 4 to 10 CPU seconds, paid back after 30,000 to 100,000
member-steps. auto takes batched steps for the MLP and compiles them, and serial for the others, at 1.0 to 1.05 times
serial's total.
"""

import argparse
import json
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from _common import LOGS, conclude, interval, progress
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from stepsize import Task, Trial
from stepsize.engine import Auto, Batched, serial
from stepsize.engine._batched import Bench, Flight
from stepsize.engine._compiled import compiler
from stepsize.engine._measured import Counting, alone
from stepsize.engine._members import Members
from stepsize.engine._work import Leg, leg_of
from stepsize.task import Shuffled

EXAMPLES, LONG = 4_096, 10**6
ASKED = {(8, 8): 8.0, (8, 32): 13.0, (32, 8): 5.0, (128, 8): 2.5}  # batch, members


class LastState(nn.Module):
    """Embedding, one LSTM, the last state to ten classes."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.cells, self.head = (
            nn.Embedding(2_000, 64),
            nn.LSTM(64, 64, batch_first=True),
            nn.Linear(64, 10),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.cells(self.words(x))[0][:, -1])  # type: ignore[no-any-return]


class Letters(nn.Module):
    """Two blocks of attention over 65 letters, the next letter at each place."""

    def __init__(self) -> None:
        super().__init__()
        block = nn.TransformerEncoderLayer(64, 4, 256, dropout=0.0, batch_first=True, norm_first=True)
        self.letters, self.head = nn.Embedding(65, 64), nn.Linear(64, 65)
        self.blocks = nn.TransformerEncoder(block, 2, enable_nested_tensor=False)
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(64))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.letters(x), mask=self.mask, is_causal=True)).transpose(1, 2)  # type: ignore[no-any-return]


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))


def cnn() -> nn.Module:
    first = [nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    second = [nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*first, *second, nn.Flatten(), nn.Linear(2_048, 128), nn.ReLU(), nn.Linear(128, 10))


@dataclass(frozen=True)
class Kind:
    """A model and data for it, and the trials of a sweep."""

    model: Callable[[], nn.Module]
    batch: int
    trials: int
    x: Tensor
    y: Tensor
    drawn: dict[str, Any] = field(default_factory=dict)

    def on(self, device: str, batch: int | None = None) -> Task:
        x, y = self.x.to(device), self.y.to(device)
        return Task(
            name="own",
            model=self.model,
            batches=lambda generator, size: batches(x, y, size, generator),
            loss=lambda model, pair: cross_entropy(model(pair[0]), pair[1]),
            optimizer=lambda parameters, lr: torch.optim.SGD(parameters, lr=lr, momentum=0.9),
            score=lambda model: float(cross_entropy(model(x[:256]), y[:256])),
            metrics=lambda _: {},
            steps=LONG,
            schedule="constant()",
            batch_size=batch or self.batch,
            device=device,
        )


def batches(x: Tensor, y: Tensor, size: int, generator: torch.Generator) -> Iterator[Any]:
    return Shuffled(len(x), size, generator, lambda picked, _: (x[picked.to(x.device)], y[picked.to(x.device)]))


def kinds() -> dict[str, Kind]:
    torch.manual_seed(0)
    classes, letters = torch.randint(10, (EXAMPLES,)), torch.randint(65, (EXAMPLES, 65))
    return {
        "MLP": Kind(mlp, 8, 32, torch.randn(EXAMPLES, 64), classes),
        "CNN": Kind(cnn, 64, 12, torch.randn(EXAMPLES, 3, 32, 32), classes),
        "LSTM": Kind(LastState, 32, 12, torch.randint(2_000, (EXAMPLES, 64)), classes),
        "transformer": Kind(Letters, 32, 12, letters[:, :-1], letters[:, 1:]),
    }


def trials(count: int, steps: int) -> list[Trial]:
    return [Trial("own", {"lr": 1e-3 * 100 ** (place / max(1, count - 1))}, 0, steps) for place in range(count)]


def now(device: str) -> float:
    """CPU seconds of this process and of those it has waited for; on a GPU, seconds of the clock."""
    if device == "cpu":
        return time.process_time() + sum(os.times()[2:4])
    torch.cuda.synchronize()
    return time.perf_counter()


class Plain:
    """The loop that a person writes."""

    def __init__(self, task: Task) -> None:
        torch.manual_seed(0)
        self.task, self.model = task, task.model().to(task.device)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.01, momentum=0.9, fused=True)
        self.batches = task.batches(torch.Generator().manual_seed(0), task.batch_size)

    def advance(self, steps: int) -> None:
        for _ in range(steps):
            x, y = next(self.batches)
            cross_entropy(self.model(x), y).backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            self.optimizer.zero_grad()


class Together:
    """The batched engine's loop, endless."""

    def __init__(self, task: Task, members: int, compiled: bool) -> None:
        began, clock = now(task.device), time.perf_counter()
        self.members, self.bench = members, Bench(Batched(members, compiled))
        flights = [Flight(task, leg_of(trial)) for trial in trials(members, LONG)]
        self.stack = self.bench.stack(self.bench.kind(flights[0]), flights)
        self.those = Members([flight.run for flight in flights])
        with Counting() as counted:  # type: ignore[no-untyped-call]
            self.advance(1)
        self.operations = counted.count
        self.advance(1)
        self.spent, self.seconds = now(task.device) - began, time.perf_counter() - clock

    def advance(self, steps: int) -> None:
        self.bench.steps(self.stack, self.those, steps)


def measured_steps(kind: Kind, batch: int, members: int, rounds: int, device: str, steps: int) -> dict[str, Any]:
    task = kind.on(device, batch)
    plain, single = Plain(task), task.start(trials(1, LONG)[0])
    ways: dict[str, Any] = {"batched": Together(task, members, compiled=False)}
    if not compiler():
        ways["compiled"] = Together(task, members, compiled=True)
    found: dict[str, list[float]] = {name: [] for name in ("plain", "serial", *ways)}
    for _ in range(rounds):
        for name, work, shared in (
            ("plain", plain, 1),
            ("serial", single, 1),
            *((n, w, members) for n, w in ways.items()),
        ):
            count = steps if shared == 1 else max(1, steps // 4)
            began = now(device)
            work.advance(count)
            found[name].append((now(device) - began) / count / shared)
    ratios = {name: [p / each for p, each in zip(found["plain"], found[name], strict=True)] for name in found}
    said: dict[str, Any] = {"batch": batch, "members": members, "asked": ASKED.get((batch, members))}
    said |= {name: interval(ratios[name]) for name in found if name != "plain"}
    said["plain_us"] = 1e6 * interval(found["plain"])[0]
    if "compiled" in ways:
        saved = interval([p - each for p, each in zip(found["plain"], found["compiled"], strict=True)])[0]
        spent = ways["compiled"].spent - ways["batched"].spent
        said |= {
            "operations": ways["batched"].operations,
            "compiling": spent,
            "seconds": ways["compiled"].seconds,
            "break_even": spent / saved,
        }
    progress(str(said))
    return said


def measured_auto(kind: Kind, device: str, seconds: float) -> dict[str, Any]:
    task = kind.on(device)
    _, step = alone(task, Leg(trials(1, LONG)[0], LONG))
    work = trials(kind.trials, max(10, round(seconds / step / kind.trials)))
    part = work[:: len(work) // 2][:2]
    list(serial(task, [Trial("own", work[0].settings, 0, 3)]))  # what is loaded at the first step is loaded
    engine = Auto(workers=1)
    began = now(device)
    results = list(engine(task, work))
    total = now(device) - began
    began = now(device)
    list(serial(task, part))
    one_by_one = (now(device) - began) * len(work) / len(part)
    assert engine.choice is not None
    assert len(results) == len(work)
    said = {"total": total, "serial": one_by_one, "choice": engine.choice.name, "why": engine.choice.why}
    said["kept"] = total <= 1.1 * one_by_one + 2
    progress(str(said))
    return said


class Kept:
    """What was measured, in a file, so that a benchmark that was stopped goes on."""

    def __init__(self, path: Path, quick: bool) -> None:
        self.path, self.quick = path, quick
        self.found: dict[str, Any] = json.loads(path.read_text()) if path.exists() and not quick else {}

    def __call__(self, name: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        if name not in self.found:
            self.found[name] = measure()
            if not self.quick:
                self.path.write_text(json.dumps(self.found))
        found: dict[str, Any] = self.found[name]
        return found


def steps_line(said: dict[str, Any]) -> str:
    def shown(name: str) -> str:
        if name not in said:
            return "-"
        return "{:.2f} ({:.2f} to {:.2f})".format(*said[name])

    best = said.get("compiled", said["batched"])
    asked = "" if said["asked"] is None else f"{said['asked']:g}: {'yes' if best[2] >= said['asked'] else 'NO'}"
    even = ""
    if "compiling" in said:
        even = f"{said['compiling']:.1f} s, {said['compiling'] / said['operations']:.2f} s, {said['break_even']:,.0f}"
    first = f"{said['batch']:>5} {said['members']:>7} {said['plain_us']:>8.0f}"
    return f"{first}   {shown('serial'):<20} {shown('batched'):<22} {shown('compiled'):<22} {asked:<10} {even}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Batched engines and auto beside a plain loop.")
    parser.add_argument("--quick", action="store_true", help="few repetitions, as CI runs it; writes no log")
    parser.add_argument("--device", default="cpu", help="cpu, or cuda where there is a card")
    said = parser.parse_args()
    warnings.filterwarnings("ignore", module="torch")
    cache = tempfile.TemporaryDirectory()  # nothing is there that was compiled before
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache.name
    rounds, steps, seconds = (2, 20, 0.5) if said.quick else (15, 200, 75.0)
    card = said.device if said.device == "cpu" else torch.cuda.get_device_name(said.device)
    every = kinds()
    pairs = list(ASKED)[:1] if said.quick else list(ASKED)
    if said.device != "cpu" and not said.quick:
        pairs += [(8, 256), (32, 256), (128, 256)]
    kept = Kept(LOGS / f"engines_{said.device.partition(':')[0]}.partial.json", said.quick)
    rows = [
        kept(f"{pair}", lambda pair=pair: measured_steps(every["MLP"], *pair, rounds, said.device, steps))
        for pair in pairs
    ]
    head = f"{'batch members plain us':<25} {'serial':<20} {'batched':<22} {'compiled':<22} {'asked':<10} to compile"
    lines = [f"steps of an MLP 64-128-10 on {card}; plain / way, per step of a member", head, *map(steps_line, rows)]
    lines += [
        "to compile: CPU seconds, those for each operation of a step, member-steps after which they are paid back",
        "",
    ]
    if said.device != "cpu" and not said.quick:
        lines.append("other models on the card: batch, members, plain us, plain / way")
        for name in ("CNN", "LSTM", "transformer"):
            for members in (32, 256):
                row = measured_steps(every[name], every[name].batch, members, rounds, said.device, max(4, steps // 20))
                lines.append(f"{name:<12} {steps_line(row)}")
    autos = {
        name: kept(name, lambda name=name: measured_auto(every[name], said.device, seconds))
        for name in (("MLP", "LSTM") if said.quick else every)
    }
    lines.append("auto, all of it / serial: seconds; asked: at most 1.1 serial + 2 s")
    for name, each in autos.items():
        within = "yes" if each["kept"] else "NO"
        lines.append(f"{name:<12} {each['total']:7.1f} / {each['serial']:7.1f}  {within}  {each['why']}")
    name = "engines" if said.device == "cpu" else "engines_cuda"
    conclude(name, lines, {"device": card, "steps": rows, "auto": autos}, said.quick)
    kept.path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
