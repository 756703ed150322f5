"""Bad input, generated from the signatures: every parameter of every public function has cases, or this file fails."""

import inspect
import math
import tempfile
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
import torch
from test_house import public

from stepsize import Control, Plan, Run, Scheduler, Task, Trial, fit_law
from stepsize.diagnosis import Seen
from stepsize.schedule import cosine
from stepsize.search import Cost, Finding
from stepsize.task import Axis, task_named
from stepsize.views import Sheet, views_of

NUMBERS = ["a", None, True, math.nan, math.inf, -math.inf, [1.0], 1j]
POSITIVE = [*NUMBERS, 0, -1]
NOT_NEGATIVE = [*NUMBERS, -1]
WHOLE = [*POSITIVE, 1.5]
LENGTHS = ["a", True, math.nan, math.inf, -1, "-5%", "101%", "5 apples", "", [1], 2.0**53]
FUNCTIONS = [None, 3, "f"]
SCHEDULES = [0.1, "cosin()", "", [], True, "0.5", "cosine(-1)"]
SCHEDULE_TEXTS = ["cosin()", "", 3, [], True]


def optional(cases):
    return [case for case in cases if case is not None]


# where a list is one for each optimizer
SCALAR_LENGTHS = [case for case in POSITIVE if case is not None and not isinstance(case, list)]
BUDGETS = [True, 0, -1, 1.5, math.nan, "much", "0x", "-1x", [1]]

SEEDED = ["find", "find_batch", "find_law", "find_plan", "train", "seed_of", "verify"]
RULES = ["linear_rule", "noise_scale_rule", "square_root_rule"]
FINDERS = partial(dict.fromkeys, ["find_in_module", "find_in_trainer"])

