"""Feedback on noisy losses: false cuts, delay after the end of a fall, digits, and how often GreedyLR wins.

A. Runs of 1,000 steps with a false cut, on AR(1) noise (sd 0.1): around a constant, and around a loss that still falls.
   At most 5 % of the runs around a constant may be cut by ``noisy_plateau()``, whatever the correlation phi. And how
   many cuts one fall gets, and false cuts with one spike of 50 sds somewhere (both added after the first full run, so
   without a prediction).
B. Steps from the end of a fall to the cut, beside torch's rule (``plateau``) on the losses and on their exponential
   averages, of which the best is shown: with torch's patience tuned to our share of false cuts, and with both tuned to
   at most 5 % false cuts. Delays are of runs without a false cut; a cut that does not come in 1,500 steps is a miss and
   counts as later than any other. An exponential fall ends where half an sd of the noise is left of it.
C. Digits at constant rates: where the controllers cut, and what comes of it.
D. GreedyLR's win rate: final loss on the whole training set against a constant rate and cosine with warm-up, each with
   the same base rate and seed.

Prediction, written down after trying rules for A and B on prototypes of them, and before the first run of this script:
A. ``noisy_plateau()``: below 1 % at each phi around a constant; torch's defaults 100 %. While the loss falls by 5 sds
   over its patience, below 1 % up to phi 0.9; by 1 sd, 8 % at phi 0 and nearly all runs at phi 0.9, as the fall does
   not show over 200 steps then; power laws are cut in most runs.
B. At equal shares of false cuts, torch's median delay is twice ours on straight falls, and shorter than ours on the
   fastest exponential, where 200 is more patience than needed; both tuned, ours is shorter in most rows.
C. One or two cuts by ``noisy_plateau()``, the first at 400 to 600; the training loss is not better for it at 0.1, much
   better at 0.3, where it is spiky; torch's defaults cut before step 60, and end ten times higher.
D. With a window of 50 greedy wins against constant and cosine in 90 % of runs at a rate ten times too small, 40 %
   against constant and 20 % against cosine at a good one; without one (the defaults) it can only cut: 10 % against
   constant at the small rate, half at the good one.
"""

import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import torch
from _common import arguments, conclude, interval, progress
from sklearn.datasets import load_breast_cancer, load_diabetes
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from stepsize import Control, Task
from stepsize.control import Feedback, Observation, greedy, noisy_plateau, plateau
from stepsize.state import evaluating
from stepsize.task import task_named

SD, PHIS, HORIZON, NEVER = 0.1, (0.0, 0.5, 0.9, 0.95), 1_500, np.inf
PATIENCES = range(20, 620, 20)  # a block is a twentieth
STEPS = np.arange(5_000)
TRIED = """Tried and dropped, measured by hand on prototypes with the same noise:
  a line through ten block means, armed by its t at significance 1e-4, a cut at t < 1 (noisy_plateau as it was first):
    4,000 runs around a constant, phi 0, 0.5, 0.9, 0.95: patience 200 cuts 0.2, 0.3, 1.7, 7.3 %, patience 100 cuts 0.7,
    1.0, 15.5, 46.0 %; and a fall that is over within two of the ten blocks does not arm it: half of
    such runs are never cut
  ranks of ten means, not twenty: a loss in a hundred a spike of 20 sds, fall of 2 sds over patience: 42 %, not 24 %
  margin 2, not 3: phi 0.95 around a constant 2.2 % at patience 200, 9.6 % at 100; but a fall of 4 sds in all at phi 0.9
    is missed by 2 %, not by 21 %
  the level as the mean of the twenty means, not their median (the first full run): what is left of a steep fall in the
    oldest of them lifts it, and a second cut follows on the same plateau when there is little noise
  the fall from the means of the two halves of the blocks, and the start as the mean of the first (until 0.1): one spike
    hides a steady fall, which is cut: half of such runs without noise at patience 200
  significance 0.025, not 0.15: on a line of 1 sd per 200 steps median delay 89, not 129; false cuts 28 %, not 3 %"""


class Fall(NamedTuple):
    name: str
    losses: np.ndarray
    end: int


class Outcome(NamedTuple):
    rule: str
    patience: int
    false: float
    median: float
    ninety: float
    missed: float

    def __str__(self) -> str:
        median, ninety = ("never" if value == NEVER else f"{value:.0f}" for value in (self.median, self.ninety))
        return f"{self.rule}{self.patience:5d}{100 * self.false:5.0f}{median:>6s}{ninety:>6s}{100 * self.missed:5.0f}"


