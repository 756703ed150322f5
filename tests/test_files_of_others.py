"""Files of a run as crashes, disks and strangers leave them: refused in one line or gone on with, nothing lost."""

import io
import json
import os
import pickle
import random
import resource
import shutil
import signal
import subprocess
import sys
import threading
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from children import child
from files_of_others import attacks, changed, contents, copied, small, stopped
from test_watch import scalars

from stepsize import Control, Record, TensorBoard, train
from stepsize.cli import run
from stepsize.pages import comparison, picture
from stepsize.record import Run
from stepsize.state import RandomState
from stepsize.task import CheckpointError, read_state, save_state, steps_done
from stepsize.views import drawable
from stepsize.watch import JsonLines, RecordWarning

TASK = """
import itertools, os, torch
from stepsize import Task

def batches(generator):
    for step in itertools.count():
        if step == int(os.environ.get("STOP", -1)):
            raise KeyboardInterrupt
        yield torch.randn(8, 3, generator=generator)

task = Task(
    name="mine",
    model=lambda: torch.nn.Linear(3, 2),
    batches=batches,
    loss=lambda model, batch: (model(batch) - batch[:, :2]).square().mean(),
    optimizer=lambda parameters, lr: torch.optim.AdamW(parameters, lr=lr),
    score=lambda model: float(model(torch.ones(1, 3)).square().sum()),
    metrics=lambda model: {"validation_loss": float((model(torch.ones(1, 3)) - 1).square().mean())},
    steps=12,
    evaluate_every=2,
)
"""
SETTINGS = {"lr": 0.01, "evaluate_every": 2}


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    """A training of the library that was stopped at step 6."""
    return stopped(tmp_path_factory.mktemp("half") / "half")


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """Beside a task's file the run y of the command line, stopped at step 6, and z, finished."""
    root = tmp_path_factory.mktemp("runs")
    (root / "train.py").write_text(TASK)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        assert run(["train", "train.py:task", "--lr", "0.01", "--out", "z"]) == 0
        patch.setenv("STOP", "6")
        assert run(["train", "train.py:task", "--lr", "0.01", "--out", "y"]) == 130
    return root


@pytest.fixture
def here(run_folder, tmp_path, monkeypatch):
    """A copy of it, as the current folder."""
    monkeypatch.chdir(copied(run_folder, tmp_path / "here"))
    return Path("y")


def refused(error):
    """One clear line."""
    message = str(error)
    assert "\n" not in message
    assert 10 < len(message) < 700
    return True


def refused_or_goes_on(folder):
    """Whether a training is refused, in one line and with every file as it was, or reaches its end."""
    before = contents(folder)
    try:
        trained = train(small(), **SETTINGS, folder=folder, resume=True)
    except CheckpointError as error:
        assert contents(folder) == before
        return refused(error)
    assert trained.steps == 12 or trained.diverged
    return False


def check_attacks(half, target, chosen):
    refusals = 0
    for place, what, state in chosen:
        copied(half, target)
        save_state(target / "last.pt", state)
        try:
            refusals += refused_or_goes_on(target)
        except Exception as error:
            error.add_note(f"at {place}: {what}")
            raise
    return refusals


def test_any_field_of_a_checkpoint_missing_of_another_type_or_out_of_range(half, tmp_path):
    every = list(attacks(read_state(half / "last.pt"), tensors=True))
    assert len(every) > 1_500
    chosen = random.Random(0).sample(every, 120)
    assert check_attacks(half, tmp_path / "run", chosen) > 90


@pytest.mark.slow
def test_every_field_of_a_checkpoint_missing_of_another_type_or_out_of_range(half, tmp_path):
    every = list(attacks(read_state(half / "last.pt"), tensors=True))[::3]  # of each place another third of the values
    assert check_attacks(half, tmp_path / "run", every) > 0.85 * len(every)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("run", "done"), 10**9),
        (("run", "done"), 7),
        (("losses",), torch.full((6,), float("nan"), dtype=torch.float64)),
        (("losses",), torch.ones(6, 1, dtype=torch.float64)),
        (("losses",), torch.ones(13, dtype=torch.float64)),
        (("run", "control", "position"), 3.0),
        (("run", "optimizer", "param_groups", 0, "eps"), 1e-3),
        (("run", "model", "weight"), torch.zeros(2, 3, dtype=torch.float64)),
        (("run", "random", "numpy", 2), 10**6),
        (("history", 0, "step"), 99),
    ],
)
def test_fields_that_contradict_each_other_are_refused(half, tmp_path, place, value):
    state = changed(read_state(half / "last.pt"), place, value)
    assert check_attacks(half, tmp_path / "run", [(place, "contradicts", state)]) == 1


