"""The content of a sweep's file: its tables, and a rule for every column of every row."""

import json
import math
import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any

from stepsize import _check
from stepsize._schema import Rule, from_to, is_finite, mapping_to, or_none
from stepsize.task import LARGEST, key_of

POINTS = 512  # of a curve of training losses; of longer ones the means of equal stretches are kept
STATUSES = ("open", "finished", "diverged", "stopped")
TABLES = """
CREATE TABLE sweep (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE starts (seed INTEGER PRIMARY KEY, score REAL NOT NULL);
CREATE TABLE owners (
    id INTEGER PRIMARY KEY AUTOINCREMENT, host TEXT NOT NULL, pid INTEGER NOT NULL, beat REAL NOT NULL
);
CREATE TABLE trials (
    key TEXT PRIMARY KEY, place INTEGER NOT NULL, settings TEXT NOT NULL, seed INTEGER NOT NULL, steps INTEGER NOT NULL,
    status TEXT NOT NULL DEFAULT 'open', done INTEGER NOT NULL DEFAULT 0, owner INTEGER,
    score REAL, metrics TEXT, losses BLOB, seconds REAL, engine TEXT, threads INTEGER
);
CREATE INDEX by_place ON trials (status, place);
CREATE TABLE rungs (key TEXT NOT NULL, done INTEGER NOT NULL, score REAL, PRIMARY KEY (key, done));
"""
LARGEST_WHOLE = 2**63 - 1
UNREADABLE = object()  # stands for a text that is no JSON, and keeps to no rule
Row = dict[str, Any]


JSON = {"value", "settings", "metrics"}  # columns that are kept so


def _whole(least: int, most: int = LARGEST_WHOLE) -> Rule:
    """A whole number as SQLite keeps it."""
    return from_to(
        least, most, f"a whole number {f'from {least} to {most}' if most < LARGEST_WHOLE else f'>= {least}'}"
    )


def _optional(rule: Rule) -> Rule:
    return or_none(rule, "NULL")


def _is_number(value: Any, least: float = -math.inf) -> bool:
    """A finite number as SQLite keeps it."""
    return is_finite(value, least) and (type(value) is float or abs(value) <= LARGEST_WHOLE)


def _are_settings(value: Any) -> bool:
    if not isinstance(value, dict) or not all(map(str.isidentifier, value)) or not _is_number(value.get("lr")):
        return False
    return 0 < value["lr"] <= LARGEST and all(
        isinstance(setting, str | bool) or _is_number(setting) for setting in value.values()
    )


TEXT = Rule("text", lambda value: isinstance(value, str))
NUMBER = Rule("a finite number", _is_number)
COUNT = _whole(0)
SEED = _whole(0, 2**32 - 1)
KEY = Rule("16 hexadecimal digits", lambda value: isinstance(value, str) and len(value) == 16 and value.isalnum())
COLUMNS: dict[str, dict[str, Rule]] = {
    "sweep": {"name": TEXT, "value": Rule("JSON", lambda value: value is not UNREADABLE)},
    # a model may be broken before any training
    "starts": {"seed": SEED, "score": Rule("a number, or inf", lambda value: _is_number(value) or value == math.inf)},
    "owners": {"id": _whole(1), "host": TEXT, "pid": _whole(1, 2**31 - 1), "beat": NUMBER},
    "trials": {
        "key": KEY,
        "place": COUNT,
        "settings": Rule("settings by axis, with an lr", _are_settings),
        "seed": SEED,
        "steps": _whole(1),
        "status": Rule(f"one of {', '.join(STATUSES)}", lambda value: value in STATUSES),
        "done": COUNT,
        "owner": _optional(COUNT),
        "score": _optional(NUMBER),
        "metrics": _optional(mapping_to(NUMBER, "finite numbers by name")),
        "losses": _optional(Rule("the bytes of float64 numbers", lambda size: size >= 0 and size % 8 == 0)),
        "seconds": _optional(Rule("a finite number >= 0", lambda value: _is_number(value, least=0))),
        "engine": _optional(TEXT),
        "threads": _optional(_whole(1)),
    },
    "rungs": {"key": KEY, "done": COUNT, "score": _optional(NUMBER)},
}
# of losses only the size is read here, -1 for what are no bytes
SIZE = "CASE typeof(losses) WHEN 'blob' THEN length(losses) WHEN 'null' THEN NULL ELSE -1 END"