def noise(phi: float, runs: int, steps: int) -> np.ndarray:
    """AR(1) from its stationary state on."""
    values = np.random.default_rng(0).normal(0, SD, (runs, steps))
    values[:, 1:] *= np.sqrt(1 - phi**2)
    for step in range(1, steps):
        values[:, step] += phi * values[:, step - 1]
    return values


def cuts_of(controller: Feedback, losses: np.ndarray) -> Iterator[int]:
    state = controller.begin()
    for step, loss in enumerate(losses.tolist()):
        state, decision = controller(state, Observation(loss, step))
        if decision.reason:
            yield step


def first_cuts(controller: Feedback, runs: np.ndarray) -> np.ndarray:
    return np.array([next(cuts_of(controller, losses), NEVER) for losses in runs])


def droughts(runs: np.ndarray) -> np.ndarray:
    """The most observations without an improvement that torch's rule has counted, up to each step."""
    best, bad, most = np.full(len(runs), np.inf), np.zeros(len(runs), int), np.zeros(runs.shape, int)
    for step, losses in enumerate(runs.T):
        better = losses < best * (1 - 1e-4)
        best, bad = np.where(better, losses, best), np.where(better, 0, bad + 1)
        most[:, step] = np.maximum(bad, most[:, step - 1])
    return most


def torch_cuts(most: np.ndarray, patience: int) -> np.ndarray:
    cut = most > patience
    return np.where(cut[:, -1], cut.argmax(axis=1), NEVER)


def patience_for(most: np.ndarray, end: int, false: float) -> int:
    """The smallest patience with which torch's rule cuts at most this share of runs before the end."""
    return int(np.sort(most[:, end - 1])[::-1][min(int(false * len(most) + 1e-9), len(most) - 1)])


def averaged(runs: np.ndarray, decay: float) -> np.ndarray:
    total, averages = np.zeros(len(runs)), np.empty_like(runs)
    for step, losses in enumerate(runs.T):
        total = decay * total + (1 - decay) * losses
        averages[:, step] = total / (1 - decay ** (step + 1))
    return averages


def share(cuts: np.ndarray, end: int = 1_000) -> float:
    return float(np.mean(cuts < end))


