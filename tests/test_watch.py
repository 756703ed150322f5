"""What is written can be read: TensorBoard by TensorBoard, JSON lines by anything, run folders at every moment."""

import json
import os
import subprocess
import sys

import pytest
import torch
from boards import board_server
from children import ran

from stepsize import Control, JsonLines, TensorBoard, train
from stepsize.pages import picture
from stepsize.record import read_lines
from stepsize.state import write_atomic
from stepsize.task import task_named
from stepsize.watch import RunFolder, environment, to_json

DIGITS = task_named("digits")


def scalars(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return events.Tags(), {tag: {e.step: e.value for e in events.Scalars(tag)} for tag in events.Tags()["scalars"]}


def test_tensorboard_and_json_lines_hold_the_same_figures(tmp_path):
    board, lines = TensorBoard(tmp_path, every=5), JsonLines(tmp_path / "metrics.jsonl", every=5)
    board.add_graph(DIGITS.model(), DIGITS.example())
    trained = train(DIGITS, lr=0.1, steps=20, watch=[board, lines])
    board.close()
    lines.close()
    tags, points = scalars(tmp_path)
    assert tags["graph"]
    along = {"curvature", "decrease_ratio"}
    assert set(points) == {"loss", "rate", "gradient_norm", "validation_loss", "accuracy", *along}
    written = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in written if "loss" in line]
    assert [line["step"] for line in steps] == [0, 5, 10, 15]
    for line in steps:
        assert line["loss"] == trained.losses[line["step"]]
        for name, value in line.items():
            if name not in ("step", "position"):
                assert points[name][line["step"]] == pytest.approx(value, rel=1e-6)
    assert points["accuracy"][20] == pytest.approx(trained.metrics["accuracy"])


def test_the_graph_leaves_model_and_randomness_alone(tmp_path):
    model = DIGITS.model().train()
    before, state = torch.get_rng_state(), [t.clone() for t in model.state_dict().values()]
    board = TensorBoard(tmp_path)
    board.add_graph(model, DIGITS.example())
    board.close()
    assert model.training
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(state, model.state_dict().values(), strict=True))


@pytest.mark.slow
def test_a_script_that_never_closes_its_board_loses_nothing_and_a_real_server_shows_it(tmp_path):
    script = (
        "import torch\nfrom stepsize import Control, TensorBoard\n"
        "w = torch.ones(1, requires_grad=True)\n"
        f"control = Control(torch.optim.SGD([w], lr=0.1), watch=TensorBoard({str(tmp_path / 'a')!r}, every=1))\n"
        "for _ in range(3):\n    loss = w.square().sum(); loss.backward(); control.step(loss)\n"
    )
    assert ran(["-c", script]).returncode == 0
    with board_server(tmp_path) as get:
        points = get("scalars", "scalars", run="a", tag="loss")
    assert [step for _, step, _ in points] == [0, 1, 2]


def test_lines_are_whole_at_every_moment_and_numbers_strict_json(tmp_path):
    path = tmp_path / "new" / "metrics.jsonl"
    lines = JsonLines(path)
    weight = torch.tensor([float("inf")], requires_grad=True)
    control = Control(torch.optim.SGD([weight], lr=0.1), watch=lines)
    loss = weight.sum()
    loss.backward()
    control.step(loss)
    assert json.loads(path.read_text())["loss"] is None
    assert to_json({"a": [float("nan"), 1.5], "b": None}) == '{"a": [null, 1.5], "b": null}'


FRESH = """
import os, sys
from stepsize.watch import RunFolder
go, told = os.pipe()
mine = os.fork()
if mine:
    os.write(told, b"1")  # both begin now
else:
    os.read(go, 1)
names = [RunFolder.fresh("digits", sys.argv[1]).path.name for _ in range(20)]
if mine:
    os.waitpid(mine, 0)
os.write(1, "".join(name + "\\n" for name in names).encode())
os._exit(0)
"""


def test_fresh_folders_are_never_shared(tmp_path):
    done = subprocess.run([sys.executable, "-c", FRESH, str(tmp_path)], capture_output=True, text=True, check=True)
    assert sorted(done.stdout.split()) == [f"digits-{number:04d}" for number in range(1, 41)]


def test_a_folder_that_holds_a_run_is_refused_and_stays_as_it_is(tmp_path):
    RunFolder(tmp_path / "a").write(status="finished")
    before = (tmp_path / "a" / "run.json").read_bytes()
    with pytest.raises(FileExistsError, match="holds another run"):
        RunFolder(tmp_path / "a")
    assert (tmp_path / "a" / "run.json").read_bytes() == before
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        RunFolder(tmp_path / "file" / "b")


def test_a_write_that_fails_leaves_the_old_file_and_no_rest(tmp_path, monkeypatch):
    path = tmp_path / "run.json"
    write_atomic(path, b"old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["run.json"]


def test_the_environment_says_versions_and_git_state():
    facts = environment()
    assert facts["versions"]["torch"] == torch.__version__
    assert facts["git"] is None or len(facts["git"]["commit"]) == 40


def test_a_picture_needs_a_run(tmp_path):
    with pytest.raises(ValueError, match=r"with a run\.json"):
        picture(tmp_path)
    RunFolder(tmp_path / "empty").write(status="running")
    with pytest.raises(ValueError, match="something to draw"):
        picture(tmp_path / "empty")


def test_a_line_has_the_order_of_its_signals_whatever_other_observers_want(tmp_path):
    class Looks:
        def wants(self, step):
            return ("gradient_norm", "rate")

        def begin(self, facts):
            pass

        on = end = begin

    lines = []
    for name, others in (("a", []), ("b", [Looks()])):
        watch = [*others, JsonLines(tmp_path / name)]
        weight = torch.ones(1, requires_grad=True)
        control = Control(torch.optim.SGD([weight], lr=0.1), watch=watch)
        loss = weight.square().sum()
        loss.backward()
        control.step(loss)
        lines.append((tmp_path / name).read_text())
    assert lines[0] == lines[1]


def stepped(control, weight):
    weight.grad = torch.ones(1)
    return control.step(1.0)


def test_two_observers_of_one_process_do_not_write_one_file(tmp_path):
    weights = [torch.ones(1, requires_grad=True) for _ in range(3)]
    sgd = [torch.optim.SGD([weight], lr=0.1) for weight in weights]
    path = tmp_path / "metrics.jsonl"
    (tmp_path / "link.jsonl").symlink_to(path)
    first, second = JsonLines(path), JsonLines(tmp_path / "link.jsonl")
    one, shared = Control(sgd[0], watch=first), Control(sgd[1], watch=first)  # one observer of two controls
    stepped(one, weights[0])
    stepped(shared, weights[1])
    assert len(read_lines(path).texts) == 2
    two = Control(sgd[2], watch=second)  # as when a notebook's cell is run again
    stepped(two, weights[2])
    with pytest.raises(ValueError, match="is written by another JsonLines now"):
        stepped(one, weights[0])
    stepped(two, weights[2])
    assert len(read_lines(path).texts) == 4  # nothing of the older one in between


def test_a_device_may_be_shared():
    weights = [torch.ones(1, requires_grad=True) for _ in range(2)]
    first, second = (
        Control(torch.optim.SGD([weight], lr=0.1), watch=JsonLines(os.devnull), remind=False) for weight in weights
    )
    for control, weight in [(first, weights[0]), (second, weights[1]), (first, weights[0])]:
        stepped(control, weight)
    assert [control.position for control in (first, second)] == [2, 1]  # neither has pushed the other out
