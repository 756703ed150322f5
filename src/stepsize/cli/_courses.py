"""The courses' two comparisons: rates on a bowl beside theory, and schedules of alpha on the frozen lake."""

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stepsize import _check
from stepsize.cli._begin import alone
from stepsize.cli._folder import Folder, new_folder
from stepsize.cli._interrupts import uninterrupted
from stepsize.cli._picture import drawn
from stepsize.cli._problems import StoppedError
from stepsize.cli._screen import Screen
from stepsize.cli._topics import Topic, play
from stepsize.record import PICTURE, RUNNING, environment, to_json
from stepsize.state import write_atomic
from stepsize.task import Trial
from stepsize.task.built_in._bowl_sweep import HIGHEST, measured_threshold, rate_sweep
from stepsize.task.built_in._course_sheets import NEAR, learning, trajectories
from stepsize.task.built_in._frozenlake_curves import learning_curves, prepared
from stepsize.task.built_in._frozenlake_world import world
from stepsize.task.built_in._quadratic import bowl, stable_below
from stepsize.views import save, sheet_figure


def descents(
    values: tuple[float, ...],
    lr: list[str] | None,
    *,
    momentum: float,
    rotation: float,
    steps: int,
    rates: int,
    out: Path | None,
    as_json: bool,
) -> int:
    """Do what the words of ``course quadratic`` say, and return the exit code."""
    said: dict[str, Any] = {"rotation": math.radians(_check.number("rotation", rotation)), "momentum": momentum}
    bowl(values, steps=steps, **said)
    drawn = None if lr is None else [_number(word) for each in lr for word in each.split(",")]
    for rate in (*(drawn or ()), HIGHEST * stable_below(values, momentum)):
        Trial("quadratic", {"lr": rate})
    _check.whole("rates", rates, least=2)
    torch.set_num_threads(1)
    screen, began = Screen(as_json), time.perf_counter()
    with _results("quadratic", out, eigenvalues=values, steps=steps, rates=rates, **said) as folder:
        with screen.progress("course quadratic", rates) as bar:
            paths, sweep = rate_sweep(values, rates=rates, paths=drawn, steps=steps, progress=bar, **said)
        first = sweep[0].losses[0]
        losses = [float(each.losses[-1] / first) for each in sweep]
        _write(folder, "sweep.json", {"rates": [each.rate for each in sweep], "last_over_first_loss": losses})
        bound, (low, high) = stable_below(values, momentum), measured_threshold(sweep)
        best = min(range(len(sweep)), key=lambda index: losses[index] if losses[index] >= 0 else math.inf)
        answer = {
            "rate": sweep[best].rate,
            "metrics": {"last_over_first_loss": losses[best]},
            "theory": {"converges_below": bound},
            "measured": {"converges_up_to": low, "diverges_at": high},
        }
        folder.write(**answer, status="finished")
    screen.say(f"theory    converges below {bound:.4g}, which is 2 (1 + momentum) / {max(values):g}")
    screen.say(f"measured  converges up to {low:.4g}, diverges at {high:.4g}, in {steps} steps")
    screen.say(f"best      {sweep[best].rate:.4g}: {losses[best]:.2g} of the first loss is left")
    _finish(screen, folder, "quadratic", answer, time.perf_counter() - began, lambda: trajectories(paths, sweep))
    return 0


