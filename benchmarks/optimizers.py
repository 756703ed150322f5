"""LARS and LAMB beside torch's, timm's and pytorch_optimizer's: time of a step, memory, distance from the papers.

    python benchmarks/optimizers.py --rivals FOLDER

FOLDER is where the rivals are, ``pip install --no-deps --target FOLDER timm pytorch_optimizer``; where they are not
installed, their rows are missing.

Predicted before the first run, from prototypes on a quiet core: LARS 1.5 to 1.65 fused SGD steps on both lists, LAMB
at most 3; timm's and pytorch_optimizer's LARS 2.9 to 4, their LAMB 7 to 12. Extra memory: none for LARS, the largest
tensor for LAMB. Off the papers under warm-up and cosine: the rivals' LARS 0.4, since their rate stands outside the
momentum; ours 5e-6, which is float32.
"""

import argparse
import ctypes
import importlib
import importlib.util
import subprocess
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from _common import conclude, interval, progress
from torch import Tensor

from stepsize import cosine, warmup
from stepsize.optim import LAMB, LARS
from stepsize.optim._norms import squared_norm

DECAY, COEFFICIENT, MOMENTUM = 1e-4, 1e-3, 0.9
Shapes = list[tuple[int, ...]]
Make = Callable[[list[Tensor], list[Tensor]], torch.optim.Optimizer]


def residual_network() -> Shapes:
    """The 161 tensors of ResNet-50, 25.6 million numbers."""
    shapes: Shapes = [(64, 3, 7, 7), (64,), (64,)]
    before = 64
    for width, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for block in range(blocks):
            wide = 4 * width
            for kernel in ((width, before, 1, 1), (width, width, 3, 3), (wide, width, 1, 1)):
                shapes += [kernel, kernel[:1], kernel[:1]]
            if block == 0:
                shapes += [(wide, before, 1, 1), (wide,), (wide,)]
            before = wide
    return [*shapes, (1000, 2048), (1000,)]


def transformer() -> Shapes:
    """The 148 tensors of GPT-2 small, 124 million numbers."""
    block: Shapes = [(768,), (768,), (2304, 768), (2304,), (768, 768), (768,)]
    block += [(768,), (768,), (3072, 768), (3072,), (768, 3072), (768,)]
    return [(50257, 768), (1024, 768), *(block * 12), (768,), (768,)]


def small() -> Shapes:
    return [(64, 32, 3, 3), (64,), (1000, 64), (1000,), (300, 300)]


def found(folder: str | None) -> dict[str, Any]:
    """The rivals' classes, as far as they are installed."""
    if folder is not None:
        sys.path.append(folder)
    rivals: dict[str, Any] = {}
    place = importlib.util.find_spec("timm")
    if place is not None and place.submodule_search_locations:
        # timm's models need torchvision, its optimizers do not: the package is entered below its front doors
        root = Path(next(iter(place.submodule_search_locations)))
        for name, path in (("timm", root), ("timm.optim", root / "optim")):
            sys.modules[name] = types.ModuleType(name)
            sys.modules[name].__path__ = [str(path)]
        lars = importlib.import_module("timm.optim.lars").Lars
        rivals["timm LARS"] = lambda p, trust_coefficient=COEFFICIENT, **o: lars(p, trust_coeff=trust_coefficient, **o)
        rivals["timm LAMB"] = importlib.import_module("timm.optim.lamb").Lamb
    if importlib.util.find_spec("pytorch_optimizer") is not None:
        other = importlib.import_module("pytorch_optimizer")
        rivals |= {"pytorch_optimizer LARS": other.LARS, "pytorch_optimizer LAMB": other.Lamb}
    return rivals


