"""Other packages' searches over rates, with short runs and whole ones: Optuna's and NePS's."""

import math
import random
from typing import Any

import numpy as np
import torch
from _entry import Entry
from _suggestion import RANGE, Suggestion, counted

from stepsize.task import Training, Trial


def asha(entry: Entry, seed: int, options: dict[str, Any]) -> Suggestion:
    """Optuna: TPE with successive halving (rungs of 1/64, 1/16, 1/4 of the run and the whole), budget of ten runs."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    task, count = counted(entry)
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=4)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed), pruner=pruner)
    while count.gradients < options.get("runs", 10) * task.steps:
        trial = study.ask()
        run = task.start(Trial(task.name, {"lr": trial.suggest_float("lr", *RANGE, log=True)}, seed, task.steps))
        done, score = 0, math.inf
        for resource in (1, 4, 16, 64):
            until = math.ceil(task.steps * resource / 64)
            losses = run.advance(until - done)
            done, score = until, run.score() if losses and math.isfinite(losses[-1]) else math.inf
            if math.isfinite(score):
                trial.report(score, resource)
            if not math.isfinite(score) or (resource < 64 and trial.should_prune()):
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                break
        else:
            study.tell(trial, score)
    whole = [trial for trial in study.trials if trial.state == optuna.trial.TrialState.COMPLETE]
    return Suggestion(study.best_params["lr"] if whole else None, count.gradients, count.forwards)


def priorband(entry: Entry, seed: int, options: dict[str, Any]) -> Suggestion:
    """NePS: PriorBand with the task's default rate as prior, budget of one run unless options say ``runs``.

    The brackets are Hyperband's, its default, unless options say ``base``; rungs are 1/27, 1/9, 1/3 of the run and the
    whole. What is promoted goes on from where it stood. No evaluation begins once the budget is spent, as its own
    runtime has it. The answer is what its status calls the best found: the lowest score of any rung.
    """
    import neps

    task, count = counted(entry)

    class Space(neps.PipelineSpace):  # type: ignore[misc]
        steps = neps.IntegerFidelity(lower=max(1, task.steps // 27), upper=task.steps)
        lr = neps.Float(*RANGE, log=True, prior=entry.recipe.default, prior_confidence="medium")

    random.seed(seed)  # it draws from all three
    np.random.seed(seed)
    torch.manual_seed(seed)
    search = neps.AskAndTell(neps.algorithms.priorband(Space(), base=options.get("base", "hyperband")))
    runs: dict[str, tuple[Training, int]] = {}  # under way, and how far, by the name of a rate and its rung
    scores: dict[float, float] = {}
    while count.gradients < options.get("runs", 1) * task.steps:
        trial = search.ask()
        rate, until = trial.config["lr"], trial.config["steps"]
        if trial.metadata.previous_trial_id is None:
            run, done = task.start(Trial(task.name, {"lr": rate}, seed, task.steps)), 0
        else:
            run, done = runs.pop(trial.metadata.previous_trial_id)
        losses = run.advance(until - done)
        alive = len(losses) == until - done and math.isfinite(losses[-1])
        score = run.score() if alive else math.inf
        score = score if math.isfinite(score) else math.inf
        runs[trial.id] = run, until
        scores[rate] = min(score, scores.get(rate, math.inf))
        search.tell(trial, score)
    best = min(scores, key=lambda each: scores[each])
    return Suggestion(best if math.isfinite(scores[best]) else None, count.gradients, count.forwards)