CASES = {
    # by parameter name: what must be refused wherever a parameter of that name occurs
    "budget": BUDGETS,
    "steer": [3, b"runs/a", True, ["runs/a"]],
    "factors": [None, 3, "2", [], [0], ["a"], [-1]],
    "margin": {"find_batch": POSITIVE, "default": NOT_NEGATIVE},
    "rule": [None, 3, "root"],
    "control": {"resume_scaled": [None, 3, "control"]},
    "state": {"resume_scaled": [None, 3, {}, {"version": 99}]},
    "verify": {"train": [1, "yes", True], "default": [None, 1, "yes"]},
    "apply": [None, 1, "yes"],
    "verbs": [3, "stop", ["scale"], ["stopp"], None],
    "verb": [None, 3, "scal", ""],
    "how": ["more", 3, ""],
    "refresh": POSITIVE,
    "always": [None, 1, "yes"],
    "id": ["a", 3, "../../../../../x"],
    "sent": [*optional(NUMBERS), None, -1],
    "find": [None, 3, "yes", {"budgt": 60}, {"budget": "a"}],
    "put": [None, 1, "yes"],
    "driven": [None, 3, "control"],
    "own": [3, "loss", ["loss"]],
    "kind": [None, 3, "Run"],
    "place": optional(NUMBERS),
    "number": [*optional(NOT_NEGATIVE), 1.5],
    "colour": [None, 3, "pink", "#12"],
    "style": [3],
    "x": [None, 3, ["a"], [[1.0]], [1, 2, 3]],
    "y": [None, 3, ["a"], [[1.0]], [1, 2, 3]],
    "sheet": [None, 3, "loss"],
    "margins": [None, 1, "yes"],
    "own_steps": [None, 1, "yes", True],
    "attr": [3, "speed"],
    "module": [None, 3, torch.nn.Linear(1, 1)],
    "over": {
        "fit_law": [None, 3, "width", [], ["width", "width"], ["colour"], [3]],
        "find_law": [None, 3, {}, {"steps": [10]}, {"steps": "10"}, {"colour": [1, 2]}, {"steps": [0, 1]}],
        "default": [None, 3, {}, {"lr": [1]}, {"optimizer": "adamw"}, {"schedule": []}, {"colour": ["red"]}],
    },
    "runs": {
        "comparison": [None, 3, "runs", [], ["runs/a"], ["no/such/folder", "runs/b"]],
        "compare": [(3, 4), ("no/such/folder", "runs/b"), ()],
        "default": [None, 3, {}, [{"lr": 0.1}], {"width": [1], "lr": [0.1, 0.2], "loss": [1, 2]}],
    },
    "linear": [None, 3, "width", ["colour"]],
    "repeats": [None, 3, "mode"],
    "law": [None, 3, "law"],
    "path": {"read_runs": [None, 3], "report": [3, b"a"]},
    "probe": {
        "range_test": [3, "f"],
        "RateSearch": [3, "f", iter([1]), []],
        "default": [None, -1, 1.5, "a"],
        **FINDERS([3, [1]]),
    },
    "clock": FUNCTIONS,
    "forward": NOT_NEGATIVE,
    "remark": [None, 3],
    "address": [3, "nowhere", "host:", ":6379", "host:port"],
    "gpus": optional(NOT_NEGATIVE),
    "shard": [None, 1, "yes", True],
    "length": LENGTHS,
    "guard": {
        "default": [3, "gard()", "guard(", "guard(returns=-1)", object(), True],
    },
    "lost": POSITIVE,
    "returns": [*NUMBERS, -1, 1.5],
    "randomness": [None, 1, "yes"],
    "every": {
        "guard": LENGTHS,
        "default": [*LENGTHS, None, 0, "0ep"],
        "exponential": [*LENGTHS, 0, "0%"],
        "JsonLines": WHOLE,
        "TensorBoard": WHOLE,
        "Tracker": WHOLE,
        "Diagnose": WHOLE,
    },
    "accumulate": WHOLE,
    "amp": [None, 1, "yes"],
    "batch_size": optional(WHOLE),
    "device": {"default": [None, 3.5, "gpu", "cuda:99"], "find": [3.5, "gpu", "cpu"]},
    "examples": {"Task": [3, "x"], "Shuffled": WHOLE},
    "generator": [None, 3, "cpu"],
    "loader": {"RateSearch": [None, 3, "a", iter([1]), []], "default": [3, "a", [1], iter([1])]},
    "epochs": [*optional(POSITIVE), 2],
    "last_epoch": [None, 0, 3, "a"],
    "lengths": [3, [1, 2], torch.ones(3)],
    "make": FUNCTIONS,
    "size": [*WHOLE, 11],
    "comparison": [None, 3, {}, "runs"],
    "folder": {
        "sweep": [3, b"x"],
        "find_law": [3, b"x"],
        "picture": ["no/such/folder"],
        "steps_done": ["no/such/folder"],
        "verify": [None, 3, "no/such/folder"],
        "Steer": [3, "no/such/folder"],
        "replay": ["no/such/folder"],
        "Commands": [None, 3, b"a"],
    },
    "save_every": POSITIVE,
    "test": [3, "x"],
    "after": {"Signal": FUNCTIONS, "default": optional(LENGTHS)},
    "before": {"Signal": [3, "f"], "default": [None, 3, "a"]},
    "cost": ["much", "", None, 3],
    **dict.fromkeys(["needs_norm", "needs_parts"], [None, 1, "yes"]),  # noqa: RUF024
    "signals": [3, "loss", ["los"], [3], [None]],
    "cap": [*NUMBERS[:1], True, [], -1, math.nan, "cosin()"],
    "cooldown": [*NUMBERS, -1, 1.5],
    "factor": {"Symptom": optional(POSITIVE), "guard": [*POSITIVE, 1.5], "default": [*POSITIVE, 1, 2]},
    "feedback": [3, "plateu()", "plateau(", "plateau(patience=-1)", object(), True],
    "floor": [*NUMBERS[:1], True, [], -1, math.nan, "cosin()"],
    "foreign": [None, 3, "adapt"],
    "group": [3, None],
    "least": [*NUMBERS, -1, 2],
    "mode": [None, 3, "minimum"],
    "what": [None, 3, {}, "no/such/run", [], ["no/such/run"], [3, 4]],
    **dict.fromkeys(["begun", "anew"], optional(FUNCTIONS)),
    "left": WHOLE,
    "most": {**dict.fromkeys(["Race", "Recheck"], optional(WHOLE)), "thinned": [*WHOLE, 3], "default": [*NUMBERS, 0.5]},
    "of": [None, 3, "", " a", 'a"b'],
    "others": {"split_matrices": [3, ["nothing"]], "default": [0.1, True, [], [3]]},
    "patience": {"guard": LENGTHS, "default": [*NUMBERS, -1, 1.5], "noisy_plateau": [*NUMBERS, -1, 1.5, 19]},
    "plan": {
        "Control": [3, "lr: cosin()", "lr cosine()", True],
        "Task": [3, "lr: cosin()", "lr cosine()", True, "lr: absolute(cosine())"],
        "Axis": optional(FUNCTIONS),
        **{name: [3, "old", ["new"]] for name in ("Choice", "on_resume")},
        "default": [],
    },
    "position": {"RateSearch": [*NUMBERS, -1, 1.5, 10], "default": optional(NOT_NEGATIVE)},
    "accept_changes": [None, 1, "yes"],
    "now": [None, 3, "a"],
    "remind": [None, 1, "yes"],
    "restart": WHOLE,
    "resume_at": optional([*NUMBERS, -1, 1.5]),
    "resume": [3, "new", {"pla": "new"}, {"plan": "old"}, {"plan": "new", "extend": "keep"}],
    "scaler": [3, "a", object()],
    "significance": [*POSITIVE, 0.5, 1],
    "speed": POSITIVE,
    "text": [None, 3, "", "a b", "compex()", "complex(1, real=2)", "complex(1)x"],
    "threshold_mode": [None, 3, "relative"],
    "share": {"find_batch": [*POSITIVE, 1, 2], "verify": [*POSITIVE, 2], "default": POSITIVE},
    "around": optional(POSITIVE),
    "suspected": [None, 1, "yes"],
    "curvature": optional(NOT_NEGATIVE),
    "trainer": [None, 3, "trainer"],
    "wait": [*NUMBERS, -1, 1.5],
    "window": WHOLE,
    "value": {
        "Command": [*POSITIVE, 1e19],
        "as_clip": [True, 0, -1, [1.0], math.nan],
        "constant": NOT_NEGATIVE,
        "default": [None, 3, "cosine()", [1, 2], {"a": 3}],
    },
    "start": {"default": NOT_NEGATIVE, "warmup": optional(NOT_NEGATIVE), "part": [*LENGTHS, None]},
    "end": NOT_NEGATIVE,
    "peak": NOT_NEGATIVE,
    "up": {"default": [*LENGTHS, None, 0, "0%"], "one_cycle": [*LENGTHS, None]},
    "down": [*LENGTHS, 0, "0%"],
    "at": {
        "Command": ["5%", -1, 1.5, math.nan, True, [3]],
        "scale_picture": [None, 3, {}, {"colour": 1}, {"width": 0}, {"width": "a"}],
        "find_batch": [*POSITIVE, 1, 2],
        "find_law": [None, 3, {}, {"colour": 1}, {"steps": 0}, {"steps": "a"}, {"steps": 10.5}],
        "default": [None, 3, "5%", [], [None], ["a"], [-1], [5, 3], [math.nan], [True]],
    },
    "reason": [None, 3, "a\nb", "a" * 501],
    "values": {
        "default": [None, 3, "5%", [], [1], [1, 2, 3, 4], ["a", 1, 2], [-1, 1, 2], [math.inf, 1, 2]],
        **{
            name: [3, [1], [[1], [2], [3]], [[], []]]
            for name in ("best_rate", "divergence_threshold", "rate_sensitivity")
        },
        "Axis": [None, 3],
        **{name: [None, 3, "ab", ["a"], [[1.0]]] for name in ("moving_mean", "is_noisy", "thinned")},
    },
    "power": POSITIVE,
    **dict.fromkeys(["batch", "to", "to_lr", "to_steps"], POSITIVE),
    "noise_scale": {"noise_scale_rule": POSITIVE, "default": optional(POSITIVE)},
    **{key: [*optional(NOT_NEGATIVE), 1, 0.1] for key in ["beta1", "beta2"]},
    "growth": [*POSITIVE, 0.5],
    "decay": {"default": POSITIVE, "layerwise": [*POSITIVE, 1.5]},
    "betas": [None, 0.9, (0.9,), (0.9, 1), (-0.1, 0.9), "ab"],
    "eps": {"square_root_rule": optional(NOT_NEGATIVE), "default": POSITIVE},
    "layers": [3, [3], ["nothing"], "0"],
    "lists": [(3,), ("a",), ([],), ([{"params": []}],)],
    "nonfinite": [3, "warn", True],
    "rate": {"Recheck": POSITIVE, "fit_law": [None, 3, "", "speed"], "default": [None, 3, "insid"]},
    "stages": [None, 3, {}, {1: "weight"}, {0: "nothing"}, {0: 3}, {-1: "weight"}],
    "trust_coefficient": POSITIVE,
    "limit": [*POSITIVE, 1.5],
    "std": POSITIVE,
    "times": WHOLE,
    "call": FUNCTIONS,
    "warm": {"noam": POSITIVE, "wsd": [*LENGTHS, None]},
    "cool": [*LENGTHS, None],
    "dimension": POSITIVE,
    "shape": [None, 3, "cosin"],
    "phases": [1, 4, 2.5, True, "2"],
    "momentum": {
        "LARS": [*NOT_NEGATIVE, 1],
        "one_cycle": [None, 3, (0.9,), (0.9, 1), (-0.1, 0.9), "ab"],
        "train": optional(NOT_NEGATIVE),
        "default": [0.9, True, [], [3]],
    },
    "warmup": ["a", True, math.nan, math.inf, -1, "-5%", "101%", [1]],
    "weight_decay": {
        "train": optional(NOT_NEGATIVE),
        "LARS": NOT_NEGATIVE,
        "LAMB": NOT_NEGATIVE,
        "weight_decay_rule": [*NOT_NEGATIVE, 20],
        "default": [0.1, True, [], [3]],
    },
    "gamma": {"default": POSITIVE, "exp_range": [*POSITIVE, 1.5]},
    "schedule": {
        **{key: [None, 3, "cosine()"] for key in ("absolute", "clip", "part", "repeat", "stairs")},
        "Task": SCHEDULES,
        "default": SCHEDULE_TEXTS,
    },
    "optimizer": {
        "default": [None, 3, "sgd", torch.nn.Linear(1, 1)],
        "Task": FUNCTIONS,
        "range_test": [None, 3, "sgd", torch.nn.Linear(1, 1), [], [3]],
        "RateSearch": [None, 3, "sgd", torch.nn.Linear(1, 1), [], [3], {"a": 3}],
        "find": [3, "adamx", [1], torch.optim.SGD],
        "Axis": FUNCTIONS[1:],
    },
    "plans": [3, "lr: linear()", [], {0: 3}, {-1: "lr: linear()"}, {"a": "lr: linear()"}, {0: "lr: cosin()"}],
    "schedules": SCHEDULE_TEXTS,
    "scheduler": [None, 3, "StepLR"],
    "base": [3, "old", ["new"]],
    "extend": [3, "kep", ["keep"]],
    "model": {
        "Control": [3, "model", torch.nn.Linear(1, 1)],
        "default": [None, 3, "model"],
        "Task": FUNCTIONS,
        "find": [3, "model", torch.nn.Linear(1, 1)],
    },
    "lr": {
        **dict.fromkeys(["Control", "Plan", "Scheduler"], SCHEDULES),
        "RateSearch": [*SCHEDULES, "absolute(cosine())", "warmup(11)"],
        **FINDERS(SCHEDULES),
        **dict.fromkeys(["LAMB", "LARS", "layerwise", "optimizer"], NOT_NEGATIVE),
        **dict.fromkeys(["find_batch", "keras_schedule", "train", "verify", *RULES, "weight_decay_rule"], POSITIVE),
    },
    "clip": {
        "default": optional(POSITIVE),
        **{name: [True, math.nan, 0, -1, [1.0], "cosin()"] for name in ("Control", "Plan", "RateSearch")},
    },
    "total": {
        "default": POSITIVE,
        **dict.fromkeys(["RateSearch", "budget_of"], WHOLE),
        **dict.fromkeys(["Control", "Scheduler"], optional(POSITIVE)),
        "lightning_callback": [*SCALAR_LENGTHS, [-1], {0: 0}, {-1: 3}],
        "find_in_module": optional(WHOLE),
    },
    "per_epoch": {"default": optional(POSITIVE), "lightning_callback": [*SCALAR_LENGTHS, ["3"], {"a": 3}]},
    "watch": [3, "a", [3], object()],
    "zero": [None, 1, "yes"],
    "settle": [None, 1, "yes"],
    "also": [3, None, [3], ["a"]],
    "low": {"default": POSITIVE, **dict.fromkeys(["clip", "cosine_wave", "cosine_restarts"], NOT_NEGATIVE)},
    "high": {"default": [*POSITIVE, 1e-9], "clip": optional([*NUMBERS, -1, 0.01])},
    "steps": {
        "default": WHOLE,
        **dict.fromkeys(["find", "find_batch", "find_law", "find_plan"], optional(WHOLE)),
        **dict.fromkeys(["train", "verify"], optional(WHOLE)),
        "sweep": optional(WHOLE),
        "range_test": [*WHOLE, 1],
        "weight_decay_rule": POSITIVE,
    },
    "threshold": {
        **dict.fromkeys(["clip_by_norm", "clip_by_value", "clip_adaptively"], POSITIVE),
        **dict.fromkeys(["adaptive_clipping", "norm_clipping", "value_clipping"], POSITIVE[1:]),
        "default": NOT_NEGATIVE,
    },
    "beta": [*NUMBERS, -0.1, 1, 2],
    "about": {"Axis": [None, 3], "default": [None, 3]},
    "applies": [None, 3, "rates"],
    "candidates": [None, 3, "ab", [object()]],
    "check": {"guard": WHOLE, "default": FUNCTIONS},
    "is_text": [None, 3],
    "squeeze": optional(FUNCTIONS),
    "axes": {
        "Task": [None, 3, ["width"], {"width": 3}, {"clip": Axis.number()}, {"colour": Axis.one_of("red")}],
        "train": [[], "adamx"],
        "verify": [[], "adamx"],
        "sweep": [[], "adamx"],
        "find": [[], "adamx"],
        "find_batch": [[], "adamx"],
        "find_law": [[], "adamx"],
        "find_plan": [[], "adamx"],
        "trials_of": [{}, {"lr": []}, {"lr": -1}, {"rate": 1}],
    },
    "axis": {"axis_role": [None, 3], "default": ["rate", "", None]},
    "count": [*WHOLE, 1],
    "compiled": [None, 1, "yes"],
    "members": optional(WHOLE),
    "keep": {"Auto": [3, "engine.json"], "Leg": [3, "state.pt"], "Halving": [*POSITIVE, 1]},
    "initial": [math.nan],
    "partial": [None, 1, "yes"],
    "options": [1, "a"],
    "params": [None, 3],
    "rungs": [None, 3, "0.5", [], [0.5, 0.25], [0], [1], ["a"]],
    "seeds": [0, -1, 1.5, "a", None, [], [1, 1], [-1]],
    "stop": [3, "0.5"],
    "sweep": [3, "no/such/folder"],
    "threads": WHOLE,
    "trial": {"train": [3, "digits"], "verify": [3, "digits"], "default": [None, 3, "digits"]},
    "until": {"median_curvature": optional(NOT_NEGATIVE), "default": [*optional(NOT_NEGATIVE), 1.5, 11]},
    "seen": [None, 3, "runs/a", {}],
    "workers": optional(WHOLE),
    "rates": {
        "default": [[2, 1], [0, 1], [[1]], [1, math.nan], [-1, 1]],
        "groups": [None, 3, {}, {"nothing": 1}, {"*": "a"}, {"*": -1}, {3: 1}],
        "sweep": [[], 0, -1, "a", [0.1, 0.1], [math.nan], [None], [True]],
    },
    "losses": {"default": [[1], [[1, 1]], 3], "smooth": ["ab", ["a"]]},
    "task": {"Trial": [None, 3], "default": [None, 3, "digits", object()]},
    "settings": [3, ["lr"], {"rate": 1}, {"lr": -1}, {"lr": "a"}],
    "seed": {
        "default": [*NUMBERS, -1, 1.5, 2**32],
        "noise": [*NUMBERS, -1, 1.5, 2**63],
        **dict.fromkeys(SEEDED, optional([*NUMBERS, -1, 1.5, 2**32])),
    },
    "name": {
        "Live": [None, 3, " "],
        "engine_named": ["proceses", "", None, 3],
        "Signal": [None, 3, "", "a/b", "a*", "step", "position"],
        "Symptom": [None, 3, ""],
        "Task": [None, 3, ""],
        "from_function": [None, 3, "", "a b", "a()"],
        "full_name": [None, 3],
        "named_sources": [None, 3],
        "sources_of": [3, b"digits"],
        "series": [None, 3],
        "task_named": ["digit", "", None, 3],
    },
    "batches": FUNCTIONS,
    "inputs": [None, 3, torch.ones(()), torch.ones(2, 1)],
    "targets": [None, 3, torch.ones(()), torch.ones(2, 1)],
    "loss": {
        "default": FUNCTIONS,
        "RateSearch": [3, "f"],
        "find": [3, "f", torch.nn.MSELoss()],
        "fit_law": [None, 3, ""],
    },
    "score": optional(FUNCTIONS),
    "metrics": {"Leg": [None, 1, "yes"], "default": optional(FUNCTIONS)},
    "example": [3, "x"],
    "engine": {"default": FUNCTIONS, **{name: optional(FUNCTIONS) for name in ("find_law", "sweep")}},
    "on_result": [3, "f"],
    "progress": [3, "f"],
    "evaluate_every": {"Task": [*LENGTHS, 0, 1.5, "0ep"], "default": optional(WHOLE)},
    "views": {name: [3, "loss", ["loss"]] for name in ("Task", "picture", "report")},
    "facts": {"Bus": [3, "a"], "Seen": [None, 3, "a"], "default": [None, 3, ["rotation"], {"rotation": {1, 2}}]},
    "trials": {"serial": [None, 3], "chosen_engine": []},
    "by": [None, 3, "steps", True],
    "run": {"Tracker": [None, 3, "wandb", dict], "diagnose": [None, 3, {}, "no/such/run"], "default": []},
    "rules": [3, "rate_too_high", [3]],
    "on_symptom": [3, "f"],
    "observed": [None, 3, {"loss": [1.0]}],
    "events": [None, 3, "a"],
    "step": {"Symptom": ["a", True, math.nan, -1, 1.5, [1]], "default": []},
    "severity": [None, 3, "fatal", ""],
    "evidence": [None, 3, [1.0]],
    "remedy": [None, 3],
    "columns": [3, "loss", ["loss"], {"loss": 3}, {"": "a"}],
    "finding": [3, "0.1"],
    "histograms": optional(WHOLE),
    "ax": [3, "axes"],
    "width": {"moving_mean": WHOLE, "default": POSITIVE},
    "height": POSITIVE,
    "things": [(3,), ("a",), (None,)],
}