def contenders(rivals: dict[str, Any]) -> dict[str, Make]:
    """(matrices, the rest) -> an optimizer; biases and norms without decay and trust ratio, as far as each can."""

    def plain(matrices: list[Tensor], rest: list[Tensor]) -> list[dict[str, Any]]:
        return [{"params": matrices}, {"params": rest, "weight_decay": 0.0}]

    def ours(matrices: list[Tensor], rest: list[Tensor]) -> list[dict[str, Any]]:
        return [{"params": matrices}, {"params": rest, "weight_decay": 0.0, "adapt": False}]

    sgd, tiny = {"momentum": MOMENTUM, "weight_decay": DECAY}, 1e-6
    made: dict[str, Make] = {
        "torch SGD": lambda m, r: torch.optim.SGD(plain(m, r), lr=tiny, fused=True, **sgd),
        "torch AdamW": lambda m, r: torch.optim.AdamW(plain(m, r), lr=tiny, fused=True),
        "stepsize LARS": lambda m, r: LARS(ours(m, r), lr=tiny, **sgd),
        "stepsize LAMB": lambda m, r: LAMB(ours(m, r), lr=tiny),
    }
    for name, kind in rivals.items():
        options = sgd if name.endswith("LARS") else {"weight_decay": 0.01}
        made[name] = lambda m, r, kind=kind, options=options: kind(plain(m, r), lr=tiny, **options)
    return made


def tensors(shapes: Shapes) -> tuple[list[Tensor], list[Tensor]]:
    """Parameters with gradients: matrices, and the rest."""
    generator = torch.Generator().manual_seed(0)
    made = [torch.nn.Parameter(0.05 * torch.randn(shape, generator=generator)) for shape in shapes]
    for parameter in made:
        parameter.grad = 0.01 * torch.randn(parameter.shape, generator=generator)
    return [p for p in made if p.ndim > 1], [p for p in made if p.ndim < 2]


def times(shapes: Shapes, makes: dict[str, Make], rounds: int) -> dict[str, list[float]]:
    """Processor milliseconds of a step, in interleaved rounds; all contenders step the same weights."""
    matrices, rest = tensors(shapes)
    everything = [*matrices, *rest]
    kept = [parameter.grad for parameter in everything]
    own = [gradient.clone() for gradient in kept] if "pytorch_optimizer LARS" in makes else []
    room = [torch.empty_like(parameter) for parameter in everything]
    optimizers = {name: make(matrices, rest) for name, make in makes.items()}

    def copy() -> None:
        for target, parameter in zip(room, everything, strict=True):
            target.copy_(parameter.detach())

    def norms() -> None:
        for parameter, gradient in zip(everything, kept, strict=True):
            squared_norm(parameter.detach())
            squared_norm(gradient)

    calls: dict[str, Callable[[], object]] = {name: each.step for name, each in optimizers.items()}
    calls |= {"copy": copy, "two norms": norms}
    found: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds + 1):
        for name, call in calls.items():
            # the one that writes into gradients has its own
            for parameter, gradient in zip(everything, own if name == "pytorch_optimizer LARS" else kept, strict=True):
                parameter.grad = gradient
            began = time.process_time()
            call()
            if turn:  # the first makes the states
                found[name].append((time.process_time() - began) * 1e3)
        progress(f"  round {turn} of {rounds}")
    return found


def extra_memory(shapes: Shapes, make: Make) -> float | None:
    """Megabytes at the peak of steps, above parameters, gradients and the optimizer's own state; on Linux."""
    status, clear = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not clear.exists():
        return None
    warm = make(*tensors(small()))
    for _ in range(2):
        warm.step()
    matrices, rest = tensors(shapes)
    optimizer = make(matrices, rest)
    ctypes.CDLL(None).malloc_trim(0)  # what was freed before is not to be used again unseen
    before = _kilobytes(status, "VmRSS")
    clear.write_text("5")
    for _ in range(3):
        optimizer.step()
    states = [value for state in optimizer.state.values() for value in state.values() if isinstance(value, Tensor)]
    held = sum(value.numel() * value.element_size() for value in states)
    return (_kilobytes(status, "VmHWM") - before) * 1024 / 1e6 - held / 1e6


def _kilobytes(status: Path, key: str) -> int:
    return int(next(line for line in status.read_text().splitlines() if line.startswith(key)).split()[1])