def structure() -> dict[str, str]:
    """The tables and indices of a sweep's file, as SQLite describes them."""
    statements = [" ".join(statement.split()) for statement in TABLES.split(";") if statement.strip()]
    return {statement.split()[2]: statement for statement in statements}


def misbuilt(db: sqlite3.Connection) -> str:
    """The difference of the tables from those that were made, or empty.

    Args:
        db: the file.
    """
    found = db.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    made = {name: " ".join(str(sql).split()) for _, name, sql in found}
    for name, sql in structure().items():
        if made.get(name) != sql:
            return f"the table {name} is {'missing' if name not in made else 'not as stepsize made it'}"
    foreign = next((name for kind, name, _ in found if kind in ("trigger", "view")), None)
    return "" if foreign is None else f"{foreign!r} was added to it"


def facts_in(db: sqlite3.Connection) -> tuple[dict[str, Any], str]:
    """What all trials share, and what is wrong with it, or an empty text; nothing where there are no trials either.

    Args:
        db: the file.
    """
    found = list(rows(db, "sweep"))
    facts = {row["name"]: row["value"] for row, _ in found}
    fault = next((fault for _, fault in found if fault), "")
    begun = facts or db.execute("SELECT count(*) FROM trials").fetchone()[0]
    if begun and not fault:
        hashes = mapping_to(TEXT, "texts by name")
        for name, rule in (
            ("task", TEXT),
            ("steps", _whole(1)),
            *((("made_of", hashes),) if "made_of" in facts else ()),
        ):
            if not rule.holds(facts.get(name)):
                return facts, _check.message(f"{name} in sweep", facts.get(name), rule.words)
    return facts, fault


def rows(db: sqlite3.Connection, table: str, facts: Mapping[str, Any] | None = None) -> Iterator[tuple[Row, str]]:
    """All rows of a table, JSON read, each with what is wrong with it, or an empty text.

    Args:
        db: the file.
        table: a name in ``COLUMNS``.
        facts: of the sweep, for trials.
    """
    rules = COLUMNS[table]
    names = [SIZE if name == "losses" else name for name in rules]
    order = " ORDER BY place" if table == "trials" else ""
    for values in db.execute(f"SELECT {', '.join(names)} FROM {table}{order}"):  # noqa: S608 - names of our own
        raw = dict(zip(rules, values, strict=True))
        row = {name: _loaded(value) if name in JSON else value for name, value in raw.items()}
        wrong = next((name for name, rule in rules.items() if not rule.holds(row[name])), None)
        if wrong is not None:
            fault = _check.message(f"{wrong} in {table}", raw[wrong], rules[wrong].words)
        else:
            fault = _contradiction(row, facts or {}) if table == "trials" else ""
        yield row, fault


def _loaded(text: Any) -> Any:
    """The value of a JSON text, or an error."""
    if text is None:
        return None
    try:
        return json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return UNREADABLE


def _contradiction(row: Row, facts: Mapping[str, Any]) -> str:
    """A contradiction in the row of a trial, or empty."""
    done, steps, status = row["done"], row["steps"], row["status"]
    stride = max(1, math.ceil(done / POINTS))
    for wrong, rule in (
        (row["key"] != key_of(facts["task"], row["settings"], row["seed"], steps), "its key is of another trial"),
        (steps != facts["steps"], f"it has {steps} steps, and the sweep's trials have {facts['steps']}"),
        (done > steps, f"{done} of {steps} steps are done"),
        (status == "finished" and done < steps, f"it is finished after {done} of {steps} steps"),
        (status == "open" and done == steps, f"it is open after all {steps} steps"),
        (status == "finished" and row["score"] is None, "it is finished without a score"),
        (done and row["losses"] != 8 * math.ceil(done / stride), f"its losses are not those of {done} steps"),
    ):
        if wrong:
            return f"the trial {row['key']} contradicts itself: {rule}"
    return ""
