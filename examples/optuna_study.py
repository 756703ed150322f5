"""Optuna chooses the rate and the momentum of a stepsize task, and prunes its runs at rungs.

pip install optuna 'stepsize[tasks]'
python examples/optuna_study.py
"""

import math

import optuna
import torch

from stepsize import Trial
from stepsize.task import Training, task_named

TASK = task_named("digits-mlp")
RUNGS = (25, 50, 100, 200)  # steps after which a run may be pruned; the last is its end


def to_rung(run: Training, steps: int) -> float:
    """The loss on the training set after so many steps more; infinite where training has diverged."""
    losses = run.advance(steps)
    return run.score() if len(losses) == steps and math.isfinite(losses[-1]) else math.inf


def objective(trial: optuna.Trial) -> float:
    """Train for as long as Optuna wants to."""
    settings = {
        "lr": trial.suggest_float("lr", 1e-4, 10, log=True),
        "momentum": trial.suggest_float("momentum", 0.0, 0.95),
    }
    run = TASK.start(Trial(TASK.name, settings, seed=0, steps=RUNGS[-1]))
    for before, rung in zip((0, *RUNGS), RUNGS, strict=False):
        loss = to_rung(run, rung - before)
        trial.report(loss, rung)
        if trial.should_prune() or not math.isfinite(loss):
            raise optuna.TrialPruned
    return loss


def study(trials: int) -> optuna.Study:
    """A study of so many trials: a random search that stops the worse half of the runs at every rung."""
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=RUNGS[0], reduction_factor=2)
    found = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0), pruner=pruner)
    found.optimize(objective, n_trials=trials)
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    done = study(30)
    pruned = sum(trial.state is optuna.trial.TrialState.PRUNED for trial in done.trials)
    print(f"{len(done.trials)} trials, {pruned} of them pruned")
    print(
        f"loss {done.best_value:.4g} at {', '.join(f'{name} {value:.3g}' for name, value in done.best_params.items())}"
    )
