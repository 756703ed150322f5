"""A thousand commands, half of them invalid, to a run of two processes that is killed a hundred times.

One hand sends valid commands by ``Steer``, tries such as ``Steer`` refuses, and writes what is no command, or none for
this run, into the file past all checks. Meanwhile both processes, or one of them, are killed at any moment, or kill
themselves before or after one of their fsyncs, and go on from the last checkpoint. Afterwards file, answers, log, state
and the rates that were applied must say the same; and a run that had the commands from the start must have the same
bits.

Prediction, written before the first run: nothing is lost, doubled or half applied; all bits are the same.
"""

import json
import multiprocessing
import os
import random
import signal
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import torch
from _common import arguments, conclude, progress
from _steered_ranks import RANKS, ROW, driven, run

from stepsize import Steer
from stepsize.control import Command
from stepsize.control.steering import Answer, read_answers

PLACES = multiprocessing.get_context("forkserver")
GROUPS = ("*", "body", "head", "h*")


class Size(NamedTuple):
    """How large a storm is."""

    commands: int
    kills: int
    pause: float = 0.002  # seconds between two steps


class Hand(threading.Thread):
    """Sends so many random commands while the run is killed; keeps what was sent, and what went wrong with it."""

    def __init__(self, folder: Path, count: int) -> None:
        super().__init__(daemon=True)
        self.folder, self.count = folder, count
        self.until = 0.0  # the share that may be sent by now
        self.draw = random.Random(1)
        self.sent: list[Command] = []
        self.tried: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.back: list[Command] = []  # scalings that take others back, so that rates stay near where they were

    def run(self) -> None:
        for number in range(self.count):
            time.sleep(self.draw.uniform(0.05, 0.25))
            while number >= self.until * self.count:
                time.sleep(0.05)
            kind = self.draw.choices(("valid", "refused", "written"), (2, 1, 1))[0]
            self.tried[kind] += 1
            try:
                {"valid": self.send, "refused": self.be_refused, "written": self.write}[kind]()
            except Exception as error:
                self.wrong.append(f"{kind}: {error!r}")

    def valid(self) -> Command:
        draw = self.draw
        verb = draw.choice(("scale", "scale", "set", "release", "rebase", "clip", "extend", "validate", "checkpoint"))
        group = draw.choice(GROUPS) if verb in ("scale", "set", "release", "rebase") else "*"
        step = (self.folder / "rates-0").stat().st_size // ROW.size
        at = draw.choice((None, None, step + draw.randrange(1, 400)))
        if verb == "scale":
            if self.back and draw.random() < 0.5:
                return self.back.pop()
            factor = draw.choice((0.5, 0.8, 1.25, 2.0))
            self.back.append(Command("scale", 1 / factor, group))
            return Command("scale", factor, group, at=at)
        value = {"set": 0.03, "rebase": 0.04, "clip": 2.0, "extend": 90.0}.get(verb)
        return Command(verb, None if value is None else value * draw.uniform(0.5, 1.5), group, at=at, reason="storm")

    def send(self) -> None:
        command = self.valid()
        Steer(self.folder).send(command)
        self.sent.append(command)

    def be_refused(self) -> None:
        """Something that ``Steer`` must not write down."""
        before = (self.folder / "commands.jsonl").stat().st_size
        words: dict[str, Any] = self.draw.choice(
            [
                {"verb": "scale", "value": -1.0},
                {"verb": "scale", "value": float("nan")},
                {"verb": "set", "value": 0.1, "group": "tail"},
                {"verb": "set", "value": 0.1, "of": "momentum"},
                {"verb": "stop"},
                {"verb": "extend", "value": 0.0},
                {"verb": "halve"},
                {"verb": "scale", "value": 0.5, "at": Steer(self.folder).about.step - 1},  # one that is past
                {"verb": "clip", "value": 1.0, "group": "head"},
            ]
        )
        try:
            Steer(self.folder).send(Command(**words))
        except ValueError as error:
            if not str(error):
                self.wrong.append(f"{words} was refused without a reason")
        else:
            self.wrong.append(f"{words} was sent")
        if (self.folder / "commands.jsonl").stat().st_size != before:
            self.wrong.append(f"{words} changed the file")

    def write(self) -> None:
        """Something that is refused when it is read."""
        draw, good = self.draw, Command("scale", 0.5)
        lines = [
            b"half a command that nobody ended",
            good.line().replace(b'"scale"', b'"exec"'),
            good.line().replace(b"0.5", b"NaN"),
            Command("scale", 0.5, "tail").line(),
            Command("set", 9.0, of="weight_decay").line(),
            Command("stop").line(),
            b"[]\n",
            b"\xff\x00\n",
            b" " * 2_500 + b"\n",
            good.line()[:40] + b"\n",
        ]
        if self.sent:
            lines.append(draw.choice(self.sent).line())  # once more
        descriptor = os.open(self.folder / "commands.jsonl", os.O_WRONLY | os.O_APPEND)
        try:
            os.write(descriptor, draw.choice(lines))
        finally:
            os.close(descriptor)


