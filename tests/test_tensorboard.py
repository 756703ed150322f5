"""What TensorBoard is given, its own reader finds: charts side by side, layers, texts, settings; nothing twice."""

import json
import time
from collections import Counter

import numpy as np
import pytest
import torch
from boards import board_server

from stepsize import Control, JsonLines, Run, TensorBoard, linear
from stepsize.control import Bus, Signal

SIGNALS = ("loss", "rate", "rate/*", "gradient_norm", "update_ratio", "update_ratio/*")
STEPS = 20


class Found:
    rate = 0.25

    def __str__(self):
        return "rate 0.25\nby three runs"


def train(*watch, begin=0, end=STEPS, facts=None):
    """Some steps of a small network, the same whenever they are taken; validated every fifth, scaled once."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
    inputs = torch.randn(16, 3)
    silent = {"watch": Bus(watch, facts or {"task": "sum", "settings": {"lr": 0.25}})} if begin == 0 else {}
    optimizer = torch.optim.SGD(model.named_parameters(), lr=0.25)
    control = Control(optimizer, lr=linear(), total=STEPS, **silent)
    loss = torch.zeros(())
    for step in range(end):
        if step == begin and begin:
            saved, held = control.state_dict(), optimizer.state_dict()
            control.detach()
            optimizer = torch.optim.SGD(model.named_parameters(), lr=0.25)
            optimizer.load_state_dict(held)
            watching = Bus(watch, facts or {"task": "sum", "settings": {"lr": 0.25}})
            control = Control(optimizer, lr=linear(), total=STEPS, watch=watching)
            control.load_state_dict(saved)
            control.observe(validation_loss=2 * loss.item())  # a checkpoint is written before what is seen at its step
        loss = (model(inputs) - inputs.sum(1, keepdim=True)).square().mean()
        loss.backward()
        control.step(loss)
        if step % 5 == 4:
            control.observe(validation_loss=2 * loss.item())
        if step == 12:
            control.scale(0.5, reason="noisy")
    if end == STEPS:
        control.detach()


def read(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"tensors": 0, "scalars": 0, "histograms": 0})
    events.Reload()
    return events


def served(folder):
    """The same as the server reads it: a reader of its own, with rules of its own for what a run takes back."""
    from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    events.Reload()
    return events


def texts(folder, tag):
    events = served(folder)
    return [(event.step, event.tensor_proto.string_val[0].decode()) for event in events.Tensors(f"{tag}/text_summary")]


def layout(events):
    from tensorboard.plugins.custom_scalar import layout_pb2

    (found,) = events.Tensors("custom_scalars__config__")
    categories = layout_pb2.Layout.FromString(found.tensor_proto.string_val[0]).category
    return {
        category.title: {chart.title: list(chart.multiline.tag) for chart in category.chart} for category in categories
    }


def test_loss_and_rate_stand_together_and_every_tag_of_a_layer_has_its_chart(tmp_path):
    board = TensorBoard(tmp_path, every=5, signals=SIGNALS)
    train(board)
    board.close()
    charts = layout(read(tmp_path))
    assert list(charts) == ["training", "signals", "layers"]
    assert list(charts["training"]) == ["loss", "rate"]
    assert charts["layers"] == {"update_ratio": ["update_ratio/.*"]}
    assert "update_ratio/0.weight" in read(tmp_path).Tags()["scalars"]
    assert set(charts["signals"]) == {"gradient_norm", "update_ratio"}


def test_plan_finding_and_events_are_texts_and_settings_have_the_final_figures(tmp_path):
    from tensorboard.plugins.hparams import plugin_data_pb2

    board = TensorBoard(tmp_path, every=5, finding=Found())
    train(board)
    board.close()
    events = read(tmp_path)
    assert texts(tmp_path, "plan") == [(0, f"    lr: linear({STEPS})")]
    assert texts(tmp_path, "finding") == [(0, "    rate 0.25\n    by three runs")]
    assert texts(tmp_path, "events") == [(13, "scale 0.5 of *: noisy")]
    found = Run.open(tmp_path)
    assert found.facts["settings"] == {
        "task": "sum",
        "settings/lr": 0.25,
        "plan": f"lr: linear({STEPS})",
        "total": STEPS,
    }
    content = events.summary_metadata["_hparams_/experiment"].plugin_data.content
    experiment = plugin_data_pb2.HParamsPluginData.FromString(content).experiment
    assert {metric.name.tag for metric in experiment.metric_infos} == {"loss", "validation_loss"}
    assert not [each for each in tmp_path.iterdir() if each.is_dir()]  # no run of its own beside the run


def test_histograms_are_of_all_weights_and_gradients_at_the_steps_asked_for(tmp_path):
    board = TensorBoard(tmp_path, every=5, histograms=10)
    train(board)
    board.close()
    events = read(tmp_path)
    names = ("0.weight", "0.bias", "2.weight", "2.bias")
    assert set(events.Tags()["histograms"]) == {f"{kind}/{name}" for kind in ("weights", "gradients") for name in names}
    for tag, size in (("weights/0.weight", 12), ("gradients/2.bias", 1)):
        assert [(event.step, event.histogram_value.num) for event in events.Histograms(tag)] == [(0, size), (10, size)]
    assert "histograms" not in events.Tags()["scalars"]


def test_weights_that_are_not_finite_have_no_histogram_and_break_nothing(tmp_path):
    board = TensorBoard(tmp_path, histograms=1)
    weight = torch.tensor([float("nan")], requires_grad=True)
    control = Control(torch.optim.SGD([weight], lr=0.1), watch=board)
    weight.sum().backward()
    control.step()
    board.close()
    assert set(read(tmp_path).Tags()["histograms"]) == {"gradients/group0.0"}


def test_a_run_that_goes_on_has_nothing_twice(tmp_path):
    board = TensorBoard(tmp_path / "twice", every=2, histograms=4)
    train(board, end=15)  # killed after fifteen steps; its last checkpoint is of ten
    board.close()
    time.sleep(1.1)  # TensorBoard reads files by their names, and these by their second
    board = TensorBoard(tmp_path / "twice", every=2, histograms=4, resume_at=10)
    train(board, begin=10)
    board.close()
    board = TensorBoard(tmp_path / "once", every=2, histograms=4)
    train(board)
    board.close()
    twice, once = read(tmp_path / "twice"), read(tmp_path / "once")
    assert twice.Tags()["scalars"] == once.Tags()["scalars"]
    for tag in once.Tags()["scalars"]:
        assert [(e.step, e.value) for e in twice.Scalars(tag)] == [(e.step, e.value) for e in once.Scalars(tag)]
    for tag in once.Tags()["histograms"]:
        assert [e.step for e in twice.Histograms(tag)] == [e.step for e in once.Histograms(tag)]
    twice, once = served(tmp_path / "twice"), served(tmp_path / "once")
    tags = once.Tags()["tensors"]
    assert twice.Tags()["tensors"] == tags
    for tag in tags:
        steps = [[e.step for e in each.Tensors(tag)] for each in (twice, once)]
        assert steps[0] == steps[1], tag
    for tag in ("plan", "events"):
        assert texts(tmp_path / "twice", tag) == texts(tmp_path / "once", tag)
    assert Run.open(tmp_path / "twice").facts["settings"] == Run.open(tmp_path / "once").facts["settings"]


def test_a_signal_of_ones_own_has_a_chart(tmp_path):
    size = Signal("size", lambda update: float(len(update.parameters)))
    board = TensorBoard(tmp_path, signals=("loss", size))
    board.begin({})
    board.close()
    assert "size" in layout(read(tmp_path))["signals"]


@pytest.mark.slow
def test_a_real_server_gives_over_http_what_the_json_lines_say(tmp_path):
    folder = tmp_path / "a"
    train(
        TensorBoard(folder, every=1, signals=SIGNALS, histograms=5),
        JsonLines(folder / "metrics.jsonl", signals=SIGNALS),
    )
    with board_server(tmp_path) as get:
        tags = get("scalars", "tags")["a"]
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        steps = [line for line in lines if "loss" in line or "validation_loss" in line]
        assert set(tags) == {name for line in steps for name in line} - {"step", "position"}
        for tag in tags:
            points = [(step, value) for _, step, value in get("scalars", "scalars", run="a", tag=tag)]
            wanted = [(line["step"], line[tag]) for line in steps if tag in line]
            assert [step for step, _ in points] == [step for step, _ in wanted]
            np.testing.assert_allclose([v for _, v in points], [v for _, v in wanted], rtol=1e-6)
        assert get("custom_scalars", "layout")["category"][0]["title"] == "training"
        chart = get("custom_scalars", "scalars", run="a", tag="rate$")
        assert Counter(map(len, chart["tag_to_events"].values())) == {STEPS: 1}
        assert "plan" in " ".join(get("text", "tags")["a"])
