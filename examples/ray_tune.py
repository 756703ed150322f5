"""Ray Tune chooses the rate and the momentum of a stepsize task; its scheduler ASHA stops runs at rungs.

pip install 'ray[tune]' 'stepsize[tasks]'
python examples/ray_tune.py
"""

import math
import tempfile

import ray
import torch
from ray import tune

from stepsize import Trial
from stepsize.task import task_named

RUNGS = (25, 50, 100, 200)  # steps after which a run may be stopped; the last is its end


def trainable(settings: dict[str, float]) -> None:
    """Train for as long as Ray Tune wants to: it ends the run at the report after which it shall stop."""
    torch.set_num_threads(1)
    task = task_named("digits-mlp")
    run = task.start(Trial(task.name, settings, seed=0, steps=RUNGS[-1]))
    for before, rung in zip((0, *RUNGS), RUNGS, strict=False):
        losses = run.advance(rung - before)
        alive = len(losses) == rung - before and math.isfinite(losses[-1])
        tune.report({"steps": rung, "loss": run.score() if alive else math.inf})
        if not alive:
            return


def tuned(trials: int, folder: str) -> tune.ResultGrid:
    """So many trials, drawn at random, the worse half of them stopped at every rung."""
    tuner = tune.Tuner(
        trainable,
        param_space={"lr": tune.loguniform(1e-4, 10), "momentum": tune.uniform(0, 0.95)},
        tune_config=tune.TuneConfig(
            metric="loss",
            mode="min",
            num_samples=trials,
            reuse_actors=True,  # a process for each trial would import torch each time
            search_alg=tune.search.BasicVariantGenerator(random_state=0),
            scheduler=tune.schedulers.ASHAScheduler(
                time_attr="steps", grace_period=RUNGS[0], max_t=RUNGS[-1], reduction_factor=2
            ),
        ),
        run_config=tune.RunConfig(storage_path=folder, verbose=0),
    )
    return tuner.fit()


if __name__ == "__main__":
    ray.init(include_dashboard=False, object_store_memory=80 * 2**20, log_to_driver=False)
    with tempfile.TemporaryDirectory() as place:
        grid = tuned(16, place)
    stopped = sum(result.metrics["steps"] < RUNGS[-1] for result in grid)
    best = grid.get_best_result()
    print(f"{len(grid)} trials, {stopped} of them stopped early")
    print(
        f"loss {best.metrics['loss']:.4g} at {', '.join(f'{name} {value:.3g}' for name, value in best.config.items())}"
    )
