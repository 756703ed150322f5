"""A run.json that is damaged, cut off, crafted or of another version: one line, exit code 2, the folder as it was."""

import json
import os
from pathlib import Path

import pytest

from stepsize.cli import run
from stepsize.record import FORMAT
from stepsize.record._facts import FACTS, NEEDED, NEEDED_WORDS, SAID
from stepsize.task import AXES
from stepsize.watch import RunFolder, to_json

pytestmark = pytest.mark.usefixtures("blank_pictures")

KINDS = {
    "text": ["words"],
    "number": [-2.5e3],
    "whole": [1, -1],
    "truth": [True],
    "list": [["a"]],
    "mapping": [{"a": {"b": []}}],
    "null": [None],
}
NUMBERS = {"number", "whole"}
# what a field may be; values of every other kind must be refused
OF = {
    **{name: {"text"} for name in ("command", "line", "task", "plan", "started", "status", "trial")},
    **{name: {"whole"} for name in ("format", "seed", "steps", "done", "threads", "total")},
    **{name: {"mapping"} for name in ("said", "made_of", "about_task", "versions", "metrics", "verified")},
    "rate": {*NUMBERS, "null"},
    "git": {"mapping", "null"},
    "resumed_at": {"whole", "null"},
    "seconds": NUMBERS,
    "signature": {"text", "null"},
}
OF_SAID = {
    **{name: {"text"} for name in ("task", "schedule", "optimizer", "data", "device")},
    **{name: {"whole"} for name in ("threads", "seed", "steps", "batch_size", "accumulate", "processes")},
    **{name: {"text", *NUMBERS} for name in ("clip", "warmup")},
    "momentum": NUMBERS,
    "weight_decay": NUMBERS,
    "guard": {"text", "truth"},
    **{name: {"truth"} for name in ("amp", "deterministic", "shard", "verify", "apply")},
    "set": {"mapping"},
}
BEYOND = {
    "format": [0, -1, FORMAT + 1, 10**9],
    "rate": [0, -0.1, 1e31, 10**400],
    "seed": [-1, 2**32],
    "steps": [0, -1, 2**60],
    "done": [-1, 13, 10**9],
    "total": [0, -1, 2**60],
    "threads": [0, -5],
    "resumed_at": [-1],
    "seconds": [-0.5, 10**400],
    "versions": [{"torch": 2}],
    "made_of": [{"train.py": None}],
    "metrics": [{"loss": "low"}, {"loss": True}],
    "task": ["a\0b", "\ud800"],
    "command": ["course quadratic", "rm", ""],
}
BEYOND_SAID = {
    "threads": [0, -1, 4097, 10**9],
    "seed": [-1, 2**32],
    "steps": [0, -1],
    "batch_size": [0],
    "accumulate": [0, -3],
    "processes": [0],
    "clip": [0, -1.0],
    "warmup": [-1],
    "momentum": [-0.1],
    "weight_decay": [-1],
    "guard": ["nothing()", "guard(returns=-1)"],
    "task": ["a\0b", "", "nothing", "nowhere.py:task", ":", "a:", ":b", "x.py:"],
    "data": ["\0"],
    "device": ["nonsense", ""],
    "schedule": ["nothing()", ""],
    "optimizer": ["nothing", ""],
    "set": [{"width": 3}, {"lr": 0.1}, {"": 1}],
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run that has ended: whatever goes on with it is quick."""
    before, folder = Path.cwd(), tmp_path_factory.mktemp("made")
    os.chdir(folder)
    try:
        assert run(["train", "quadratic", "--lr", "0.1", "--steps", "12", "--out", "a"]) == 0
    finally:
        os.chdir(before)
    return {path.name: path.read_bytes() for path in (folder / "a").iterdir()}


@pytest.fixture
def folder(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a").mkdir()
    for name, content in made.items():
        (Path("a") / name).write_bytes(content)
    return Path("a")


def content_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def refused(capsys, folder, content, *said, command=("train", "--resume", "a", "--trust")):
    """Put a run.json into the folder, and see it refused in one line."""
    (folder / "run.json").write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    before = content_of(folder)
    capsys.readouterr()
    code = run(list(command))
    out, err = capsys.readouterr()
    assert code == 2, (content, out, err)
    assert out == ""
    assert err.startswith("stepsize: ")
    assert len(err.splitlines()) == 1, err
    assert len(err) < 600
    assert all(word in err for word in said), err
    assert content_of(folder) == before


def others(kinds):
    return [value for kind, values in KINDS.items() if kind not in kinds for value in values]


def test_the_table_of_this_test_is_that_of_the_files():
    assert set(OF) == set(FACTS)
    assert set(OF_SAID) == {*SAID, *AXES} - {"lr"}


def test_the_run_itself_can_be_resumed(folder, made, capsys):
    assert run(["train", "--resume", "a"]) == 0
    assert "Traceback" not in capsys.readouterr().err
    assert json.loads((folder / "run.json").read_text())["status"] == "finished"


@pytest.mark.parametrize("name", sorted(FACTS))
def test_a_field_missing_of_another_type_or_out_of_range(folder, made, capsys, name):
    facts = json.loads(made["run.json"])
    if name in (*NEEDED, "made_of"):
        refused(capsys, folder, {key: value for key, value in facts.items() if key != name}, name)
    for value in [*others(OF[name]), *BEYOND.get(name, ())]:
        refused(capsys, folder, {**facts, name: value})


@pytest.mark.parametrize("name", sorted(OF_SAID))
def test_a_word_missing_of_another_type_or_out_of_range(folder, made, capsys, name):
    facts = json.loads(made["run.json"])
    if name in NEEDED_WORDS:
        refused(
            capsys, folder, {**facts, "said": {k: v for k, v in facts["said"].items() if k != name}}, f"said.{name}"
        )
    for value in [*others(OF_SAID[name]), *BEYOND_SAID.get(name, ())]:
        refused(capsys, folder, {**facts, "said": {**facts["said"], name: value}})


@pytest.mark.parametrize("word", ["address", "engine", "workers", "command", "", "a" * 1000])
def test_words_that_are_unknown_or_lead_elsewhere(folder, made, capsys, word):
    facts = json.loads(made["run.json"])
    facts["said"][word] = "192.0.2.2:6379"
    refused(capsys, folder, facts, "does not know")


def test_cut_off_anywhere(folder, made, capsys):
    content = made["run.json"].rstrip()
    for place in range(0, len(content), max(1, len(content) // 50)):
        refused(capsys, folder, content[:place], "a/run.json is not JSON")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is not JSON"),
        (b"[]", "must be a JSON object"),
        (b"5", "must be a JSON object"),
        (b'"text"', "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b"[" * 100_000, "nested more than"),
        (b'{"a":' * 100_000, "nested more than"),
        (b'{"about_task":' + b'{"a":' * 60 + b"1" + b"}" * 61, "nested more than"),
        (b'{"task": "caf\xe9"}', "is not UTF-8 (byte"),
        (b"\xff\xfe{\0}\0", "is not UTF-8"),
        (b"\0" * 100, "is not JSON"),
        (b'{"seconds": NaN}', "NaN is not a JSON number"),
        (b'{"seconds": 1e999}', "seconds in a/run.json must be a number >= 0, got inf"),
        (b'{"seed": ' + b"9" * 5000 + b"}", "is not JSON"),
        (b'{"format": 3, "unknown": []}', "written by a newer stepsize (format 3, this one knows 2); update stepsize"),
        (b"{}", "lacks"),
    ],
)
def test_other_content(folder, capsys, content, said):
    refused(capsys, folder, content, said)


@pytest.mark.skipif(os.name != "posix", reason="has no such files")
@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "dangling link", "loop", "huge"])
def test_what_is_no_regular_file_is_not_waited_for(folder, capsys, kind):
    path = folder / "run.json"
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "huge":
        with path.open("wb") as file:
            file.truncate(2**40)
    else:
        path.symlink_to({"device": "/dev/zero", "dangling link": "nowhere", "loop": "run.json"}[kind])
    assert run(["train", "--resume", "a"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("stepsize: a")
    assert len(err.splitlines()) == 1


def test_a_folder_of_the_first_version_opens(folder, made, capsys):
    facts = json.loads(made["run.json"])
    old = {name: value for name, value in facts.items() if name not in ("format", "made_of", "signature")}
    (folder / "run.json").write_text(json.dumps(old))
    assert RunFolder.existing("a").facts() == old
    assert run(["train", "--resume", "a"]) == 0
    again = json.loads((folder / "run.json").read_text())
    assert (again["format"], again["status"], again["said"]) == (FORMAT, "finished", facts["said"])


@pytest.mark.parametrize("facts", [{"rate": "fast"}, {"steps": 0}, {"metrics": {"loss": "low"}}, {"said": []}])
def test_what_could_not_be_read_again_is_not_written(tmp_path, facts):
    folder = RunFolder(tmp_path / "a")
    folder.write(task="digits", custom=[1, 2])
    with pytest.raises(ValueError, match=f"{next(iter(facts))} in .*run.json must be"):
        folder.write(**facts)
    assert folder.facts() == {"task": "digits", "custom": [1, 2], "format": FORMAT}
    assert to_json(folder.facts())


@pytest.mark.parametrize(
    "name",
    ["../evil", "a/b", "/tmp/a", "..", ".", "", " ", "a\0b", "a\nb", "a\\b", "c:d", "é" * 101, 5, None, "\x1b[2J"],
)
def test_names_that_are_more_than_a_part_of_a_path_make_no_folder(tmp_path, name):
    with pytest.raises(ValueError, match="usable in a folder's name") as caught:
        RunFolder.fresh(name, tmp_path / "runs")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["digits", "résumé 2", "..a", "$\\frac{".replace("\\", ""), "-x"])
def test_other_names_do(tmp_path, name):
    assert RunFolder.fresh(name, tmp_path).path.parent == tmp_path
