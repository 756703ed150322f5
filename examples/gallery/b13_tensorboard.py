"""
TensorBoard
===========

:Topic: B, TensorBoard
:Claim: Log the rate beside the loss, and see one explain the other.
:Result: held. One observer writes loss, rate and gradient norm; nothing is read back from the device between two points.

``watch=TensorBoard(folder)`` in ``Control`` or ``train``. Look at it with ``tensorboard --logdir FOLDER``; below, the files are read back.
"""

import tempfile

import matplotlib.pyplot as plt
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from stepsize import TensorBoard, task_named, train

folder = tempfile.mkdtemp()
board = TensorBoard(folder, every=5)
trained = train(
    task_named("digits-mlp"), lr=0.2, steps=400, schedule="warmup(5%) >> step_decay(every=40%)",
    optimizer="sgd(momentum=0.9)", clip=1.0, watch=[board],
)  # fmt: skip
board.close()

events = EventAccumulator(folder)
events.Reload()
tags = ("loss", "rate", "gradient_norm", "validation_loss")
fig, panels = plt.subplots(1, 4, figsize=(14, 3.4))
for panel, tag in zip(panels, tags, strict=True):
    points = events.Scalars(tag)
    panel.plot([point.step for point in points], [point.value for point in points])
    panel.set(title=tag, xlabel="step")
    if tag != "rate":
        panel.set_yscale("log")
    print(f"{tag:16} {len(points)} points, the last {points[-1].value:.4g}")
fig.tight_layout()

# %%
# What was measured
# -----------------
# 80 points of each curve from 400 steps. The cuts of the rate at steps 180 and 340 are in the training loss; the validation loss has stopped falling
# before, at 0.1, which the two curves beside each other say and neither alone does.