def wilson(wins: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share."""
    z, part = 1.96, wins / count
    middle = (part + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(part * (1 - part) / count + z**2 / (4 * count**2))
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def outcome(rule: str, patience: int, cuts: np.ndarray, end: int) -> Outcome:
    late = cuts[cuts >= end] - end
    median, ninety = np.quantile(late, [0.5, 0.9], method="inverted_cdf") if len(late) else (NEVER, NEVER)
    return Outcome(rule, patience, share(cuts, end), float(median), float(ninety), float(np.mean(cuts == NEVER)))


def around_a_constant(runs: int, data: dict) -> list[str]:
    controllers = [noisy_plateau(patience=patience) for patience in (200, 100, 60)]
    rows: dict[str, list[str]] = {}
    for phi in PHIS:
        losses = 1 + noise(phi, runs, 1_000)
        most = droughts(losses)
        if not np.array_equal(first_cuts(plateau(), losses[:20]), torch_cuts(most, 10)[:20]):
            raise SystemExit("the vectorised form of torch's rule is not the controller's")
        for controller in controllers:
            cuts = first_cuts(controller, losses)
            low, high = wilson(int(np.sum(cuts < NEVER)), runs)
            data[f"{controller}, phi {phi}"] = share(cuts)
            rows.setdefault(f"{controller}", []).append(
                f"{100 * share(cuts):5.1f} ({100 * low:.1f} to {100 * high:.1f})".ljust(22)
            )
        for patience in (10, 200):
            shown = f"{100 * share(torch_cuts(most, patience)):5.1f}"
            rows.setdefault(f"torch, patience {patience}", []).append(f"{shown:22s}")
        rows.setdefault("torch: patience for 5 %", []).append(f"{patience_for(most, 1_000, 0.05):3d}{'':19s}")
        progress(f"constant, phi {phi}")
    worst = max(data[f"{controllers[0]}, phi {phi}"] for phi in PHIS)
    head = (
        f"A. Percent of runs of 1,000 steps around a constant with a cut (95 % interval), {runs:,} runs; phi = {PHIS}"
    )
    met = "met" if worst <= 0.05 else "MISSED"
    lines = [f"  {name:29s}{'  '.join(cells)}" for name, cells in rows.items()]
    return [head, *lines, f"  required of noisy_plateau(): at most 5 % at each phi; {met}, {worst:.2%}"]


def still_falling() -> Iterator[Fall]:
    steps = STEPS[:1_000]
    for sds in (5, 2, 1, 0.5, 0.2, 0.1):
        yield Fall(f"line, {sds:g} sd per 200 steps", 1 + sds * SD * (1_000 - steps) / 200, 1_000)
    for tau in (100, 300, 1_000):
        yield Fall(f"20 sd exp(-t / {tau})", 1 + 2 * np.exp(-steps / tau), min(1_000, int(tau * np.log(40))))
    for power in (0.5, 1):
        yield Fall(f"20 sd (1 + t / 10)^-{power:g}", 1 + 2 * (1 + steps / 10) ** -power, 1_000)


def while_it_falls(runs: int, data: dict) -> list[str]:
    controllers = noisy_plateau(), noisy_plateau(patience=400)
    lines = [
        f"A. Percent of runs with a cut while the loss still falls, {runs} runs, to step 1,000 or the end in brackets:"
    ]
    lines.append("  noisy_plateau(), noisy_plateau(patience=400), torch's default patience 10, torch with patience 200")
    lines.append(" " * 31 + "".join(f"{f'phi {phi:g}':>13s}{'':10s}" for phi in PHIS))
    for fall in still_falling():
        cells = []
        for phi in PHIS:
            losses = (fall.losses + noise(phi, runs, 1_000))[:, : fall.end]
            most = droughts(losses)
            cuts = [first_cuts(controller, losses) for controller in controllers]
            shares = [share(each, fall.end) for each in [*cuts, torch_cuts(most, 10), torch_cuts(most, 200)]]
            data[f"{fall.name}, phi {phi}"] = shares
            cells.append("".join(f"{100 * each:5.0f}" for each in shares))
        lines.append(f"  {f'{fall.name} ({fall.end})':33s}{'   '.join(cells)}")
        progress(lines[-1])
    return lines


def after_one_fall(runs: int, data: dict) -> list[str]:
    """How often a controller cuts when the loss falls once and then stays, whatever the rate."""
    lines = [
        f"A. Cuts in 2,500 steps of a loss that falls once, 20 sd exp(-t / 100), {runs} runs: share with 0, 1, 2, more"
    ]
    for controller, phi in product((noisy_plateau(), noisy_plateau(patience=100), plateau(patience=200)), PHIS):
        losses = 1 + 2 * np.exp(-STEPS[:2_500] / 100) + noise(phi, runs, 2_500)
        counts = np.array([sum(1 for _ in cuts_of(controller, each)) for each in losses])
        shares = [float(np.mean(np.minimum(counts, 3) == count)) for count in range(4)]
        data[f"{controller}, phi {phi}"] = shares
        lines.append(f"  {controller!s:28s} phi {phi:<6g}" + "".join(f"{each:6.0%}" for each in shares))
    return lines


def with_a_spike(runs: int, data: dict) -> list[str]:
    """False cuts in runs of 1,000 steps, without and with one spike of 50 sds at a step drawn for each run."""
    lines = [f"A. Percent of runs with a false cut, without and with one spike of 50 sds, {runs} runs"]
    for name, sds in (("steady fall, 10 sd per 200 steps", 10), ("constant", 0)):
        for phi, patience in product((None, 0.0, 0.9), (200, 100)):
            level = 1 + sds * SD * (1_000 - STEPS[:1_000]) / 200
            losses = level + (np.zeros((runs, 1_000)) if phi is None else noise(phi, runs, 1_000))
            spiky = losses.copy()
            spiky[np.arange(runs), np.random.default_rng(1).integers(0, 1_000, runs)] += 50 * SD
            shares = [share(first_cuts(noisy_plateau(patience=patience), each)) for each in (losses, spiky)]
            data[f"{name}, phi {phi}, patience {patience}"] = shares
            words = "no noise" if phi is None else f"phi {phi:g}"
            lines.append(f"  {name:34s}{words:10s}patience {patience}  " + "".join(f"{100 * s:6.1f}" for s in shares))
    return lines


def falls() -> Iterator[Fall]:
    for tau in (30, 100, 200):
        yield Fall(f"20 sd exp(-t / {tau})", 0.5 + 2 * np.exp(-STEPS / tau), int(np.ceil(tau * np.log(40))))
    for sds in (5, 2, 1):
        line = 0.5 + sds * SD * np.maximum(800 - STEPS, 0) / 200
        yield Fall(f"line, {sds} sd per 200", line, 800)
        yield Fall("same after exp(-t / 20)", line + 2 * np.exp(-STEPS / 20), 800)


def tuned_torch(rule: str, losses: np.ndarray, end: int, false: float) -> Outcome:
    most = droughts(losses)
    patience = patience_for(most, end, false)
    return outcome(rule, patience, torch_cuts(most, patience), end)


def tuned_ours(losses: np.ndarray, end: int) -> int:
    """The smallest patience with which at most 5 % of the runs are cut before the end of the fall."""

    def enough(patience: int) -> bool:
        return share(first_cuts(noisy_plateau(patience=patience), losses[:, :end]), end) <= 0.05

    return PATIENCES[min(bisect_left(PATIENCES, True, key=enough), len(PATIENCES) - 1)]


def delays(runs: int, data: dict) -> list[str]:
    rows: dict[str, list[list[Outcome]]] = {"equal": [], "tuned": []}
    lines: dict[str, list[str]] = {"equal": [], "tuned": []}
    for fall, phi in product(falls(), (0.0, 0.5, 0.9)):
        losses = fall.losses[: fall.end + HORIZON] + noise(phi, runs, fall.end + HORIZON)
        averages = {f"{decay:4g} ": averaged(losses, decay) for decay in (0.9, 0.97, 0.99)}
        for kind, patience in (("equal", 200), ("tuned", tuned_ours(losses, fall.end))):
            ours = outcome("", patience, first_cuts(noisy_plateau(patience=patience), losses), fall.end)
            false = ours.false if kind == "equal" else 0.05
            theirs = tuned_torch("", losses, fall.end, false)
            smooth = [tuned_torch(rule, values, fall.end, false) for rule, values in averages.items()]
            rows[kind].append([ours, theirs, min(smooth, key=lambda each: (each.median, each.ninety))])
            lines[kind].append(f"  {fall.name:26s}{phi:3.1f} " + "   ".join(map(str, rows[kind][-1])))
            data[f"{kind}, {fall.name}, phi {phi}"] = [
                [str(x) if x == NEVER else x for x in row] for row in rows[kind][-1]
            ]
            progress(lines[kind][-1])
    titles = "    p.  false 50 %  90 % miss"
    head = f"  {'':35s}{'noisy_plateau':30s}{'torch':30s}torch on averages (decay)\n"
    head += f"  {'':25s} phi{titles}{titles} {titles}"
    first = f"B. Steps from the end of a fall to the cut, {runs} runs: noisy_plateau(), and torch's rule with as many"
    return [
        *(f"{first} false cuts (%)", head, *lines["equal"], shorter(rows["equal"])),
        *("B. The same, each with its patience tuned to at most 5 % false cuts", head, *lines["tuned"]),
        shorter(rows["tuned"]),
    ]


def shorter(rows: list[list[Outcome]]) -> str:
    """How often the median delay is shorter than the rivals', where at most half of the runs are cut too early."""
    rows = [row for row in rows if row[0].false <= 0.5]
    plain, smooth = (sum(row[0].median < row[place].median for row in rows) for place in (1, 2))
    ratios = [interval([row[place].median / row[0].median for row in rows])[0] for place in (1, 2)]
    counts = f"shorter than torch's in {plain}, than on averages in {smooth} of {len(rows)} rows"
    return f"  median delay {counts} with at most half false; median ratio {ratios[0]:.2f} and {ratios[1]:.2f}"


class Ended(NamedTuple):
    loss: float
    metrics: dict[str, float]
    cuts: list[int]


def trained(task: Task, lr: float, schedule: str, feedback: Feedback | None, seed: int, steps: int) -> Ended:
    torch.manual_seed(seed)
    model = task.model()
    optimizer = task.optimizer(model.parameters(), lr)
    batches = task.batches(torch.Generator().manual_seed(seed))
    control = Control(optimizer, lr=schedule, feedback=feedback, total=steps, remind=False)
    for _ in range(steps):
        loss = task.loss(model, next(batches))
        loss.backward()
        control.step(loss)
    with evaluating(model), torch.no_grad():
        loss, metrics = task.score(model), dict(task.metrics(model))
    return Ended(loss if np.isfinite(loss) else np.inf, metrics, [event.step for event in control.log])


def digits(quick: bool, data: dict) -> list[str]:
    steps, seeds = (20, 1) if quick else (800, 2)
    lines = [
        f"C. Digits, {steps} steps at a constant rate: cuts; loss on the training set; validation loss and accuracy"
    ]
    for lr in (0.1, 0.3):
        for seed in range(seeds):
            for feedback in (None, noisy_plateau(), plateau(), plateau(patience=200)):
                ended = trained(task_named("digits"), lr, "constant()", feedback, seed, steps)
                data[f"{lr}, seed {seed}, {feedback}"] = ended._asdict()
                cuts = ", ".join(map(str, ended.cuts[:3])) + (
                    f" and {len(ended.cuts) - 3} more" * (len(ended.cuts) > 3)
                )
                values = f"{ended.loss:.5f}  {ended.metrics['validation_loss']:.4f}  {ended.metrics['accuracy']:.2%}"
                lines.append(f"  {lr}  seed {seed}  {feedback or 'none'!s:22s}{cuts or 'no cut':28s}{values}")
                progress(lines[-1])
    return lines


def small_task(name: str, load: Callable[..., Any], outputs: int, loss: Callable[..., Tensor]) -> Task:
    """Two hidden layers of 64 on a table of scikit-learn's, columns standardised; SGD with momentum, batches of 32."""
    table, target = load(return_X_y=True)
    x = torch.tensor((table - table.mean(0)) / table.std(0), dtype=torch.float32)
    y = torch.tensor(target)
    if loss is mse_loss:
        y = ((y - y.mean()) / y.std()).float().unsqueeze(1)

    def batches(generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            for picked in torch.randperm(len(y), generator=generator).split(32):
                yield x[picked], y[picked]

    return Task(
        name=name,
        model=lambda: nn.Sequential(
            nn.Linear(x.shape[1], 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, outputs)
        ),
        batches=batches,
        loss=lambda model, batch: loss(model(batch[0]), batch[1]),
        optimizer=lambda parameters, lr: torch.optim.SGD(parameters, lr=lr, momentum=0.9),
        score=lambda model: float(loss(model(x), y)),
        metrics=lambda _: {},
        steps=300,
    )


def wins(seeds: int, quick: bool, data: dict) -> list[str]:
    tasks = [
        (task_named("digits"), 0.1, 150),
        (small_task("MLP on breast_cancer", load_breast_cancer, 2, cross_entropy), 0.1, 300),
        (small_task("MLP on diabetes", load_diabetes, 1, mse_loss), 0.03, 300),
    ]
    lines = [f"D. GreedyLR (factor 0.95, patience 10, rates 0.001 to 1) over {seeds} seeds: wins (95 % interval), and"]
    lines.append("   median ratio of its final loss to the other's (95 % interval of the median)")
    for task, good, length in tasks:
        for lr in (good, good / 10):
            bounds = {"least": 0.001 / lr, "most": 1 / lr}
            arms = {
                "constant": ("constant()", None),
                "cosine": ("warmup(5%) >> cosine()", None),
                "window 1": ("constant()", greedy(**bounds)),
                "window 50": ("constant()", greedy(window=50, **bounds)),
            }
            losses: dict[str, list[float]] = {name: [] for name in arms}
            for seed in range(seeds):
                for name, (schedule, feedback) in arms.items():
                    losses[name].append(trained(task, lr, schedule, feedback, seed, 20 if quick else length).loss)
            data[f"{task.name}, {lr:g}"] = losses
            for mine, other in product(("window 1", "window 50"), ("constant", "cosine")):
                won = sum(a < b for a, b in zip(losses[mine], losses[other], strict=True))
                ratio = interval([a / b for a, b in zip(losses[mine], losses[other], strict=True)])
                line = f"  {task.name:21s}{lr:6g}  {mine:9s}  against {other:9s}"
                line += f"{won:3d} ({wilson(won, seeds)[0]:3.0%} to {wilson(won, seeds)[1]:4.0%})"
                lines.append(f"{line}  {ratio[0]:.3g} ({ratio[1]:.3g} to {ratio[2]:.3g})")
                progress(lines[-1])
    return lines


def main() -> None:
    quick = arguments(__doc__ or "").quick
    began = time.perf_counter()
    data: dict[str, dict] = {
        "constant": {},
        "falling": {},
        "once": {},
        "spike": {},
        "delay": {},
        "digits": {},
        "greedy": {},
    }
    lines = around_a_constant(40 if quick else 2_000, data["constant"])
    lines += while_it_falls(3 if quick else 200, data["falling"])
    lines += after_one_fall(2 if quick else 100, data["once"])
    lines += with_a_spike(10 if quick else 200, data["spike"])
    lines += delays(4 if quick else 200, data["delay"])
    lines += digits(quick, data["digits"])
    lines += wins(1 if quick else 20, quick, data["greedy"])
    lines += [TRIED, f"wall time {time.perf_counter() - began:.0f} s"]
    conclude("feedback", lines, data, quick)


if __name__ == "__main__":
    main()
