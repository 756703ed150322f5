"""What needs no torch loads none: help, lists, schedules and their pictures; help is in the order of use."""

import json
import re
import subprocess
import sys

import pytest

import stepsize
from stepsize.cli import run
from stepsize.task import AXES, BUILT_IN, CATALOGUE

# what takes long to import; numpy is what schedules are made of
HEAVY = {"torch", "matplotlib", "scipy", "sklearn", "pandas", "tensorboard", "ray", "datasets", "gymnasium", "sqlite3"}
PROGRAM = f"""
import sys
from stepsize.cli import run

for words in WORDS:
    code = run(words)
    loaded = sorted({{name.partition(".")[0] for name in sys.modules}} & {HEAVY})
    print(code, " ".join(words), "loads", *loaded, file=sys.stderr)
"""
COMMANDS = [
    "tune",
    "find",
    "train",
    "sweep",
    "scale",
    "init",
    "tasks",
    "schedules",
    "plot",
    "report",
    "steer",
    "replay",
    "watch",
    "compare",
    "diagnose",
    "runs",
    "course",
]
COURSES = ["quadratic", "frozenlake", "warmup", "combined"]
HELP = [["--help"], *([each, "--help"] for each in COMMANDS), *(["course", each, "--help"] for each in COURSES)]
LISTS = [["--version"], ["tasks"], ["tasks", "--json"], ["schedules"], ["schedules", "--json"], ["runs"], ["init"]]
TABLE = [["plot", "warmup(5%) >> cosine()", "--total", "100", "-o", "table.csv"]]
PICTURES = [["plot", "cosine()", "linear()", "--total", "100", "-o", "both.png"], ["schedules", "wsd", "-o", "wsd.png"]]


@pytest.mark.parametrize(
    ("commands", "allowed"),
    [(HELP, ""), (LISTS, ""), (TABLE, ""), (PICTURES, "matplotlib")],
    ids=["help", "lists", "table", "pictures"],
)
def test_what_needs_no_torch_loads_none(commands, allowed, tmp_path):
    program = PROGRAM.replace("WORDS", repr(commands))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    said = [line for line in done.stderr.splitlines() if line.partition(" loads")[1]]
    assert said == [f"0 {' '.join(words)} loads {allowed}".strip() for words in commands]


def test_training_does_load_it(tmp_path):
    program = PROGRAM.replace("WORDS", repr([["find", "quadratic", "--budget", "nonsense"]]))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "2 find quadratic --budget nonsense loads" in done.stderr
    assert "torch" in done.stderr.split()


def help_of(capsys, *words):
    assert run([*words, "--help"]) == 0
    return capsys.readouterr().out


def test_help_lists_the_commands_in_the_order_in_which_a_person_meets_them(capsys):
    assert re.findall(r"^│ ([a-z]+) ", help_of(capsys), re.MULTILINE) == COMMANDS


PANELS = ["Arguments", "Options", "What to train", "How", "Where", "Output"]


@pytest.mark.parametrize("command", ["tune", "find", "train", "sweep"])
def test_help_shows_options_in_panels(command, capsys):
    text = help_of(capsys, command)
    panels = dict(zip(re.findall(r"╭─ (.*?) ─+╮", text), re.split(r"╭─ .*? ─+╮", text)[1:], strict=True))
    assert [panel for panel in panels if panel != "A run that was stopped"] == PANELS
    own = {
        name: panel
        for panel, inside in panels.items()
        for name in re.findall(r"^│ \*? *(--[\w-]+)", inside, re.MULTILINE)
    }
    assert {name for name, panel in own.items() if panel == "Options"} == {"--help"}  # each other one has its panel
    expected = {"--schedule": "What to train", "--amp": "How", "--device": "Where", "--json": "Output"}
    assert {name: own[name] for name in expected} == expected


def test_the_catalogue_is_what_the_tasks_say_themselves(capsys):
    assert list(CATALOGUE.items()) == [(name, (task.steps, task.about)) for name, task in BUILT_IN.items()]
    assert run(["tasks", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["tasks"]
    assert listed == [{"name": each.name, "steps": each.steps, "about": each.about} for each in BUILT_IN.values()]


def test_candidates_of_every_axis_are_in_their_canonical_form():
    for name, axis in AXES.items():
        for value in axis.candidates:
            assert value is None or axis.canonical(name, value) == value


LATE = """
import sys
from stepsize import pages, state, task

rooms = [pages, state, task]
for room in rooms:
    assert set(room.__all__) <= set(dir(room)), room
assert "torch" not in sys.modules
for room in rooms:
    for name in room.__all__:
        getattr(room, name)
    try:
        room.nonsense
    except AttributeError as error:
        print(error)
assert "torch" in sys.modules
"""


def test_names_that_are_loaded_late_are_known_and_others_refused():
    done = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True, check=True)
    wanted = [f"module 'stepsize.{room}' has no attribute 'nonsense'" for room in ("pages", "state", "task")]
    assert done.stdout.splitlines() == wanted


def test_a_room_by_its_name_loads_no_other():
    code = "import stepsize, sys\nassert stepsize.schedule.cosine\nfrom stepsize import pages\n"
    code += "print('torch' in sys.modules, 'stepsize.finder' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"


def test_only_torch_free_pictures_come_without_it():
    code = "import sys\nfrom stepsize import cosine, draw\ndraw(cosine(9))\nassert 'torch' not in sys.modules\n"
    code += "from stepsize.views import draw as again\ntry:\n    draw(3)\nexcept TypeError as error:\n    print(error)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("value must be a schedule, schedules by name, a Control")
    assert stepsize.draw.__name__ == "draw"