# Parameters that take anything of their type, or whose misuse is the file system's or Python's to report.
FREE = {
    ("JsonLines", "path"),
    ("JsonLines", "observed"),
    ("RunFolder", "path"),
    ("TensorBoard", "folder"),
    ("AppendedFile", "path"),
    ("AppendedFile", "lines"),
    ("comparison", "path"),
    ("picture", "path"),
    ("scale_picture", "path"),
    ("locked", "folder"),
    ("locked_by_first", "folder"),
    ("plain", "text"),
    ("read_lines", "path"),
    ("read_object", "path"),
    ("read_regular", "path"),
    ("read_state", "path"),
    ("save", "figure"),
    ("save", "path"),
    ("save", "dpi"),
    ("views_of", "value"),
    ("write_status", "path"),
    ("write_status", "content"),
    ("save_state", "path"),
    ("save_state", "state"),
    ("write_atomic", "path"),
    ("write_atomic", "content"),
    ("evaluating", "model"),
    *((name, "name") for name in ("example", "explanation", "signature", "summary", "gallery_picture")),
    ("gallery_picture", "path"),
    ("to_json", "value"),
    ("to_json", "indent"),
    ("own_randomness", "state"),
    *((f"clip_{way}", each) for way in ("adaptively", "by_norm", "by_value") for each in ("parameters", "norm")),
    ("no_decay", "options"),
    ("event_line", "event"),
    ("lightning_callback", "plan"),
    ("drive_trainer", "plan"),
    ("find_in_module", "data"),
    ("drive_trainer", "per_epoch"),
    ("JsonLines", "events"),
    ("train", "folder"),
    ("seed_of", "task"),
    ("with_attribute", "name"),
    ("pair_index", "group"),
    ("pair_index", "hyperparameter"),
    ("has_value", "group"),
    ("has_value", "hyperparameter"),
    ("needs_closure", "optimizer"),
    ("squeezed", "settings"),
    ("total_norm", "tensors"),
    ("inner_product", "first"),
    ("inner_product", "second"),
    *(("due", name) for name in ("wanted", "step", "every")),
    *(("standing_of", name) for name in ("run", "name", "pace")),
    ("event_text", "event"),
    *(("course_of", name) for name in ("lines", "name", "place")),
    ("at_work", "folder"),
    ("duration", "seconds"),
    *(("Painter", name) for name in ("console", "what")),
    ("parse_call", "makers"),
    ("gradient_norm", "parameters"),
    ("group_names", "optimizer"),
    ("parameters", "optimizer"),
    ("read_value", "group"),
    ("read_value", "hyperparameter"),
    ("write_value", "group"),
    ("write_value", "hyperparameter"),
    ("write_value", "value"),
    ("run", "arguments"),
    *((name, "task") for name in ("axes_of", "check_takes", "table_of")),
    ("check_takes", "names"),
    ("check_takes", "where"),
    ("own_settings", "settings"),
    ("takes_data", "name"),
    ("canonical", "value"),
    ("canonical", "name"),
    *(("key_of", name) for name in ("task", "settings", "seed", "steps")),
    ("chosen_engine", "task"),
    ("chosen_engine", "trials"),
    ("sweep_picture", "path"),
    ("unpacked", "parcel"),
    ("led", "function"),
    *(("is_broken", each) for each in ("score", "best", "initial")),
    ("find", "args"),  # in test_find_budget.py
    ("lent", "optimizers"),
    ("on_loan", "optimizer"),
    *((name, "thing") for name in ("can_capture", "has_state", "is_loader", "is_optimizer", "optimizers_in")),
    ("known_length", "loader"),
    *((name, each) for name in ("entry_of", "entries_of") for each in ("run", "sweep", "name")),
    ("is_generator", "thing"),
    *(("gathered", each) for each in ("value", "device")),
    *(("reduced", each) for each in ("values", "how", "device")),
    ("mean_of_ranks", "values"),
    *(("clip_factor", name) for name in ("norm", "threshold")),
    *(("course_lines", name) for name in ("comparison", "measure", "labels")),
    *(("has_ended", name) for name in ("training", "losses")),
    *((name, "task") for name in ("device_of", "loss_of", "measured", "model_of", "prepare")),
    *((name, each) for name in ("loss_of", "measured") for each in ("model", "batch")),
    ("check_size", "size"),
    *(("hook_steps", each) for each in ("optimizer", "before", "after")),
    *((name, "optimizer") for name in ("inner_optimizers", "loaded_bases", "was_update")),
    ("loaded_bases", "hyperparameter"),
    *((name, "optimizers") for name in ("check_free", "set_aside")),
    ("unhook", "handles"),
    *(
        ("Driver", each) for each in ("optimizers", "plan", "log", "position", "initial")
    ),  # Control's are checked before
}
RECORDS = {
    "Standing",
    "Answer",
    "Band",
    "Cells",
    "Mark",
    "Note",
    "Scale",
    "Series",
    "Sheet",
    "View",
    "Replay",
    "Rescaled",
    "Ask",
    "BatchFinding",
    "Best",
    "Branch",
    "Branches",
    "Captured",
    "Clipped",
    "Comparison",
    "Cost",
    "Course",
    "Curve",
    "Entry",
    "Finding",
    "Fork",
    "Judgement",
    "Lines",
    "LoopRun",
    "Budget",
    "PlanEntry",
    "PlanFinding",
    "Stage",
    "LawFinding",
    "NoiseScale",
    "Verification",
    "Verified",
    "Outcome",
    "Parcel",
    "Prediction",
    "Preview",
    "RateLaw",
    "Record",
    "Run",
    "Update",
    "RandomState",
    "Ranks",
    "RangeResult",
    "RangeTest",
    "Result",
    "ShortRun",
    "Step",
    "Sweep",
    "Tried",
}
NOT_CALLED = RECORDS | {
    "Decision",
    "Event",
    "Observation",
    "CheckpointError",
    "DiffersError",
    "DivergedError",
    "LockedError",
    "RecordWarning",
    "ShortRunWarning",
    "SweepFileError",
    "TaskChangedWarning",
    "TaskFileError",
    "Suggestion",
    "Trained",
    "TrainingInterrupted",
    "ScheduleTextError",
}