def learners(alphas: list[str], *, seeds: int, seed: int, episodes: int, out: Path | None, as_json: bool) -> int:
    """Do what the words of ``course frozenlake`` say, and return the exit code."""
    texts = {text: text for text in alphas}
    chosen = range(_check.whole("seed", seed, least=0), seed + seeds)
    prepared(texts, chosen, episodes)
    world()  # its package is asked for before there is a folder
    screen, began = Screen(as_json), time.perf_counter()
    with _results("frozenlake", out, alphas=list(texts), seeds=list(chosen), episodes=episodes) as folder:
        with screen.progress("course frozenlake", episodes * seeds * len(texts)) as bar:
            curves = learning_curves(texts, chosen, episodes, progress=bar)
        success = {name: values.tolist() for name, values in curves.success.items()}
        _write(folder, "curves.json", {"episodes": curves.at.tolist(), "success": success})
        learnt = [
            {
                "alpha": name,
                "success": float(curves.success[name][-1].mean()),
                "gaps": curves.gaps(name).tolist(),
                "near": int(np.sum(curves.gaps(name) <= NEAR)),
            }
            for name in texts
        ]
        answer = {"optimum": curves.optimum, "alphas": learnt}
        folder.write(**answer, status="finished")
    for each in learnt:
        near = f"{each['near']} of {seeds} seeds within {NEAR} of the optimum"
        screen.say(f"{each['alpha']}: success {each['success']:.3f}, {near}")
    screen.say(f"optimum   {curves.optimum:.3f}, by value iteration")
    _finish(screen, folder, "frozenlake", answer, time.perf_counter() - began, lambda: learning(curves))
    return 0


def demonstrated(topic: Topic, *, out: Path | None, as_json: bool) -> int:
    """Run a topic's program, keep its pictures, and return the exit code."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    screen = Screen(as_json)
    with _results(topic.name, out, program=topic.path.name) as folder:
        screen.say(f"claim    {topic.claim}")
        lines, pictures, seconds = play(topic, folder.path, sys.stdout)
        folder.write(printed=lines, claim=topic.claim, result=topic.result, status="finished")
    kept = [folder.path / picture.name for picture in pictures]
    screen.say(f"result   {topic.result}")
    for picture in kept:
        screen.say(f"picture  {picture}")
    said = {"printed": lines, "run": str(folder.path), "pictures": [str(picture) for picture in kept]}
    about = {"claim": topic.claim, "result": topic.result}
    screen.answer(course=topic.name, **about, **said, cost={"seconds": round(seconds, 3)})
    return 0


def shown(topic: Topic, as_json: bool) -> int:
    """Print a topic's program, and return the exit code."""
    screen, program = Screen(as_json), topic.path.read_text(encoding="utf-8")
    if not as_json:
        screen.say(program.rstrip())
    screen.answer(course=topic.name, claim=topic.claim, result=topic.result, program=program)
    return 0


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise ValueError(_check.message("lr", word, "a number > 0", "write for example --lr 0.1,0.9")) from None


@contextmanager
def _results(name: str, out: Path | None, **said: Any) -> Iterator[Folder]:
    """A new folder for a block of work; what stops the block is written down in it."""
    alone("course", "since it takes seconds")
    folder = new_folder(f"course-{name}", out)
    try:
        with uninterrupted():
            folder.write(command=f"course {name}", said=said, status=RUNNING, **environment())
        yield folder
    except KeyboardInterrupt:
        if folder.facts()["status"] == RUNNING:
            folder.write(status="interrupted")
        raise StoppedError(f"stopped; nothing is kept but the settings, in {folder.path}") from None
    except Exception as error:
        folder.write(status=f"failed: {type(error).__name__}: {error}")
        raise


def _write(folder: Folder, name: str, values: dict[str, Any]) -> None:
    write_atomic(folder.path / name, (to_json(values) + "\n").encode())


def _finish(
    screen: Screen, folder: Folder, name: str, answer: dict[str, Any], seconds: float, sheet: Callable[[], Any]
) -> None:
    screen.say(f"results  {folder.path}   ({seconds:.1f} s)")
    shown = folder.path / PICTURE
    image = drawn(screen, lambda: save(sheet_figure(sheet()), shown), shown, f"stepsize course {name}")
    said = {"run": str(folder.path), "picture": None if image is None else str(image)}
    screen.answer(course=name, **answer, cost={"seconds": round(seconds, 3)}, **said)