def memory_in_a_process(rivals: str | None, name: str, what: str) -> float | None:
    command = [sys.executable, __file__, "--memory", name, "--list", what]
    done = subprocess.run(
        [*command, *([] if rivals is None else ["--rivals", rivals])], capture_output=True, text=True, check=True
    )
    said = done.stdout.strip()
    return None if said == "None" else float(said)


SHAPES: Shapes = [(64, 30), (16, 3, 3, 3), (200, 40)]  # no vectors: one of the rivals never adapts these


def deviation(kind: Any, paper: str, steps: int, moving: bool, options: dict[str, Any]) -> tuple[float, bool]:
    """Relative difference of the displacement from the paper's in float64, of the worst tensor; and whether gradients
    were written to."""
    generator = torch.Generator().manual_seed(0)
    weights = [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]
    exact = [weight.detach().double().clone() for weight in weights]
    start = [weight.clone() for weight in exact]
    first, second = ([torch.zeros_like(weight) for weight in exact] for _ in range(2))
    decay, peak = options["weight_decay"], 1.0 if paper == "LARS" else 0.02
    schedule = (warmup(steps // 6) >> cosine(steps - steps // 6)) if moving else (lambda _: 1.0)
    optimizer = kind(weights, lr=peak, **options)
    written = False
    for step in range(steps):
        rate = peak * schedule(step)
        for group in optimizer.param_groups:
            group["lr"] = rate
        gradients = [0.1 * torch.randn(shape, generator=generator) for shape in SHAPES]
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = gradient.clone()
        optimizer.step()
        written |= any(not torch.equal(w.grad, g) for w, g in zip(weights, gradients, strict=True))
        for index, (weight, gradient) in enumerate(zip(exact, (g.double() for g in gradients), strict=True)):
            if paper == "LARS":
                ratio = COEFFICIENT * weight.norm() / (gradient.norm() + decay * weight.norm())
                first[index] = MOMENTUM * first[index] + rate * ratio * (gradient + decay * weight)
                weight -= first[index]
                continue
            first[index] = 0.9 * first[index] + 0.1 * gradient
            second[index] = 0.999 * second[index] + 0.001 * gradient**2
            hats = first[index] / (1 - 0.9 ** (step + 1)), second[index] / (1 - 0.999 ** (step + 1))
            update = hats[0] / (hats[1].sqrt() + 1e-6) + decay * weight
            weight -= rate * weight.norm() / update.norm() * update
    apart = [
        ((w.detach().double() - e).norm() / (e - s).norm()).item()
        for w, e, s in zip(weights, exact, start, strict=True)
    ]
    return max(apart), written


def deviations(rivals: dict[str, Any], steps: int) -> dict[str, dict[str, Any]]:
    kinds: dict[str, Any] = {"stepsize LARS": LARS, "stepsize LAMB": LAMB, **rivals}
    if "timm LAMB" in rivals:
        kinds["timm LAMB, max_grad_norm=None"] = lambda p, **o: rivals["timm LAMB"](p, max_grad_norm=None, **o)
    if "pytorch_optimizer LAMB" in rivals:
        quiet = {"max_grad_norm": 0.0}
        kinds["pytorch_optimizer LAMB, max_grad_norm=0"] = lambda p, **o: rivals["pytorch_optimizer LAMB"](
            p, **quiet, **o
        )
    rows: dict[str, dict[str, Any]] = {}
    for name, kind in kinds.items():
        paper = "LARS" if "LARS" in name else "LAMB"
        usual: dict[str, Any] = {"weight_decay": DECAY} if paper == "LARS" else {"weight_decay": 0.01}
        if paper == "LARS":
            usual |= {"momentum": MOMENTUM, "trust_coefficient": COEFFICIENT}
        still, wrote = deviation(kind, paper, steps, False, usual)
        moving, _ = deviation(kind, paper, steps, True, usual)
        without, _ = deviation(kind, paper, steps, True, usual | {"weight_decay": 0.0})
        rows[name] = {"constant": still, "moving": moving, "no decay": without, "writes gradients": wrote}
    return rows


def timed(name: str, shapes: Shapes, makes: dict[str, Make], rounds: int, memory: dict[str, float | None]) -> Any:
    figures = times(shapes, makes, rounds)
    count = sum(torch.Size(shape).numel() for shape in shapes)
    lines = [f"{name}: {len(shapes)} tensors, {count / 1e6:.1f} M numbers"]
    base = figures["torch SGD"]
    floor = min(interval(base)[0], 2.5 * interval(figures["copy"])[0])
    lines.append(f"  {'':26s} {'ms':>8s}   fused SGD steps         extra memory, MB")
    for each, spent in figures.items():
        ratio = interval([mine / sgd for mine, sgd in zip(spent, base, strict=True)])
        more = memory.get(each)
        shown = "" if more is None else f"{more:8.1f}"
        lines.append(
            f"  {each:26s} {interval(spent)[0]:8.1f}   {ratio[0]:5.2f} ({ratio[1]:.2f} to {ratio[2]:.2f})   {shown}"
        )
    lines.append(
        f"  floor, 5 words a number (7 for LAMB) at the best rate of SGD and copy: {floor:.1f} ms ({1.4 * floor:.1f}), "
        f"{floor / interval(base)[0]:.2f} ({1.4 * floor / interval(base)[0]:.2f}) SGD steps"
    )
    pairs = zip(figures["two norms"], base, strict=True)
    middle, low, high = interval([1 + norms / sgd for norms, sgd in pairs])
    lines.append(f"  SGD and two norms, each alone: {middle:.2f} ({low:.2f} to {high:.2f}) SGD steps")
    for rule in ("LARS", "LAMB"):
        for other in (each for each in figures if each.endswith(rule) and not each.startswith("stepsize")):
            pairs = zip(figures[other], figures[f"stepsize {rule}"], strict=True)
            middle, low, high = interval([theirs / ours for theirs, ours in pairs])
            lines.append(f"  {other} takes {middle:.2f} ({low:.2f} to {high:.2f}) times as long as stepsize {rule}")
    return lines, {"milliseconds": figures, "memory": memory}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few repetitions, as CI runs it; writes no log")
    parser.add_argument("--rivals", help="folder with timm and pytorch_optimizer")
    parser.add_argument("--memory", help=argparse.SUPPRESS)
    parser.add_argument("--list", help=argparse.SUPPRESS)
    given = parser.parse_args()
    lists = {"residual network": residual_network, "transformer": transformer, "small": small}
    rivals = found(given.rivals)
    makes = contenders(rivals)
    if given.memory:
        print(extra_memory(lists[given.list](), makes[given.memory]))
        return
    rounds, names = (2, ["small"]) if given.quick else (15, ["residual network", "transformer"])
    lines = [f"{rounds} interleaved rounds; processor time, median (95 % interval of the median)"]
    if not rivals:
        lines.append("timm and pytorch_optimizer are not installed here, so that their rows are missing (--rivals)")
    data: dict[str, Any] = {}
    for name in names:
        progress(name)
        measured = list(makes)[-1:] if given.quick else makes  # each in a process of its own
        memory = {each: memory_in_a_process(given.rivals, each, name) for each in measured}
        said, data[name] = timed(name, lists[name](), makes, rounds, memory)
        lines += said
    data["deviations"] = rows = deviations(rivals, steps=30)
    lines.append("relative difference of the displacement from the paper's (float64), worst tensor, 30 steps:")
    lines.append(f"  {'':42s} {'constant':>9s} {'moving':>9s} {'no decay':>9s}  writes gradients")
    for name, row in rows.items():
        shown = " ".join(f"{row[key]:9.1e}" for key in ("constant", "moving", "no decay"))
        lines.append(f"  {name:42s} {shown}  {'yes' if row['writes gradients'] else 'no'}")
    conclude("optimizers", lines, data, given.quick)


if __name__ == "__main__":
    main()