def started(folder: Path, place: Path, draw: random.Random, kill: bool, pause: float) -> str:
    """Start both processes, and say how they ended: ``"killed"``, ``"killed in a write"`` or ``"ended"``."""
    meeting = place / f"meeting-{draw.randrange(10**12)}"
    in_write = kill and draw.random() < 0.4
    seeds = [draw.randrange(10**6) if in_write and rank == 0 else None for rank in range(RANKS)]
    both = [
        PLACES.Process(target=run, args=(rank, str(folder), str(meeting), seeds[rank], pause), daemon=True)
        for rank in range(RANKS)
    ]
    for each in both:
        each.start()
    if kill and not in_write:
        while draw.random() < 0.97 and not Path(f"{meeting}-met").exists() and both[0].is_alive():
            time.sleep(0.1)  # most are killed in training, a few on the way there
        both[0].join(draw.uniform(0.0, 2.0))
        for each in draw.choice([both, both[:1], both[1:]]):
            each.kill()
    both[0].join((15 if in_write else 5) if kill else 3_600)
    time.sleep(0.2)
    codes = [each.exitcode for each in both]
    for each in both:  # one that waits for the other, which is gone
        each.kill()
        each.join()
    if codes == [0, 0]:
        return "ended"
    if codes != [None, None] and -signal.SIGKILL not in codes:
        raise RuntimeError(f"the ranks ended with {codes}: {(folder / 'errors').read_text()[-2_000:]}")
    return "killed in a write" if in_write and codes[0] == -signal.SIGKILL else "killed"


def storm(folder: Path, place: Path, size: Size) -> tuple[Hand, Counter[str]]:
    """Commands and kills at the same time, then a cool-down to the end."""
    folder.mkdir()
    draw, kills = random.Random(0), Counter[str]()
    hand = Hand(folder, size.commands)
    while sum(kills.values()) < size.kills or not hand.ident or hand.is_alive():
        hand.until = (sum(kills.values()) + 1) / size.kills
        if not hand.ident and (folder / "rates-0").exists() and (folder / "steering.json").exists():
            hand.start()
        kills[started(folder, place, draw, True, size.pause)] += 1
        progress(f"{sum(kills.values())} kills, {sum(hand.tried.values())} commands")
    sender = threading.Thread(target=cool_down, args=(folder, hand))
    sender.start()
    kills[started(folder, place, draw, False, 0.0)] += 1
    sender.join()
    return hand, kills


def cool_down(folder: Path, hand: Hand) -> None:
    command = Command("cooldown", 100)
    Steer(folder).send(command)
    hand.sent.append(command)


def findings(folder: Path, hand: Hand) -> tuple[list[str], Counter[str]]:
    """What is wrong with file and answers; and how many lines there were of each kind."""
    wrong = list(hand.wrong)
    lines = (folder / "commands.jsonl").read_bytes().split(b"\n")[:-1]
    answers = read_answers(folder)
    last = {answer.line: answer for answer in answers}
    ends = Counter(answer.line for answer in answers if answer.state != "taken")
    takes = Counter(answer.line for answer in answers if answer.state == "taken")
    by_id = {command.id: command for command in hand.sent}
    end = len(applied(folder, 0))
    state = torch.load(folder / "end.pt", weights_only=True)["control"]
    waiting = {line for _, line, _ in state["commands"]["waiting"]}
    found: Counter[str] = Counter()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if takes[number] == 1 and not ends[number] and (last[number].step >= end and number in waiting):
            found["behind the end"] += 1
            continue
        if ends[number] != 1 or takes[number] > 1:
            wrong.append(f"line {number}: taken {takes[number]} times, ended {ends[number]} times")
            continue
        answer = last[number]
        found[answer.state] += 1
        own = by_id.get(answer.id)
        first = own is not None and line == own.line()[:-1] and line not in lines[: number - 1]
        if answer.state == "refused" and not answer.reason:
            wrong.append(f"line {number} was refused without a reason")
        if first and answer.state == "refused" and "a step to come" not in answer.reason:
            wrong.append(f"line {number} was refused: {answer.reason}")
        if not first and answer.state == "done":
            wrong.append(f"line {number} was done: {line[:200]!r}")
        found["late"] += first and answer.state == "refused"
    written = {line for line in lines if line}
    wrong += [f"{each.id} is not in the file" for each in hand.sent if each.line()[:-1] not in written]
    return wrong, found


def done(folder: Path) -> list[tuple[Answer, Command]]:
    """What took effect, in that order."""
    answers = read_answers(folder)
    taken = {answer.line: answer.command for answer in answers if answer.state == "taken"}
    found = [(answer, Command(**taken[answer.line])) for answer in answers if answer.state == "done"]
    return sorted(found, key=lambda each: (each[0].step, each[0].line))


