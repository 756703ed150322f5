"""The courses' commands: the two comparisons, and the topics of the gallery."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from stepsize.cli._begin import alone
from stepsize.cli._folder import Folder, new_folder
from stepsize.cli._interrupts import uninterrupted
from stepsize.cli._picture import drawn
from stepsize.cli._problems import StoppedError
from stepsize.cli._screen import Screen
from stepsize.cli._topics import Topic, play
from stepsize.record import PICTURE, RUNNING, environment, to_json
from stepsize.state import write_atomic
from stepsize.task.built_in import BowlCourse, LakeCourse
from stepsize.views import save, sheet_figure


def compared(course: BowlCourse | LakeCourse, *, out: Path | None, as_json: bool) -> int:
    """Make a course's comparison, keep it with its picture, and return the exit code."""
    torch.set_num_threads(1)
    screen, began = Screen(as_json), time.perf_counter()
    with _results(course.name, out, **course.settings()) as folder:
        with screen.progress(f"course {course.name}", course.work) as bar:
            result = course.run(bar)
        for name, values in result.data.items():
            write_atomic(folder.path / name, (to_json(values) + "\n").encode())
        folder.write(**result.answer, status="finished")
    for line in result.lines:
        screen.say(line)
    seconds = time.perf_counter() - began
    screen.say(f"results  {folder.path}   ({seconds:.1f} s)")
    path = folder.path / PICTURE
    image = drawn(screen, lambda: save(sheet_figure(result.sheet()), path), path, f"stepsize course {course.name}")
    places = {"run": str(folder.path), "picture": None if image is None else str(image)}
    screen.answer(course=course.name, **result.answer, cost={"seconds": round(seconds, 3)}, **places)
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
    about = {"claim": topic.claim, "result": topic.result, "printed": lines, "run": str(folder.path)}
    cost = {"seconds": round(seconds, 3)}
    screen.answer(course=topic.name, **about, pictures=[str(picture) for picture in kept], cost=cost)
    return 0


def shown(topic: Topic, as_json: bool) -> int:
    """Print a topic's program, and return the exit code."""
    screen, program = Screen(as_json), topic.path.read_text(encoding="utf-8")
    if not as_json:
        screen.say(program.rstrip())
    screen.answer(course=topic.name, claim=topic.claim, result=topic.result, program=program)
    return 0


@contextmanager
def _results(name: str, out: Path | None, **settings: Any) -> Iterator[Folder]:
    """A new folder for a block of work; what stops the block is written down in it."""
    alone("course", "since it takes seconds")
    folder = new_folder(f"course-{name}", out)
    try:
        with uninterrupted():
            folder.write(command=f"course {name}", said=settings, status=RUNNING, **environment())
        yield folder
    except KeyboardInterrupt:
        if folder.facts()["status"] == RUNNING:
            folder.write(status="interrupted")
        raise StoppedError(f"stopped; nothing is kept but the settings, in {folder.path}") from None
    except Exception as error:
        folder.write(status=f"failed: {type(error).__name__}: {error}")
        raise
