"""What default observers read back from the device, and what is left of a record when its process is killed."""

import signal

import pytest
import torch
from children import forked, once, ran
from test_tensorboard import read
from torch.utils._python_dispatch import TorchDispatchMode

from stepsize import Control, JsonLines, Live, Run, TensorBoard

LOOP = """
import sys, torch
from stepsize import Control, JsonLines, TensorBoard

begin, end = map(int, sys.argv[1:])
resume = begin or None
watch = [JsonLines("lines.jsonl", resume_at=resume), TensorBoard("board", every=1, resume_at=resume)]
weight = torch.ones(4, requires_grad=True)
control = Control(torch.optim.SGD([weight], lr=0.01), lr="cosine()", total=100, watch=watch, remind=False)
control.catch_up(begin)
for step in range(begin, end):
    loss = weight.square().sum()
    loss.backward()
    control.step(loss, again=lambda: weight.square().sum())
    print(step, flush=True)
"""


def test_a_killed_process_has_lost_no_step_and_one_that_goes_on_writes_none_twice(tmp_path):
    with forked(["-c", LOOP, "0", "100"], cwd=tmp_path) as process:
        once(lambda: process.printed.count("\n") > 30, process)
        process.send_signal(signal.SIGKILL)
        process.wait()
        done = int(process.printed.split()[-1])
    for record in ("lines.jsonl", "board"):
        run = Run.open(tmp_path / record)
        assert [line["step"] for line in run.steps][: done + 1] == list(range(done + 1))
        assert len(run.steps) <= done + 2  # one may have been written and not yet be said
    again = ran(["-c", LOOP, "25", "60"], cwd=tmp_path)
    assert [*map(int, again.stdout.split())] == list(range(25, 60))
    lines = Run.open(tmp_path / "lines.jsonl").steps
    assert [line["step"] for line in lines] == list(range(60))
    events = read(tmp_path / "board")
    for tag in ("loss", "rate", "curvature"):
        of_lines = [(line["step"], pytest.approx(line[tag])) for line in lines if tag in line]
        assert [(each.step, each.value) for each in events.Scalars(tag)] == of_lines
    looks = [line["step"] for line in lines if "curvature" in line]
    assert looks == [0, 20, 40]  # as of a run that was never stopped


class Reads(TorchDispatchMode):
    """How often a number came from the device."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        self.count += function in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.is_nonzero.default)
        return function(*arguments, **(named or {}))


def test_default_observers_read_back_a_few_numbers_where_they_write_and_none_between(tmp_path):
    watch = [JsonLines(tmp_path / "a.jsonl", every=10), TensorBoard(tmp_path, every=10), Live(every=10)]
    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    control = Control(optimizer, lr="cosine()", total=100, clip=1.0, watch=watch, remind=False)
    x, reads = torch.ones(2, 3), []
    for _ in range(51):
        loss = model(x).square().mean()
        loss.backward()
        with Reads() as seen:
            control.step(loss, again=lambda: model(x).square().mean())
        reads.append(seen.count)
    assert not any(count for step, count in enumerate(reads) if step % 10)
    plain, looks = [reads[10], reads[30], reads[50]], [reads[20], reads[40]]
    assert plain == [3] * 3  # loss, norm, whether it clipped: once for all three
    ratios = 1 + len(list(model.parameters()))  # Live shows each layer's
    assert looks == [3 + 2 + ratios - 1] * 2
