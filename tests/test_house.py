"""The house holds: imports run downwards, importing is cheap, public names are sorted, documented and typed."""

import ast
import importlib
import inspect
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import stepsize

SOURCE = Path(stepsize.__file__).parent
FLOORS = [
    {"_check", "_extras", "_json", "_lazy", "_origin", "_schema", "_version", "schedule"},
    {"optim", "state"},
    {"control", "probe", "record", "search"},
    {"diagnosis", "views", "watch"},
    {"task"},
    {"engine"},
    {"finder", "scale", "sweeps"},
    {"cli", "integrations", "pages"},
    {"__main__"},
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
MAY_USE_ITS_OWN_FLOOR = {
    "_extras": {"_check"},
    "_schema": {"_check"},
    "schedule": {"_check"},
    "cli": {"pages"},
    "probe": {"control", "search"},
    "scale": {"finder", "sweeps"},
    "watch": {"diagnosis"},
}
ROOMS = sorted(path.name for path in SOURCE.iterdir() if path.is_dir() and path.name != "__pycache__")


@cache
def nodes(path):
    """Everything in a file, read once for all that is asked of it."""
    return list(ast.walk(ast.parse(path.read_text())))


def room_of(path):
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported_rooms(path):
    """Every room of stepsize that a file imports, at the top or inside a function."""
    for node in nodes(path):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "stepsize" and len(parts) > 1:
                yield parts[1]


def test_every_room_has_a_floor():
    assert set(ROOMS) <= set(FLOOR)


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_run_only_downwards_lazy_ones_too(path):
    room = room_of(path)
    if room == "__init__":
        return  # the front door hands out names from every floor, lazily
    for other in imported_rooms(path):
        below = FLOOR[other] < FLOOR[room]
        assert below or other == room or other in MAY_USE_ITS_OWN_FLOOR.get(room, set()), f"{path} imports {other}"


def private_imports(path):
    """Every private file of another room, and of a room inside another, that a file imports."""
    for node in nodes(path):
        if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("stepsize."):
            continue
        parts = node.module.split(".")[1:]
        inner = [place for place, part in enumerate(parts) if part.startswith("_")]
        if inner and inner[0] > 0:
            house = "/".join(parts[: inner[0]])
            here = path.relative_to(SOURCE).parent.as_posix()
            if house != here and not house.startswith(f"{here}/") and not here.startswith(f"{house}/"):
                yield node.module


def test_no_room_looks_into_private_files_of_another():
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        if private := list(private_imports(path)):
            found[path.relative_to(SOURCE).as_posix()] = private
    assert found == {}


# files that may know each other: what a schedule is, and what >> and * make of two
CIRCLES = {
    frozenset({"schedule/_core.py", "schedule/_combine.py"}),
}


def neighbours():
    """By file, the files that it imports, lazily and for type hints too; the rooms' front doors aside."""
    files = {
        f"stepsize.{'.'.join(path.relative_to(SOURCE).with_suffix('').parts)}": path for path in SOURCE.rglob("*.py")
    }
    found = {}
    for module, path in files.items():
        names = set()
        for node in nodes(path):
            if isinstance(node, ast.ImportFrom):
                names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
            elif isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
        found[module] = {name for name in names if name in files}
    return {module: names for module, names in found.items() if files[module].name != "__init__.py"}


def reachable(start, graph):
    seen, todo = set(), [start]
    while todo:
        for module in graph[todo.pop()] - seen:
            seen.add(module)
            todo.append(module)
    return seen


def test_no_files_import_each_other_in_a_circle():
    graph = neighbours()
    graph = {module: names & set(graph) for module, names in graph.items()}
    reached = {module: reachable(module, graph) for module in graph}
    circles = {
        frozenset(f"{name.partition('.')[2].replace('.', '/')}.py" for name in names if module in reached[name])
        for module, names in reached.items()
        if module in names
    }
    assert circles <= CIRCLES


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_only_the_command_line_prints_and_assert_is_for_tests(path):
    for node in nodes(path):
        assert not isinstance(node, ast.Assert)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print":
            assert room_of(path) == "cli"


PUTS_BACK = {"state/_graph.py"}  # slots of foreign objects, as they were


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_frozen_value_is_written_to_by_itself_alone_while_it_is_made(path):
    for node in nodes(path):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "object.__setattr__":
            allowed = path.relative_to(SOURCE).as_posix() in PUTS_BACK
            assert allowed or ast.unparse(node.args[0]) == "self", f"line {node.lineno}"


def loaded(code):
    """The top-level modules that are loaded after running some code in a fresh Python."""
    command = [
        sys.executable,
        "-c",
        f"{code}\nimport sys\nprint(' '.join({{name.split('.')[0] for name in sys.modules}}))",
    ]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


HEAVY = {
    "accelerate",
    "lightning",
    "transformers",
    "matplotlib",
    "tensorboard",
    "sklearn",
    "typer",
    "rich",
    "datasets",
    "google",
    "scipy",
}


def test_importing_stepsize_loads_neither_torch_nor_numpy():
    assert not loaded("import stepsize") & {"torch", "numpy", *HEAVY}


def test_schedules_load_without_torch():
    code = "from stepsize import warmup\nfrom stepsize.schedule import cosine\n(warmup(5) >> cosine()).over(10)(3)"
    assert not loaded(code) & {"torch", *HEAVY}


def test_the_lower_floors_load_no_picture_data_or_command_line_library():
    code = "from stepsize import Control, range_test\nimport stepsize.optim, stepsize.state, stepsize.probe"
    assert not loaded(code) & HEAVY


def test_importing_a_room_under_a_name_gives_the_room():
    lines = [f"import stepsize.{room} as room\nassert isinstance(room, type(sys)), room" for room in ROOMS]
    functions = "from stepsize import draw, find, sweep\nassert all(map(callable, (draw, find, sweep)))"
    code = "\n".join(["import sys", *lines, functions])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def public():
    """Every public name of the front door and of every room, with where it stands."""
    seen = {}
    for module in [stepsize, *(importlib.import_module(f"stepsize.{room}") for room in ROOMS)]:
        for name in module.__all__:
            seen.setdefault(id(getattr(module, name)), (f"{module.__name__}.{name}", getattr(module, name)))
    return sorted(seen.values(), key=lambda pair: pair[0])


@pytest.mark.parametrize("module", ["stepsize", *(f"stepsize.{room}" for room in ROOMS)])
def test_public_names_are_sorted_and_there(module):
    names = importlib.import_module(module).__all__
    assert list(names) == sorted(names, key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    assert set(names) <= set(dir(importlib.import_module(module)))


def test_the_front_door_says_close_names():
    with pytest.raises(AttributeError, match="cosin"):
        _ = stepsize.cosin
    assert stepsize.__version__ in (SOURCE / "_version.py").read_text()


@pytest.mark.parametrize(("name", "value"), public(), ids=[name for name, _ in public()])
def test_public_names_are_documented_and_typed(name, value):
    if not (inspect.isclass(value) or inspect.isfunction(value)):
        return  # constants and aliases are documented where they stand
    document = inspect.getdoc(value)
    assert document
    assert document.splitlines()[0][-1] in ".?!"
    functions = [value] if inspect.isfunction(value) else []
    if inspect.isclass(value):
        functions = [
            member
            for key, member in vars(value).items()
            if inspect.isfunction(member) and member.__module__.startswith("stepsize")
            if key == "__init__" or not key.startswith("_")
        ]
    for function in functions:
        hints = inspect.get_annotations(function)  # mypy reads them; some name a type of an optional package
        parameters = [key for key in inspect.signature(function).parameters if key not in ("self", "args", "kwargs")]
        missing = {*parameters, "return"} - set(hints)
        assert not missing, missing
        if function.__name__ != "__init__":
            assert inspect.getdoc(function), function.__name__


def has_example(value):
    return ">>>" in (inspect.getdoc(value) or "")


RECORDS = {
    "Answer",
    "Band",
    "Cells",
    "Mark",
    "Note",
    "Scale",
    "Series",
    "Sheet",
    "Replay",
    "Ask",
    "Best",
    "Captured",
    "Clipped",
    "Comparison",
    "Cost",
    "Course",
    "Curve",
    "Decision",
    "Entry",
    "Event",
    "Budget",
    "Finding",
    "Fork",
    "Judgement",
    "Lines",
    "LoopRun",
    "PlanEntry",
    "PlanFinding",
    "Stage",
    "Observation",
    "Outcome",
    "Parcel",
    "Preview",
    "RangeResult",
    "RangeTest",
    "Ranks",
    "Result",
    "Step",
    "Suggestion",
    "Trained",
    "Tried",
    "Update",
    "Verification",
}
INTERFACES = {"Batchable", "Paced", "Probed", "Resumable", "ShortRun", "Startable", "Training"}
WARNINGS = {
    "CheckpointError",
    "DiffersError",
    "DivergedError",
    "LockedError",
    "RecordWarning",
    "ScheduleTextError",
    "ShortRunWarning",
    "SweepFileError",
    "TaskChangedWarning",
    "TaskFileError",
    "TrainingInterrupted",
}


@pytest.mark.parametrize(("name", "value"), public(), ids=[name for name, _ in public()])
def test_everything_that_is_called_has_a_runnable_example(name, value):
    if inspect.isfunction(value) or inspect.isclass(value):
        assert has_example(value) or value.__name__ in RECORDS | INTERFACES | WARNINGS