def sgd():
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)


def trained():
    model = torch.nn.Linear(1, 1)
    return {"optimizer": torch.optim.SGD(model.parameters(), lr=0.1), "model": model}


@cache
def transformers_trainer():
    from transformers import Trainer, TrainingArguments

    settings = TrainingArguments(tempfile.gettempdir(), use_cpu=True, report_to="none", save_strategy="no")
    return Trainer(torch.nn.Linear(1, 1), settings, train_dataset=[{"input": torch.ones(1)}])


@cache
def lightning_pair():
    from lightning.pytorch import Trainer
    from lightning.pytorch.demos.boring_classes import BoringModel

    module = BoringModel()
    module.lr = 0.1
    return module, Trainer(accelerator="cpu", barebones=True, max_steps=3)


DIGITS = task_named("digits")
COSINE = cosine(3)
WIDTHS = {"width": [1, 1, 1, 2, 2, 2], "lr": [0.1, 0.2, 0.4] * 2, "loss": [2, 1, 3, 3, 2, 1]}
GOOD = {
    "Tracker": lambda: {"run": print},
    **dict.fromkeys(["absolute", "repeat", "part"], lambda: {"schedule": COSINE}),
    **dict.fromkeys(["triangular", "triangular2", "exp_range"], lambda: {"up": 3}),
    **dict.fromkeys(["cosine_wave", "cosine_restarts", "inverse_sqrt", "step_decay"], lambda: {"every": 3}),
    "clip": lambda: {"schedule": COSINE, "low": 0.1},
    "stairs": lambda: {"schedule": COSINE, "every": 1},
    "from_function": lambda: {"call": abs, "name": "size"},
    "multi_step": lambda: {"at": [3]},
    "noam": lambda: {"warm": 3},
    "piecewise_constant": lambda: {"at": [3], "values": [1, 2]},
    "piecewise_linear": lambda: {"at": [3, 4], "values": [1, 2]},
    # what the other parameters are while one of them is bad
    "Command": lambda: {"verb": "extend", "value": 5},
    "Commands": lambda: {"folder": "runs"},
    "Axis": lambda: {"check": lambda name, value: value},
    "Control": lambda: {"optimizer": sgd(), "total": 10},
    "Driver": lambda: {"optimizers": {"": sgd()}, "plan": Plan(COSINE)},
    "Seen": lambda: {"columns": {}},
    "Signal": lambda: {"name": "speed", "after": len},
    "Symptom": lambda: {"name": "slow", "severity": "info", "step": None, "evidence": {}, "remedy": "wait"},
    "diagnose": lambda: {"run": Seen({})},
    "is_suspicious": lambda: {"seen": Seen({})},
    "median_curvature": lambda: {"seen": Seen({})},
    "Task": lambda: {field: getattr(DIGITS, field) for field in Task.__dataclass_fields__},
    "Trial": lambda: {"task": "digits"},
    "Leg": lambda: {"trial": Trial("digits", {"lr": 0.1}, steps=10), "until": 5},
    "comparison": lambda: {"runs": ["runs/a", "runs/b"], "path": "runs.png"},
    "best_rate": lambda: {"rates": [1, 2], "values": [[1], [2]]},
    "canonical": lambda: {"axis": "lr", "value": 0.1},
    "chosen_engine": lambda: {"task": DIGITS, "trials": 1},
    "report": lambda: {"what": Finding(None, None, None, "", 1.0, (), Cost(0, 0, 0.0, 0.0))},
    "thinned": lambda: {"values": [1.0]},
    "moving_mean": lambda: {"values": [1.0], "width": 1},
    "picture": lambda: {"folder": "runs/a"},
    "run_sheet": lambda: {"run": Run(Path("runs/a"), {}, [], [])},
    "series": lambda: {"x": [1.0, 2.0], "y": [1.0, 2.0]},
    "sheet_figure": lambda: {"sheet": Sheet("", views_of(COSINE))},
    "view": lambda: {"kind": Plan},
    "divergence_threshold": lambda: {"rates": [1, 2], "values": [[1], [2]], "initial": 3},
    "rate_sensitivity": lambda: {"rates": [1, 2], "values": [[1], [math.inf]], "initial": 3},
    "engine_named": lambda: {"name": "ray"},
    "changes": lambda: {"before": {}, "now": {}},
    "sources_of": lambda: {"task": DIGITS},
    "logspace": lambda: {"low": 0.1, "high": 1, "count": 3},
    "optimizer": lambda: {"text": "sgd", "params": [torch.zeros(1, requires_grad=True)], "lr": 0.1},
    "sweep": lambda: {"task": DIGITS, "rates": [0.1]},
    "trials_of": lambda: {"task": DIGITS, "axes": {"lr": 0.1}, "seeds": 1, "steps": 10},
    "check_range": lambda: {"low": 0.1, "high": 1},
    **dict.fromkeys(["clip_by_norm", "clip_adaptively", "clip_by_value"], lambda: {"parameters": [], "threshold": 1}),
    **dict.fromkeys(["LAMB", "LARS"], lambda: {"params": [torch.ones(1, requires_grad=True)], "lr": 0.1}),
    "Stages": lambda: {"model": torch.nn.Linear(2, 2), "stages": {0: "weight"}},
    "groups": lambda: {"model": torch.nn.Linear(2, 2), "rates": {"*": 1}},
    "layerwise": lambda: {"model": torch.nn.Linear(2, 2), "lr": 0.1},
    "no_decay": lambda: {"model": torch.nn.Linear(2, 2)},
    "Scheduler": lambda: {"optimizer": sgd(), "lr": COSINE},
    "on_resume": lambda: {"scheduler": Scheduler(sgd(), COSINE)},
    "Shuffled": lambda: {"examples": 10, "size": 4, "generator": torch.Generator(), "make": lambda picked, _: picked},
    "parse_call": lambda: {"makers": {"complex": complex}},
    "split_matrices": lambda: {"model": torch.nn.Linear(2, 2)},
    **dict.fromkeys(["draw", "seen_of", "shown"], lambda: {"value": COSINE}),
    "find": lambda: {"task": DIGITS},
    **dict.fromkeys(["drive_trainer", "find_in_trainer"], lambda: {"trainer": transformers_trainer()}),
    "find_in_module": lambda: {"module": lightning_pair()[0], "trainer": lightning_pair()[1]},
    "keras_schedule": lambda: {"schedule": COSINE, "lr": 0.1, "total": 10},
    "RateSearch": lambda: {
        **trained(),
        "lr": COSINE,
        "total": 10,
        "loader": [torch.ones(1)] * 9,
    },
    "Race": lambda: {"total": 100, "low": 1e-3, "high": 1.0},
    "Recheck": lambda: {"rate": 0.1, "total": 1000, "left": 700},
    "seed_of": lambda: {"task": DIGITS},
    "find_plan": lambda: {"task": DIGITS, "over": {"optimizer": ["adamw"]}},
    "budget_of": lambda: {"budget": "1x", "total": 100},
    "minimum_tenth": lambda: {"rates": [1, 2], "losses": [1, 1]},
    "probe_minimum_third": lambda: {"rates": [1, 2], "losses": [1, 1]},
    "range_test": lambda: trained(),
    "example_noise": lambda: {
        "model": torch.nn.Linear(1, 1),
        "loss": torch.nn.MSELoss(),
        "inputs": torch.ones(4, 1),
        "targets": torch.ones(4, 1),
    },
    "find_batch": lambda: {"task": DIGITS, "lr": 0.1},
    "find_law": lambda: {"task": DIGITS, "over": {"steps": [5, 10]}, "at": {"steps": 40}},
    "fit_law": lambda: {"runs": WIDTHS, "over": ["width"]},
    **dict.fromkeys(RULES, lambda: {"lr": 0.1, "batch": 8, "to": 32}),
    "noise_scale_rule": lambda: {"lr": 0.1, "batch": 8, "to": 32, "noise_scale": 100},
    "weight_decay_rule": lambda: {"weight_decay": 0.1, "lr": 0.1, "to_lr": 0.2, "steps": 10, "to_steps": 20},
    "resume_scaled": lambda: {
        "control": Control(sgd()),
        "state": Control(sgd()).state_dict(),
        "batch": 8,
        "to": 32,
        "rule": "linear",
    },
    "scale_picture": lambda: {"law": fit_law(WIDTHS, ["width"]), "at": {"width": 8}, "path": "scale.png"},
    "serial": lambda: {"task": DIGITS, "trials": []},
    "smooth": lambda: {"losses": [1.0]},
    "steepest_by_log_rate": lambda: {"rates": [1, 2], "losses": [1, 1]},
    "squeezed": lambda: {"settings": {}, "share": 1},
    "train": lambda: {"task": DIGITS, "lr": 0.1},
    "verify": lambda: {"task": DIGITS, "folder": "no/such/folder", "lr": 0.1},
    "valley": lambda: {"rates": [1, 2], "losses": [1, 1]},
}


