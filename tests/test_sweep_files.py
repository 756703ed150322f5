"""The file of a sweep, damaged in every way: one line or what is whole, nothing lost, no traceback, no hang."""

import contextlib
import json
import math
import os
import random
import shutil
import socket
import sqlite3
import time
from functools import partial
from pathlib import Path

import pytest
from children import ran

from stepsize import Sweep, sweep
from stepsize.cli import run
from stepsize.engine import Auto, serial
from stepsize.sweeps import WAITING, SweepFileError, _schema, _store
from stepsize.task import task_named

TASK = task_named("quadratic")
RATES, SEEDS, STEPS = [0.01, 0.1], 2, 20
WORDS = ["sweep", "quadratic", "--lr", "0.01,0.1", "--seeds", "2", "--steps", "20", "--engine", "serial", "--out"]
OTHERS = [None, "abc", "[1]", "null", -1, 2**62, 10**18, 1.5, -math.inf, math.inf, 1e308, b"\xff\xfe", b""]
COLUMNS = [(table, column) for table, columns in _schema.COLUMNS.items() for column in columns]


def swept(folder, rates=RATES, seeds=SEEDS, **more):
    return sweep(TASK, rates, seeds, folder=folder, steps=STEPS, engine=serial, **more)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished sweep, with a claim that nobody keeps."""
    folder = tmp_path_factory.mktemp("whole") / "s"
    swept(folder)
    _execute(folder, "INSERT INTO owners VALUES (7, 'elsewhere', 4242, 1.0)")
    return folder


@pytest.fixture
def copy(whole, tmp_path):
    folder = tmp_path / "s"
    shutil.copytree(whole, folder)
    return folder


def _execute(folder, statement, values=()):
    connection = sqlite3.connect(folder / "sweep.db", isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = DELETE")  # all of it in the one file
        return connection.execute(statement, values).fetchall()
    finally:
        connection.close()


def _content(folder):
    return {table: _execute(folder, f"SELECT * FROM {table} ORDER BY 1, 2") for table in _schema.COLUMNS}


def _assert_told(words, capsys):
    """A command answers, or refuses in a line; returns whether it answered."""
    code = run(words)
    said = capsys.readouterr().err
    assert "Traceback" not in said
    if code != 2:
        return True
    (line,) = [line for line in said.splitlines() if not line.startswith("sweep quadratic")]
    assert line.startswith("stepsize: ")
    assert "sweep.db" in line or "holds no" in line
    return False


# every column of every row


def _changed(whole, copy, table, column, values=OTHERS):
    """The file with each value in the last row of a table, where SQLite itself keeps it."""
    for value in values:
        shutil.rmtree(copy)
        shutil.copytree(whole, copy)
        last = f"SELECT max(rowid) FROM {table}"
        try:
            _execute(copy, f"UPDATE {table} SET {column} = ? WHERE rowid = ({last})", (value,))
        except sqlite3.Error:
            continue
        yield _content(copy)


def _assert_one_line(error):
    assert len(str(error).splitlines()) == 1


@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_a_wrong_value_anywhere_is_refused_or_left_out_and_nothing_is_lost(table, column, whole, copy):
    refused = 0
    for before in _changed(whole, copy, table, column):
        try:
            found = Sweep.open(copy, partial=True)
            assert len(found.outcomes) + len(found.left_out) >= len(RATES) * SEEDS
        except SweepFileError as error:
            _assert_one_line(error)
        assert _content(copy) == before
        try:
            swept(copy)
        except SweepFileError as error:
            _assert_one_line(error)
            assert _content(copy) == before
            refused += 1
    assert refused > 0


@pytest.mark.slow
@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_commands_say_what_is_wrong_with_any_value(table, column, whole, copy, capsys):
    for _ in _changed(whole, copy, table, column, [None, "abc", math.inf]):
        for words in (["plot", str(copy)], ["plot", str(copy), "-o", str(copy / "t.csv")], [*WORDS, str(copy)]):
            _assert_told(words, capsys)


@pytest.mark.parametrize(
    ("table", "changes"),
    [
        ("trials", {"settings": '{"lr": 0.5}'}),
        ("trials", {"settings": '{"lr": 1' + "0" * 400 + "}"}),
        ("trials", {"settings": "[" * 100_000}),
        ("trials", {"seed": 1}),
        ("trials", {"steps": 21}),
        ("trials", {"status": "open"}),
        ("trials", {"done": 3}),
        ("trials", {"score": None}),
        ("trials", {"losses": b"\0" * 16}),
        ("trials", {"metrics": '{"validation_loss": NaN}'}),
        ("trials", {"metrics": '{"validation_loss": "low"}'}),
        ("owners", {"pid": 0}),
        ("owners", {"pid": -1}),
        ("owners", {"pid": 2**40}),
        ("sweep", {"value": "{"}),
    ],
    ids=lambda each: each if isinstance(each, str) else ".".join(map(str, each.items()))[:40],
)
def test_what_no_sweep_says_is_refused(table, changes, copy, capsys):
    for column, value in changes.items():
        _execute(copy, f"UPDATE {table} SET {column} = ? WHERE rowid = (SELECT min(rowid) FROM {table})", (value,))
    before = _content(copy)
    with pytest.raises(SweepFileError, match="is damaged") as error:
        swept(copy)
    assert "\n" not in str(error.value)
    assert _content(copy) == before


def test_what_is_whole_is_drawn_and_a_line_says_what_was_left_out(copy, capsys):
    expected = {each.key: each for each in Sweep.open(copy).outcomes}
    _execute(copy, "UPDATE trials SET score = 'abc' WHERE seed = 1")
    _execute(copy, "UPDATE starts SET score = 'abc' WHERE seed = 1")
    with pytest.raises(SweepFileError, match=r"score in trials must be .*'abc' \(and 2 more\).*partial=True"):
        Sweep.open(copy)
    assert run(["plot", str(copy), "--json"]) == 0
    output = capsys.readouterr()
    answer = json.loads(output.out)
    assert "left out 3 damaged rows; score in trials must be a finite number, or NULL, got 'abc'" in output.err
    assert [each["seed"] for each in answer["trials"]] == [0, 0]
    assert len(answer["left_out"]) == 3
    found = Sweep.open(copy, partial=True)
    assert {each.key: each for each in found.outcomes} == {k: v for k, v in expected.items() if v.seed == 0}
    assert math.isfinite(found.initial)


@pytest.mark.parametrize("table", _schema.COLUMNS)
def test_all_rows_of_a_table_deleted(table, copy, capsys):
    _execute(copy, f"DELETE FROM {table}")
    goes_on = _assert_told([*WORDS, str(copy)], capsys)
    drawn = _assert_told(["plot", str(copy)], capsys)
    assert goes_on == (table != "sweep")
    assert drawn == (table != "sweep")


def test_a_sweep_without_trials_is_not_drawn(copy, capsys):
    _execute(copy, "DELETE FROM trials")
    assert run(["plot", str(copy)]) == 2
    assert capsys.readouterr().err.strip() == f"stepsize: {copy} holds no trial"


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE rungs",
        "ALTER TABLE trials DROP COLUMN engine",
        "ALTER TABLE trials ADD COLUMN mine TEXT",
        "ALTER TABLE starts RENAME TO ends",
        "CREATE VIEW mine AS SELECT * FROM trials",
        "CREATE TRIGGER mine AFTER UPDATE ON trials BEGIN DELETE FROM starts; END",
        "PRAGMA user_version = 0",
        "PRAGMA user_version = -3",
        "PRAGMA user_version = 99",
    ],
)
def test_another_structure_is_refused(statement, copy, capsys):
    _execute(copy, statement)
    before = (copy / "sweep.db").read_bytes()
    assert not _assert_told([*WORDS, str(copy)], capsys)
    assert not _assert_told(["plot", str(copy)], capsys)
    assert (copy / "sweep.db").read_bytes() == before


# the file itself


def _truncated(whole, folder, places, capsys):
    content = (whole / "sweep.db").read_bytes()
    for place in range(places):
        size = len(content) * place // places
        (folder / "sweep.db").write_bytes(content[:size])
        if size == 0:  # as one that was killed at its very beginning leaves it
            assert not _assert_told(["plot", str(folder)], capsys)
            continue
        for words in (["plot", str(folder)], [*WORDS, str(folder)]):
            assert not _assert_told(words, capsys)
            assert (folder / "sweep.db").read_bytes() == content[:size]


def test_a_truncated_file_is_refused_as_it_is(whole, copy, capsys):
    _truncated(whole, copy, 11, capsys)


@pytest.mark.slow
def test_a_file_truncated_at_many_places_is_refused_as_it_is(whole, copy, capsys):
    _truncated(whole, copy, 50, capsys)


@pytest.mark.parametrize("seed", range(4))
def test_bytes_that_were_changed_anywhere_are_refused_or_do_no_harm(seed, whole, tmp_path):
    content, chance = (whole / "sweep.db").read_bytes(), random.Random(seed)
    for number in range(8):
        changed = bytearray(content)
        for _ in range(chance.choice([1, 3, 20])):
            place = chance.choice([chance.randrange(4096), chance.randrange(len(content))])  # the tables' texts, or all
            changed[place] = chance.randrange(256)
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "sweep.db").write_bytes(changed)
        for attempt in (partial(Sweep.open, folder, partial=True), partial(swept, folder)):
            try:
                attempt()
            except SweepFileError as error:
                _assert_one_line(error)


@pytest.mark.parametrize("end", ["", "-wal", "-journal"])
@pytest.mark.parametrize("kind", ["pipe", "folder", "socket"])
def test_what_is_no_file_is_refused_at_once(end, kind, copy, capsys):
    path = copy / f"sweep.db{end}"
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        {"pipe": os.mkfifo, "folder": os.mkdir, "socket": lambda path: _bind(listener, path)}[kind](path)
        for words in ([*WORDS, str(copy)], ["plot", str(copy)]):
            assert run(words) == 2
            assert "not a file" in capsys.readouterr().err


def _bind(listener, path):
    with contextlib.chdir(path.parent):  # names of sockets are short
        listener.bind(path.name)


def test_an_empty_file_is_begun_as_a_new_one(tmp_path):
    (tmp_path / "sweep.db").write_bytes(b"")
    with pytest.raises(SweepFileError, match="holds no sweep"):
        Sweep.open(tmp_path)
    assert len(swept(tmp_path).outcomes) == 4


def test_a_folder_named_with_nul_is_refused():
    for attempt in (lambda: swept("a\0b"), lambda: Sweep.open("a\0b")):
        with pytest.raises(SweepFileError, match="folder must be a path"):
            attempt()


@pytest.mark.parametrize(
    "make",
    [
        os.mkfifo,
        os.mkdir,
        lambda path: path.write_text("[" * 100_000),
        lambda path: path.write_text('{"engine": "serial", "why": 3, "predicted": 3}'),
        lambda path: path.write_text('{"engine": ["serial"], "why": "", "predicted": {}}'),
        lambda path: path.write_bytes(b"\xff"),
    ],
    ids=["pipe", "folder", "deep", "number", "list", "bytes"],
)
def test_a_choice_of_an_engine_that_is_none_is_refused(make, tmp_path):
    make(tmp_path / "engine.json")
    with pytest.raises(ValueError, match=r"engine.json.*remove"):
        sweep(TASK, RATES, SEEDS, folder=tmp_path, steps=STEPS, engine=Auto())


def test_a_disk_that_was_full_and_has_room_again(tmp_path):
    """The limit on the size of files stands for the disk."""
    script = (
        "import resource, sys\n"
        "from stepsize.cli import run\n"
        "limit = int(sys.argv[1])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))\n"
        "sys.exit(run(sys.argv[2:]))\n"
    )
    words = ["sweep", "quadratic", "--lr", "0.001:0.1:20", "--steps", "300", "--seeds", "2", "--engine", "serial"]
    words += ["--out", str(tmp_path / "s"), "--json"]
    full = ran(["-c", script, "400000", *words])
    assert full.returncode == 2
    assert "Traceback" not in full.stderr
    assert "give the same command again" in full.stderr
    done = {each.key: each for each in Sweep.open(tmp_path / "s").outcomes if each.status == "finished"}
    assert 0 < len(done) < 40
    assert run(words) == 0
    again = {each.key: each for each in Sweep.open(tmp_path / "s").outcomes}
    assert len(again) == 40
    assert all(again[key] == outcome for key, outcome in done.items())


# claims


@pytest.mark.parametrize("days", [-400, -1, 0, 1, 400])
def test_a_dead_claim_of_another_host_is_taken_over_whatever_its_clock_says(days, copy, monkeypatch):
    monkeypatch.setattr(_store, "SILENT", 0.5)
    _execute(copy, "UPDATE owners SET beat = ?", (time.time() + 86_400 * days,))
    _execute(copy, "UPDATE trials SET owner = 7, status = 'open', done = 0 WHERE seed = 1")
    notes, began = [], time.monotonic()
    found = swept(copy, progress=lambda done, total, note: notes.append(note))
    assert time.monotonic() - began < 20
    assert all(each.status == "finished" for each in found.outcomes)
    assert any(
        note.startswith(WAITING + "2 trials claimed by process 4242 on elsewhere, taken over after") for note in notes
    )


@pytest.mark.parametrize("ahead", [-86_400, 0, 86_400])
def test_a_live_claim_is_kept_whatever_its_clock_says(ahead, copy, monkeypatch):
    monkeypatch.setattr(_store, "SILENT", 1.0)
    _execute(copy, "UPDATE trials SET owner = 7, status = 'open', done = 0 WHERE seed = 1")
    trials = {each.key: None for each in Sweep.open(copy).outcomes}
    store = _store.Store(copy, {})
    until = time.monotonic() + 2.5
    while time.monotonic() < until:
        _execute_beside(copy, "UPDATE owners SET beat = ? WHERE id = 7", (time.time() + ahead,))
        assert store.claim(trials, STEPS) is None
        time.sleep(0.2)
    (claim,) = store.claims(trials)
    assert (claim.trials, claim.host, claim.pid) == (2, "elsewhere", 4242)
    assert claim.silent < 1.0
    store.close()


def _execute_beside(folder, statement, values):
    connection = sqlite3.connect(folder / "sweep.db", isolation_level=None, timeout=5)
    connection.execute(statement, values)
    connection.close()


def test_waiting_for_another_process_is_said_in_a_line(copy, monkeypatch, capsys):
    monkeypatch.setattr(_store, "SILENT", 0.5)
    _execute(copy, "UPDATE trials SET owner = 7, status = 'open', done = 0 WHERE seed = 1")
    assert run([*WORDS, str(copy)]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith(WAITING)]
    assert len(lines) == 1
    assert "process 4242 on elsewhere" in lines[0]


@pytest.mark.slow
def test_when_a_worker_dies_again_and_again_what_was_done_stays_and_nothing_is_claimed(
    tmp_path, monkeypatch, capsys, quick_workers
):
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(
        "import os, signal, torch\n"
        "from dataclasses import replace\n"
        "from pathlib import Path\n"
        "from stepsize.task import task_named\n"
        "def optimizer(parameters, lr):\n"
        "    if lr > 0.05 and Path('deadly').exists():\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return torch.optim.SGD(parameters, lr=lr)\n"
        "task = replace(task_named('linear-regression'), name='own', optimizer=optimizer)\n"
    )
    Path("deadly").write_text("")
    words = ["sweep", "own.py:task", "--lr", "0.001,0.01,0.1", "--seeds", "1", "--steps", "20", "--out", "s"]
    assert run([*words, "--engine", "processes", "--workers", "1"]) == 1
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert "sweep own failed; 2 of 3 trials are in s, the same command with --out s goes on" in said
    assert _execute(Path("s"), "SELECT count(*) FROM trials WHERE owner IS NOT NULL") == [(0,)]
    Path("deadly").unlink()
    assert run([*words, "--engine", "processes", "--workers", "1"]) == 0
    assert [each.status for each in Sweep.open("s").outcomes] == ["finished"] * 3


def test_a_task_that_changes_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()

    def moved(result):
        os.chdir(tmp_path / "elsewhere")

    assert all(each.status == "finished" for each in swept("s", on_result=moved).outcomes)
    assert [each.name for each in tmp_path.iterdir() if each.name != "elsewhere"] == ["s"]
    assert list((tmp_path / "elsewhere").iterdir()) == []
