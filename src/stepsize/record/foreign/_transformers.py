"""Transformers' ``trainer_state.json``, as its Trainer writes it into each checkpoint."""

from pathlib import Path
from typing import Any

from stepsize.record._json import read_object
from stepsize.record.foreign._log import Log, Reader, by_number, row_of, say, settings_of

NAME = "trainer_state.json"
SETTINGS = ("train_batch_size", "num_train_epochs", "logging_steps", "eval_steps")


def _within(folder: Path) -> list[Path]:
    """The folder's own, or that of its last checkpoint, which has the lines of all before."""
    found = [folder / NAME] if (folder / NAME).exists() else []
    checkpoints = by_number([saved for saved in folder.glob("checkpoint-*") if (saved / NAME).exists()])
    return found or [checkpoint / NAME for checkpoint in checkpoints[-1:]]


def _read(path: Path) -> Log:
    state = read_object(path)
    entries = None if state is None else state.get("log_history")
    if state is None or not isinstance(entries, list):
        raise ValueError(f"{path} is damaged, or none of Transformers': it must be a JSON object with log_history")
    whole = [entry for entry in entries if isinstance(entry, dict) and "step" in entry]
    if len(whole) < len(entries):
        say(f"{len(entries) - len(whole)} of {len(entries)} entries of log_history in {path} have no step: left out")
    facts: dict[str, Any] = {"settings": settings_of(state, SETTINGS)}
    steps, done = state.get("max_steps"), state.get("global_step")
    if type(steps) is int and steps > 0:
        facts["steps"] = steps
    if type(done) is int and done >= 0:
        facts["done"] = done
        if done >= facts.get("steps", done + 1):
            facts["status"] = "finished"
    return Log(path, [row_of(entry) for entry in whole], facts, step="step")


TRANSFORMERS = Reader(
    "Transformers", "Transformers' trainer_state.json", lambda path: path.name == NAME, _within, _read
)