@pytest.mark.parametrize("name", ["last.pt", "best.pt"])
def test_every_flipped_bit_of_a_checkpoint_is_noticed(half, tmp_path, name):
    content = (half / name).read_bytes()
    places = random.Random(1).sample(range(len(content)), 80) + list(range(len(content) - 100, len(content), 2))
    for place in places:
        for bit in (0, 5):
            flipped = bytearray(content)
            flipped[place] ^= 1 << bit
            (tmp_path / name).write_bytes(flipped)
            with pytest.raises(ValueError, match="cannot be read as a checkpoint") as caught:
                read_state(tmp_path / name)
            assert refused(caught.value)


@pytest.mark.parametrize("name", ["last.pt", "best.pt"])
def test_a_checkpoint_cut_anywhere_is_refused(half, tmp_path, name):
    content = (half / name).read_bytes()
    for part in range(50):
        (tmp_path / name).write_bytes(content[: len(content) * part // 50])
        with pytest.raises(ValueError, match="cannot be read as a checkpoint"):
            read_state(tmp_path / name)
    for more in (b"\0", content):
        (tmp_path / name).write_bytes(content + more)
        if more == b"\0":
            with pytest.raises(ValueError, match="cannot be read as a checkpoint"):
                read_state(tmp_path / name)


def test_a_checkpoint_of_the_last_version_without_a_checksum_is_gone_on_with(half, tmp_path):
    state = torch.load(half / "last.pt", weights_only=True)
    copied(half, tmp_path / "run")
    torch.save(state, tmp_path / "run" / "last.pt")
    assert not refused_or_goes_on(tmp_path / "run")


class Executed:
    """Something whose loading would make a folder."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def saved(content, **more):
    buffer = io.BytesIO()
    torch.save(content, buffer, **more)
    return buffer.getvalue()


def test_files_of_other_kinds_are_no_checkpoints_and_nothing_in_them_is_executed(half, tmp_path):
    trap = str(tmp_path / "trap")
    for content in [
        b"",
        b"text",
        b"PK\x05\x06" + 18 * b"\0",
        saved(torch.nn.Linear(3, 2).state_dict()),
        saved(torch.ones(3)),
        saved({"trial": Executed(trap)}),
        saved({"step": 3}, _use_new_zipfile_serialization=False),
        pickle.dumps(Executed(trap)),
        pickle.dumps({"trial": {"key": "", "text": ""}}),
        random.Random(2).randbytes(5_000),
    ]:
        folder = copied(half, tmp_path / "run")
        (folder / "last.pt").write_bytes(content)
        assert refused_or_goes_on(folder)
    assert not Path(trap).exists()


def special(path, kind):
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to({"loop": path, "nowhere": path.with_name("gone"), "device": "/dev/zero"}[kind])


KINDS = ["pipe", "folder", "loop", "nowhere", "device"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_is_refused_and_never_waited_for(here, capsys, kind):
    for name in ("last.pt", "metrics.jsonl"):
        folder = copied(here, Path("w"))
        (folder / name).unlink()
        special(folder / name, kind)
        before = contents(folder)
        capsys.readouterr()
        assert run(["train", "--resume", "w"]) == 2
        said = capsys.readouterr().err.splitlines()[-1]
        assert f"w/{name}" in said
        assert "a regular file" in said
        assert contents(folder) == before


def test_a_missing_checkpoint_is_said_where_there_are_curves_and_nothing_is_lost(here, capsys):
    (here / "last.pt").unlink()
    before = contents(here)
    assert run(["train", "--resume", "y"]) == 2
    assert "y has no last.pt to go on from, though its curves reach step 5" in capsys.readouterr().err
    assert contents(here) == before
    for name in ("metrics.jsonl", "best.pt"):
        (here / name).unlink()
    assert run(["train", "--resume", "y"]) == 0  # stopped before its first checkpoint: it begins


def test_a_refused_checkpoint_leaves_the_run_as_it_was(here, capsys):
    state = read_state(here / "last.pt")
    save_state(here / "last.pt", {**state, "run": {**state["run"], "random": {}}})
    before = contents(here)
    assert run(["train", "--resume", "y"]) == 2
    assert "random" in capsys.readouterr().err.splitlines()[-1]
    assert contents(here) == before
    assert json.loads(before["run.json"])["status"] == "interrupted"


def lines_of(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


@pytest.mark.parametrize(
    "damage", [b"{", b"\xff\xfe", b"[1, 2]", b"7", b"", b"\0" * 40, b'{"loss": 1}', b'{"step": "x"}']
)
def test_a_damaged_line_is_left_out_alone_and_said(here, capsys, damage):
    whole = (here / "metrics.jsonl").read_bytes().split(b"\n")
    (here / "metrics.jsonl").write_bytes(b"\n".join([*whole[:2], damage, *whole[3:]]))
    capsys.readouterr()
    assert run(["train", "--resume", "y"]) == 0
    said = capsys.readouterr().err.replace(f"{Path.cwd()}/", "")
    assert "line 3 of y/metrics.jsonl is damaged and left out" in said
    others = [line for line in lines_of("z/metrics.jsonl") if line["step"] != 2]
    assert lines_of(here / "metrics.jsonl") == others


def test_curves_that_end_before_the_checkpoint_are_said_and_kept(here, capsys):
    lines = (here / "metrics.jsonl").read_text().splitlines(keepends=True)
    (here / "metrics.jsonl").write_text("".join(lines[:3]) + lines[3][:20])
    capsys.readouterr()
    assert run(["train", "--resume", "y"]) == 0
    said = capsys.readouterr().err.replace(f"{Path.cwd()}/", "")
    assert "y/metrics.jsonl ends at step 2, behind the checkpoint at step 6" in said
    assert "line 4 of y/metrics.jsonl is damaged" in said
    assert [line["step"] for line in lines_of(here / "metrics.jsonl")] == [0, 1, 2, *range(6, 12)]


def test_a_last_line_that_comes_again_is_not_worth_a_word(here, capsys):
    with (here / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "lo')
    capsys.readouterr()
    assert run(["train", "--resume", "y"]) == 0
    assert "damaged" not in capsys.readouterr().err
    assert lines_of(here / "metrics.jsonl") == lines_of("z/metrics.jsonl")


def test_what_is_appended_to_a_line_that_was_cut_off_stays_whole(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 0}\n{"st')
    lines = JsonLines(path)
    lines.on(Record(1, 1, values={"rate": 0.1}))
    assert path.read_text().splitlines() == ['{"step": 0}', '{"st', '{"step": 1, "position": 1, "rate": 0.1}']


def test_curves_are_on_the_disk_before_a_checkpoint_says_so(tmp_path, monkeypatch):
    seen, real = [], os.fsync

    def noted(descriptor):
        seen.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    train(small(), **SETTINGS, folder=tmp_path, watch=[JsonLines(tmp_path / "metrics.jsonl")])
    checkpoints = [place for place, name in enumerate(seen) if name.startswith(".last.pt")]
    assert len(checkpoints) > 5
    assert all(seen[place - 1] == "metrics.jsonl" for place in checkpoints)


HOLDS = """
import sys, time
from stepsize.state import locked
with locked(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_process_is_refused_while_the_first_lives_and_a_dead_one_frees_the_run(here, capsys):
    before = contents(here)
    with child([sys.executable, "-c", HOLDS, "y"], stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout.readline() == "held\n"
        capsys.readouterr()
        assert run(["train", "--resume", "y"]) == 2
        said = capsys.readouterr().err
        assert f"y is in use by process {first.pid} on " in said
        with pytest.raises(ValueError, match=f"in use by process {first.pid} on .*; wait until it ends or stop it"):
            train(small(), **SETTINGS, folder=here)
        assert {name: content for name, content in contents(here).items() if name != ".lock"} == before
    assert run(["train", "--resume", "y"]) == 0
    assert not (here / ".lock").exists()


class Trains:
    """An observer that trains in the same folder from within a step."""

    def __init__(self, folder):
        self.folder, self.threads = folder, []

    def wants(self, step):
        if step == 3:

            def second():
                try:
                    train(small(), **SETTINGS, folder=self.folder)
                except ValueError as error:
                    self.threads.append(str(error))

            thread = threading.Thread(target=second)
            thread.start()
            thread.join()
        return ()

    def on_step(self, record):
        """Nothing."""

    def on_observe(self, step, values):
        """Nothing."""

    def on_event(self, step, event):
        """Nothing."""


def test_a_second_thread_is_refused_as_well(tmp_path):
    trains = Trains(tmp_path)
    assert train(small(), **SETTINGS, folder=tmp_path, watch=[trains]).steps == 12
    assert len(trains.threads) == 1
    assert f"in use by process {os.getpid()}" in trains.threads[0]


def state_of_control():
    weight = torch.ones(1, requires_grad=True)
    control = Control(torch.optim.SGD([weight], lr=0.1), lr="linear()", feedback="plateau(patience=1)", total=10)
    for _ in range(3):
        weight.sum().backward()
        control.step(1.0)
    return control


def test_any_field_of_a_controls_state_missing_of_another_type_or_out_of_range():
    saved = state_of_control().state_dict()
    control, before, refusals = state_of_control(), saved, 0
    every = list(attacks(saved))
    for place, what, state in every:
        try:
            control.load_state_dict(state)
        except (TypeError, ValueError) as error:
            refusals += refused(error)
            assert control.state_dict() == before, (place, what)
        else:
            control = state_of_control()
    assert refusals > 0.75 * len(every)


def test_any_field_of_a_random_state_missing_or_of_another_type_is_refused_in_one_line():
    state = RandomState.seeded(3)
    for _, _, other in attacks(state.state_dict(), tensors=True):
        try:
            RandomState.from_state_dict(other).restore()
        except ValueError as error:
            refused(error)
    state.restore()


DAMAGE = [b"", b"{", b"[]", b"7", b"null", b'"x"', b"\xff\xfe", b"[" * 100_000, b"\0\0\0"]
NUMBERS = [1e308, -1e308, 5e-324, 10**400, 2**60]


def records(folder):
    """A run's folder with one of its files damaged in each of many ways: what was done, after it is done."""
    for name in ("metrics.jsonl", "validation.jsonl", "finding.json", "run.json"):
        content = (folder / name).read_bytes()
        for part in range(50):
            (folder / name).write_bytes(content[: len(content) * part // 50])
            yield f"{name} cut at {part}/50"
        for damage in DAMAGE:
            (folder / name).write_bytes(damage)
            yield f"{name} of {damage[:9]!r}"
        lines = content.splitlines() if name.endswith("l") else [content]
        for place, what, entry in attacks(json.loads(lines[-1])):
            (folder / name).write_bytes(b"\n".join([*lines[:-1], json.dumps(entry, default=str).encode()]))
            yield f"{name}: {place} {what}"
        for place, _, entry in attacks(json.loads(lines[-1])):
            for number in NUMBERS if len(place) == 1 else ():
                entry[place[0]] = number
                (folder / name).write_bytes(b"\n".join([*lines[:-1], json.dumps(entry, default=str).encode()]))
                yield f"{name}: {place} {number!r:.9}"
        (folder / name).write_bytes(content)


FINDING = {
    "rate": 0.1,
    "low": 0.05,
    "high": 0.2,
    "initial": 2.0,
    "trials": [{"rate": 0.1, "steps": 5, "score": 1.0}, {"rate": 1.0, "steps": 5, "score": None}],
}


def found(folder):
    (folder / "finding.json").write_text(json.dumps(FINDING))
    return folder


@pytest.mark.parametrize("part", [0, *(pytest.param(part, marks=pytest.mark.slow) for part in range(1, 5))])
def test_a_damaged_record_is_read_as_far_as_it_is_whole_and_the_rest_said(here, part):
    found(here)
    whole, count = drawable(Run.open(here)), 0
    for what in records(here):
        count += 1
        if count % 5 != part:
            continue
        before = contents(here)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            try:
                record = drawable(Run.open(here))
            except ValueError as error:
                refused(error)
                continue
        assert all(warning.category is RecordWarning and refused(warning.message) for warning in said), what
        lost = len(record.steps) < len(whole.steps) or record.finding is None or len(record.facts) < len(whole.facts)
        # a file that ends with a whole line, or is empty, shows no damage
        seems_whole = all(content[-1:] in (b"", b"\n") for name, content in before.items() if name.endswith("jsonl"))
        assert said or not lost or ("jsonl" in what and seems_whole) or "missing" in what, what
        assert contents(here) == before
    assert count > 700


def drawn(here, chosen):
    codes = []
    for number, what in enumerate(records(here)):
        if number not in chosen:
            continue
        before = contents(here)
        try:
            code = run(["plot", "y"])
        except Exception as error:
            error.add_note(what)
            raise
        assert code in (0, 2), what
        after = contents(here)
        assert {name: after[name] for name in before if name != "picture.png"} == {
            name: content for name, content in before.items() if name != "picture.png"
        }
        codes.append(code)
    return codes


@pytest.mark.slow
def test_a_damaged_record_is_drawn_as_far_as_it_is_whole(here, capsys):
    found(here)
    codes = drawn(here, {55, 420})
    assert len(codes) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.slow
def test_any_damaged_record_is_drawn_as_far_as_it_is_whole(here, capsys):
    found(here)
    assert len(drawn(here, set(random.Random(3).sample(range(700), 20)))) == 20
    assert "Traceback" not in capsys.readouterr().err


def test_numbers_beyond_a_picture_are_left_out_and_said(here, capsys):
    lines = [
        {"step": step, "loss": value, "rate": 0.1} for step, value in enumerate([1.0, 1e308, -1e308, 5e-324, None])
    ]
    (here / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert run(["plot", "y"]) == 0
    assert "y/metrics.jsonl: 2 values are beyond 1e+100 and left out" in capsys.readouterr().err


def test_names_are_drawn_as_they_are_and_not_as_formulas(here):
    name = "_$\\frac{$"
    (here / "run.json").write_text(json.dumps({"task": f"{name}\x00", "plan": f"lr: {name}", "status": name}))
    (here / "validation.jsonl").write_text(json.dumps({"step": 6, name: 1.0, "accuracy": 0.5}))
    assert picture(here).stat().st_size > 10_000


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_what_cannot_be_written_is_an_error_of_the_call_that_writes_it(tmp_path):
    with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        JsonLines("/dev/full").on(Record(0, 0, values={"rate": 0.1}))
    board, threads = TensorBoard(tmp_path, every=1), threading.active_count()
    limit, written = resource.getrlimit(resource.RLIMIT_FSIZE), []

    def write(most):
        for step in range(most):
            board.on(Record(step, step, values={"loss": 1.0}))
            written.append(step)

    resource.setrlimit(resource.RLIMIT_FSIZE, (300, limit[1]))
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with pytest.raises(OSError, match=r"File too large: .*tfevents"):
            write(50)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, before)
    board.on(Record(50, 50, values={"loss": 2.0}))  # there is room again
    board.close()
    assert threading.active_count() == threads
    assert scalars(tmp_path)[1]["loss"] == {**dict.fromkeys(written, 1.0), 50: 2.0}


def test_a_metric_called_step_is_refused_where_it_is_given(here, tmp_path):
    task = small()
    with pytest.raises(ValueError, match=r"metrics\(...\) of the task 'small' must not be called 'step'"):
        train(replace(task, metrics=lambda model: {"step": 3.0}), lr=0.01)
    lines = JsonLines(tmp_path / "metrics.jsonl")
    with pytest.raises(ValueError, match="another name than 'step'"):
        lines.on(Record(3, 3, "observed", {"step": 7.0}))


@pytest.mark.slow
def test_runs_are_compared_in_one_picture(here, capsys):
    assert run(["plot", "y", "z"]) == 0
    assert capsys.readouterr().out == "picture  runs.png\n"
    assert comparison(["y", "z"], "two.png").stat().st_size > 10_000
    for words, said in {
        ("plot", "y", "here"): "needs --total",
        ("plot", "y", "z", "-o", "a.csv"): "must be a file ending in",
        ("plot", "y", "."): "a run folder",
    }.items():
        assert run(words) == 2
        assert said in capsys.readouterr().err


ON_A_FULL_DISK = """
import os, shutil, sys
from pathlib import Path
from stepsize.cli import run

def did(*words):
    print("code", run([*words]))

if os.system("mount -t tmpfs -o size=120k none disk"):
    sys.exit(77)
shutil.copy("train.py", "disk")
os.chdir("disk")
did("train", "train.py:task", "--lr", "0.01", "--out", "r")
print(Path("r/run.json").read_text(), *os.listdir("r"))
os.system("cat /dev/zero > filler 2>/dev/null")
did("train", "--resume", "r")
print(Path("r/run.json").read_text())
did("plot", "linear()", "--total", "10", "-o", "p.png")
print(*os.listdir("."))
os.system("mount -o remount,size=64m disk || mount -o remount,size=64m .")
did("train", "--resume", "r")
"""


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_a_true_status_and_with_room_again_the_run_goes_on(tmp_path):
    if shutil.which("unshare") is None:
        pytest.skip("needs a disk of its own")
    (tmp_path / "disk").mkdir()
    (tmp_path / "train.py").write_text(TASK.replace("Linear(3, 2)", "Linear(3, 2_000)").replace(":2]", ":1]"))
    command = ["unshare", "-rm", sys.executable, "-u", "-c", ON_A_FULL_DISK]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    done = subprocess.run(command, cwd=tmp_path, check=False, timeout=300, **pipes)
    said = done.stdout
    if done.returncode == 77 or "unshare" in said:
        pytest.skip("needs a disk of its own")
    assert "Traceback" not in said
    first, _, rest = said.partition("code 2")
    assert "t.pt: No space left on device" in first
    assert rest.count('"status": "failed: ') == 2
    assert '"resumed_at": ' in rest
    assert "partial" not in rest
    assert "p.png: No space left on device" in rest
    assert rest.rstrip().endswith("code 0")


@pytest.mark.parametrize("left", [[], [0], [0, 2]])
def test_validations_that_the_record_has_lost_are_said(here, capsys, monkeypatch, left):
    monkeypatch.setenv("STOP", "9")
    assert run(["train", "train.py:task", "--lr", "0.01", "--out", "w"]) in (1, 130)
    monkeypatch.delenv("STOP")
    record = Path("w/validation.jsonl")
    lines = record.read_text().splitlines(keepends=True)
    assert len(lines) > 3
    record.write_text("".join(lines[place] for place in left))
    capsys.readouterr()
    assert run(["train", "--resume", "w"]) == 0
    assert capsys.readouterr().err.count("lacks the validations of step ") == 1
    assert run(["train", "train.py:task", "--lr", "0.01", "--out", "v"]) == 0
    assert "lacks" not in capsys.readouterr().err


@pytest.mark.parametrize("fate", ["os.rename('w', 'moved')", "__import__('shutil').rmtree('w')"])
def test_a_run_folder_that_goes_away_is_one_line(here, capsys, monkeypatch, fate):
    text = Path("train.py").read_text().replace("raise KeyboardInterrupt", fate)
    Path("train.py").write_text(text)
    monkeypatch.setenv("STOP", "6")
    assert run(["train", "train.py:task", "--lr", "0.01", "--out", "w"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.replace(f"{Path.cwd()}/", "") == "stepsize: w/last.pt: No such file or directory"
    if Path("moved").exists():
        monkeypatch.delenv("STOP")
        assert steps_done("moved") == 6
        assert run(["train", "--resume", "moved"]) == 0
        assert lines_of("moved/metrics.jsonl") == lines_of("z/metrics.jsonl")