def applied(folder: Path, rank: int) -> list[tuple[Any, ...]]:
    """The last that was done at each step."""
    return list(ROW.iter_unpack((folder / f"rates-{rank}").read_bytes()))


def by_hand(commands: list[tuple[Answer, Command]], steps: int) -> list[tuple[Any, ...]]:
    """What a plain Control does, in one process, that is changed by hand at these steps."""
    layers = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.Linear(5, 1))
    _, control = driven(layers, None)
    threshold, rows, place = -1.0, [], 0
    for step in range(steps):
        asked = set()
        while place < len(commands) and commands[place][0].step == step:
            command = commands[place][1]
            value, words, place = command.value or 0.0, {"group": command.group}, place + 1
            if command.verb in ("scale", "set", "rebase"):
                getattr(control, command.verb)(value, **words)
            elif command.verb == "release":
                control.release(**words)
            elif command.verb == "extend":
                control.extend((control.total or 0.0) + value, "stretch")
            elif command.verb == "cooldown":
                control.extend(control.position + value, "cooldown")
            elif command.verb == "clip":
                threshold = value
            else:
                asked.add(command.verb)
        rows.append((*control.step().values, threshold, "validate" in asked, "checkpoint" in asked))
    return rows


def equal(first: Any, second: Any) -> bool:
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second) and bool(first.isfinite().all())
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(equal(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(equal, first, second))
    return bool(first == second)


def straight(folder: Path, place: Path, commands: list[tuple[Answer, Command]]) -> None:
    """The run once more, never stopped, with the commands there from the start."""
    folder.mkdir()
    in_file = sorted(commands, key=lambda each: each[0].line)
    lines = [Command(**{**vars(command), "at": answer.step}).line() for answer, command in in_file]
    descriptor = os.open(folder / "commands.jsonl", os.O_WRONLY | os.O_CREAT, 0o600)
    os.write(descriptor, b"".join(lines))
    os.close(descriptor)
    if started(folder, place, random.Random(2), False, 0.0) != "ended":
        raise RuntimeError("the run that was not killed did not end")


def compared(folder: Path, other: Path, commands: list[tuple[Answer, Command]]) -> list[str]:
    """What does not agree: the ranks, the rates by hand, the events, the run with the commands from the start."""
    rows = [applied(folder, rank) for rank in range(RANKS)]
    ends = [torch.load(each / "end.pt", weights_only=True) for each in (folder, other)]
    states = [end["control"] for end in ends]
    reasons = [event[5] for event in states[0]["log"]]
    events = [reason.partition("command ")[2][:16] for reason in reasons if "command " in reason]
    for state in states:
        del state["commands"]  # how much of which file was read
    checks = {
        "the ranks applied the same": rows[0] == rows[1],
        "the rates are those of changes by hand": rows[0] == by_hand(commands, len(rows[0])),
        "the log has each command once, in order": events == [command.id for _, command in commands],
        "weights": equal(ends[0]["model"], ends[1]["model"]),
        "optimizer": equal(ends[0]["optimizer"], ends[1]["optimizer"]),
        "state": equal(states[0], states[1]),
        "applied rates": rows[0] == applied(other, 0),
    }
    return [name for name, holds in checks.items() if not holds]


def main() -> None:
    quick = arguments(__doc__ or "").quick
    PLACES.set_forkserver_preload(["torch", "stepsize", "_steered_ranks"])
    size = Size(30, 3) if quick else Size(1_000, 100)
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        hand, kills = storm(place / "storm", place, size)
        wrong, found = findings(place / "storm", hand)
        commands = done(place / "storm")
        straight(place / "straight", place, commands)
        wrong += compared(place / "storm", place / "straight", commands)
        steps = len(applied(place / "storm", 0))
    ended = kills.pop("ended")
    tried = hand.tried
    past = f"{tried['written']} written past it"
    late = f"{found['late']} came after the step that they named"
    lines = [
        f"{sum(kills.values())} kills, {kills['killed in a write']} of them inside a write; {ended} ended by itself",
        f"{sum(tried.values())} commands: {tried['valid']} valid, {tried['refused']} refused by Steer, {past}",
        f"{found['done']} took effect in {steps} steps, {found['behind the end']} were for steps behind the end",
        f"{found['refused']} lines were refused, each with a reason; {late}",
        f"{len(wrong)} lost, doubled, half applied or not the same as from the start",
        *wrong[:20],
    ]
    data = {"kills": dict(kills), "tried": dict(tried), "found": dict(found), "steps": steps, "wrong": wrong}
    conclude("steer_storm", lines, json.loads(json.dumps(data)), quick)


if __name__ == "__main__":
    main()
