"""What pages name can be imported, a likely mistake is answered with what to write, and pictures are saved."""

import copy
import importlib
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import stepsize
from stepsize import Control, Plan, Schedule, Scheduler, cosine, draw, linear, one_cycle, plateau, warmup
from stepsize._check import closest
from stepsize.optim import adaptive_clipping, value_clipping

ROOT = Path(__file__).parents[1]
ROOMS = sorted(
    path.parent.name for path in (ROOT / "src" / "stepsize").glob("*/__init__.py") if path.parent.name != "cli"
)
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])
PUBLIC = {name for room in ROOMS for name in importlib.import_module(f"stepsize.{room}").__all__}


def named(text):
    """Every word of a page's code and of what stands between backticks."""
    code = re.findall(r"^```.*?^```$|`[^`\n]+`", text, re.MULTILINE | re.DOTALL)
    return {word for each in code for word in re.findall(r"[A-Za-z_]\w*", each)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_public_name_on_a_page_is_imported_from_stepsize(page):
    for name in named(page.read_text(encoding="utf-8")) & PUBLIC:
        assert hasattr(stepsize, name), f"from stepsize import {name}"


def test_every_schedule_is_at_the_front_door_for_type_checkers_too():
    assert set(stepsize.schedule.PIECES) <= set(stepsize.__all__)
    assert set(stepsize.__all__) <= PUBLIC
    source = (ROOT / "src/stepsize/__init__.py").read_text()
    assert set(re.findall(r"^    from stepsize\.\w+ import (\w+) as", source, re.MULTILINE)) == set(stepsize.__all__)


def test_names_are_imported_in_a_fresh_python_one_by_one():
    code = "from stepsize import one_minus_sqrt, piecewise_linear, stairs, capture, LARS\nimport stepsize.finder\n"
    code += "from stepsize import find, evaluating\nassert callable(find)\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("wrong", "meant"), [("cosin", "cosine"), ("lars", "LARS"), ("evaluatin", "evaluating"), ("schedul", "schedule")]
)
def test_a_wrong_name_is_answered_with_the_closest_of_any_room(wrong, meant):
    with pytest.raises(AttributeError, match=f"no attribute '{wrong}'; did you mean .*'{meant}'.*\\?$"):
        getattr(stepsize, wrong)
    with pytest.raises(AttributeError, match=r"no attribute 'xylophones'$"):
        _ = stepsize.xylophones


def test_the_closest_names_are_close_and_end_the_sentence():
    assert closest("cosin", stepsize.schedule.PIECES) == "did you mean 'cosine'?"
    assert closest("LINEAR", ["linear", "log"]) == "did you mean 'linear'?"
    assert closest("grop", ["group0", "group1"]) == "did you mean 'group1' or 'group0'?"
    assert closest("zzz", ["b", "a"]) == "there is a, b"
    with pytest.raises(ValueError, match=r"there is no task 'digit'; .*; did you mean 'digits'\?$"):
        stepsize.task_named("digit")


def sgd():
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)


def halved(position):
    return 0.5


schedulers = torch.optim.lr_scheduler
MISTAKES = {
    "a lambda": (lambda: lambda t: 1.0, 'lr=from_function(..., name="mine")'),
    "a function": (lambda: halved, 'lr=from_function(..., name="halved")'),
    "a function in a list": (lambda: [linear(), halved], 'lr=from_function(..., name="halved")'),
    "a function by name": (lambda: {"*": halved}, 'lr=from_function(..., name="halved")'),
    "a scheduler": (lambda: schedulers.StepLR(sgd(), 3), "lr=from_torch(scheduler)"),
    "a scheduler in a list": (lambda: [schedulers.CosineAnnealingLR(sgd(), 3)], "lr=from_torch(scheduler)"),
    "a plateau of torch": (lambda: schedulers.ReduceLROnPlateau(sgd()), "plan=from_torch(scheduler)"),
    "a piece without brackets": (lambda: cosine, "write cosine(), with brackets"),
    "a recipe without brackets": (lambda: one_cycle, "write one_cycle(), with brackets"),
    "a number": (lambda: 0.1, 'lr=warmup("5%") >> cosine()'),
    "a tensor": (lambda: torch.tensor(0.1), 'lr=warmup("5%") >> cosine()'),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_what_is_no_schedule_is_answered_with_what_to_write(name):
    make, said = MISTAKES[name]
    for build in (lambda lr: Control(sgd(), lr=lr), lambda lr: Scheduler(sgd(), lr), lambda lr: Plan(lr=lr)):
        with pytest.raises(TypeError, match="lr must be a schedule or its text") as caught:
            build(make())
        assert said in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1


def test_a_picture_is_saved_in_one_line(tmp_path):
    control = Control(sgd(), lr="warmup(10%) >> cosine()", total=50)
    for _ in range(20):
        control.step()
    for number, value in enumerate([cosine(5), {"a": cosine(5), "b": linear(9)}, control, control.preview()]):
        path = tmp_path / f"{number}.png"
        draw(value).savefig(path)
        assert path.read_bytes().startswith(b"\x89PNG")


def test_a_control_or_scheduler_is_drawn_over_its_whole_run():
    control = Control(sgd(), lr=linear(), total=50)
    scheduler = Scheduler(sgd(), linear(), total=50)
    for driver in (control, scheduler):
        (line,) = draw(driver).lines
        assert line.get_ydata().tolist() == pytest.approx([0.1 * (1 - t / 50) for t in range(50)])
    with pytest.raises(ValueError, match=r"give positions= or total=, as in draw\(control.preview\(range"):
        draw(Control(sgd(), lr="constant()"))
    with pytest.raises(TypeError, match=r"Schedule.parse\(text\).over\(total\)"):
        draw("cosine()")


PLANS = [
    Plan(),
    Plan("warmup(5%) >> cosine()", clip=1, cap=0.5),
    Plan(["cosine()", "linear()"], clip=value_clipping(0.5), momentum="linear(start=0.5)"),
    Plan({"head": "cosine()", "*": "stairs(linear(), 1ep)"}, clip=adaptive_clipping(0.1), feedback=plateau()),
    Plan(warmup(3) * cosine(), clip=linear(start=1, end=0.1), beta2="linear()", floor=0.1, cap="linear()"),
    Plan(stepsize.from_function(halved, name="halved")),
    Plan(**one_cycle()),
]


@pytest.mark.parametrize("plan", PLANS, ids=[str(number) for number in range(len(PLANS))])
def test_plans_are_copied_pickled_and_hashed_also_once_looked_at(plan):
    for one in (plan, plan.over(100, per_epoch=10)):
        _ = one.courses, one.bounds, one.functions, str(one)
        for copied in (pickle.loads(pickle.dumps(one)), copy.deepcopy(one), copy.copy(one)):
            assert copied == one
            assert hash(copied) == hash(one)
            assert str(copied) == str(one)
            assert dict(copied.courses) == dict(one.courses)
    assert Schedule.parse("cosine()") in {cosine()}