def targets():
    for _, value in public():
        called = inspect.isfunction(value) or (inspect.isclass(value) and not inspect.isabstract(value))
        if called and not getattr(value, "_is_protocol", False) and value.__name__ not in NOT_CALLED:
            yield value


def cases_of(target, parameter):
    cases = CASES.get(parameter)
    if isinstance(cases, dict):
        cases = cases.get(target.__name__, cases.get("default"))
    return cases


def generated():
    for target in targets():
        for parameter in inspect.signature(target).parameters.values():
            if (target.__name__, parameter.name) in FREE:
                continue
            cases = cases_of(target, parameter.name)
            for case in [None] if cases is None else cases:
                yield pytest.param(
                    target, parameter, case, cases is None, id=f"{target.__name__}-{parameter.name}-{case!r:.20}"
                )


@pytest.mark.parametrize(("target", "parameter", "bad", "forgotten"), list(generated()))
def test_bad_input_is_refused_where_it_is_given_naming_argument_and_value(target, parameter, bad, forgotten, request):
    assert not forgotten, f"{target.__name__}({parameter.name}) has no cases of bad input"
    if target.__name__ in {"JsonLines", "TensorBoard"}:
        place = request.getfixturevalue("tmp_path") / "x"  # for these alone: a folder takes its time
        good = {"path" if target.__name__ == "JsonLines" else "folder": place}
    else:
        good = GOOD.get(target.__name__, dict)()
    positional = bad if parameter.kind is inspect.Parameter.VAR_POSITIONAL else ()
    if parameter.kind is inspect.Parameter.VAR_KEYWORD:
        named = {**good, "weight": bad}
    else:
        named = good if positional else {**good, parameter.name: bad}
    with pytest.raises((TypeError, ValueError)) as caught:
        target(*positional, **named)
    message = str(caught.value)
    texts = {
        "axes",
        "axis",
        "options",
        "text",
        "resume",
        "schedule",
        "schedules",
        "lr",
        "name",
        "settings",
        "clip",
        "feedback",
        "guard",
        "find",
        "floor",
        "cap",
        "plan",
        "plans",
        "others",
    }  # the text's own words are named instead
    assert parameter.name.rstrip("s") in message or parameter.name in texts, message
    assert len(message.splitlines()) <= 2


def test_every_target_is_covered_by_more_than_its_name():
    names = {target.__name__ for target in targets()}
    assert {"Control", "cosine", "find", "range_test", "train", "clip_by_norm"} <= names
    assert {name for name, _ in FREE} <= names
    assert len(list(generated())) > 400


@pytest.mark.parametrize("bad", ["a", None, [1], torch.ones(2), np.ones(3), True])
def test_losses_and_observations_that_are_no_number(bad):
    control = Control(sgd())
    if bad is not None:
        with pytest.raises((TypeError, ValueError), match="loss"):
            control.step(bad)
    with pytest.raises((TypeError, ValueError), match="accuracy"):
        control.observe(accuracy=bad)
    for advance in optional(POSITIVE):
        with pytest.raises((TypeError, ValueError), match="advance"):
            control.step(advance=advance)
    assert control.position == 0
