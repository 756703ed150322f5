"""The page of a run: verdict, what comes next, how the rate was found, schedule, curves, details, surroundings."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from stepsize.diagnosis import Symptom, diagnose
from stepsize.pages._commands import next_of_run, repeats
from stepsize.pages._found_parts import between, found_parts
from stepsize.pages._numbers import text_of
from stepsize.pages._parts import Command, Facts, Page, Picture, Section, Table, Words, picture, section, table
from stepsize.record import PLANS, Course, Run, course_of, read_object
from stepsize.views import TaskViews, drawable, run_sheet

MOST_EVENTS = 500  # rows of a table
LONGEST = 160  # characters of a name in a sentence
CURVES = ("loss", "detail/gap", "figure/")  # views by the beginnings of their names
NOISE = ("detail/noise", "detail/gradient_noise")


def run_page(run: Run, views: TaskViews | None = None) -> Page:
    """The page of a run.

    Args:
        run: as it was read.
        views: of its task.
    """
    seen = drawable(run)
    facts, found = run.facts, seen.finding
    symptoms = diagnose(run) if run.steps else ()
    try:
        pictures = {view.name: picture(view, number) for number, view in enumerate(run_sheet(seen, views).views)}
    except ValueError:  # nothing can be drawn; the page has all else
        pictures = {}
    folder = str(run.folder)
    sections = [
        section("What to do next", *next_of_run(facts, folder, found)),
        None
        if found is None
        else section("How the rate was found", *found_parts(found, pictures.pop("finding", None))),
        section("How the plan was found", _plans(run)),
        section("Schedule, as planned and as applied", _plan(facts), pictures.pop("rate", None), _events(run.events)),
        section("Curves", *_taken(pictures, CURVES), _missing(run)),
        section("Diagnosis", *_found(run, symptoms), *_taken(pictures, NOISE)),
        section("Norms and ratios", *_taken(pictures, ("detail/",))),
        section("More of the task", *_taken(pictures, ("",))),
        section("Surroundings", *surroundings(facts, folder)),
        section("How to repeat it", *_repeat(facts)),
    ]
    state, verdict = judged(facts, found)
    verdict = verdict.replace("this run", "This run", 1) if verdict.startswith("this run") else verdict
    worst = next((symptom for symptom in symptoms if symptom.severity == "error"), None)
    if worst is not None and state != "bad":
        where = "" if worst.step is None else f" at step {text_of(worst.step)}"
        state, verdict = (
            "bad",
            f"{verdict} The diagnosis found an error: {words_of(worst.name.replace('-', ' '))}{where}.",
        )
    name = f"{shortened(str(facts.get('task') or run.folder.name), 60)}: {shortened(run.folder.name, 60)}"
    return Page(name, _kind(facts), verdict, state, (_figures(facts, found, seen),), tuple(filter(None, sections)))


def _kind(facts: Mapping[str, Any]) -> str:
    return f"Log of training ({facts['log']})" if "log" in facts else "Training run"


def shortened(text: str, longest: int = LONGEST) -> str:
    """A text that has room in a sentence."""
    text = " ".join(text.split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


def judged(facts: Mapping[str, Any], found: Mapping[str, Any] | None) -> tuple[str, str]:
    """The state of a run, and its result in a sentence.

    Args:
        facts: of ``run.json``.
        found: how its rate was found.
    """
    task, status = shortened(str(facts.get("task") or "this run")), str(facts.get("status", ""))
    rate, done, steps = facts.get("rate"), facts.get("done") or 0, facts.get("steps")
    doubted = found is not None and bool(found.get("doubts"))
    interval = f" (good between {between(found)})" if found is not None and found.get("rate") is not None else ""
    at = f"at a learning rate of {text_of(rate, 3)}{interval}" if rate else ""
    how_far = f"{text_of(done)} of {text_of(steps)} steps"
    reached, but = _reached(facts), ", though there are doubts about the rate" * doubted
    if status.startswith("no usable"):
        return "bad", f"No usable learning rate was found for {task}: {shortened(status.partition(': ')[2], 300)}."
    if status.startswith("failed"):
        return "bad", f"{task} failed after {how_far}: {shortened(status.partition(': ')[2], 300)}"
    if status == "diverged":
        return "bad", f"{task} diverged {at}, after {how_far}."
    if facts.get("command") == "find" and rate:
        return (
            "doubt" if doubted else "good",
            f"The best learning rate found for {task} is {text_of(rate, 3)}{interval}{but}.",
        )
    if status.startswith(("interrupted", "running")):
        state = "is under way" if status == "running" else "was stopped"
        return "open", " ".join(
            f"{task} {state} after {how_far} {at}".split()
        ) + f"{'; it reached ' * bool(reached)}{reached}."
    if not reached:
        return "doubt" if doubted else "good", " ".join(
            f"{task} trained {f'for {text_of(done)} steps ' * bool(done)}{at}".split()
        ) + f"{but}."
    broken = [words_of(name) for name, value in (facts.get("metrics") or {}).items() if value is None]
    if broken:
        but = f", and ended with a {broken[0]} that is not finite"
    start = f"{at[:1].upper()}{at[1:]}, {task}" if at else task
    state = "bad" if broken else "doubt" if doubted else "good"
    return state, f"{start} reached {reached}{f' in {text_of(done)} steps' * bool(done)}{but}."


def _reached(facts: Mapping[str, Any]) -> str:
    """The figures of a sentence: accuracy and validation loss before the training loss."""
    metrics = {name: value for name, value in (facts.get("metrics") or {}).items() if isinstance(value, int | float)}
    chosen = [name for name in ("accuracy", "validation_loss") if name in metrics] or [*metrics][:1]
    shown = [f"{'validation ' * (name == 'accuracy')}{words_of(name)} {figure(name, metrics[name])}" for name in chosen]
    return " and ".join(shown)


def words_of(name: str) -> str:
    """The name of a figure in words."""
    return shortened(name.replace("_", " ").strip(), 60)


def figure(name: str, value: Any) -> str:
    """A figure with its unit: accuracies in percent."""
    share = name.endswith("accuracy") and isinstance(value, float) and 0 <= value <= 1
    return f"{100 * value:.4g} %" if share else text_of(value)


def _figures(facts: Mapping[str, Any], found: Mapping[str, Any] | None, seen: Run) -> Facts:
    """The figures at a glance."""
    pairs = [("learning rate", text_of(facts["rate"], 3))] if facts.get("rate") else []
    if found is not None and found.get("rate") is not None:
        pairs.append(("good between", between(found)))
    for name, value in (facts.get("metrics") or {}).items():
        label = {"loss": "training loss", "accuracy": "validation accuracy"}.get(name, words_of(name))
        pairs.append((label, "not finite" if value is None else figure(name, value)))
    if not facts.get("metrics"):
        pairs += _last(seen)
    if "done" in facts:
        of = f" of {text_of(facts['steps'])}" if facts.get("steps", facts["done"]) != facts["done"] else ""
        pairs.append(("steps", f"{text_of(facts['done'])}{of}"))
    if "seconds" in facts:
        pairs.append(("time", duration(facts["seconds"])))
    pairs += [("seed", text_of(facts["seed"]).replace(",", ""))] if "seed" in facts else []
    return Facts(tuple(pairs), large=True)


def _last(seen: Run) -> list[tuple[str, str]]:
    """The last losses of a run whose facts say none."""
    pairs = []
    for label, name, lines in (
        ("last training loss", "loss", seen.steps),
        ("last validation loss", "validation_loss", seen.observed),
    ):
        course = course_of(lines, name)
        pairs += [] if course is None else [(label, _ended(course))]
    return pairs


def _ended(course: Course) -> str:
    return text_of(course.last) if course.broken is None else f"not finite from step {text_of(course.broken)} on"


def duration(seconds: Any) -> str:
    """A time in words."""
    if not isinstance(seconds, int | float) or not math.isfinite(seconds) or seconds < 100:
        return f"{text_of(seconds, 3)} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _taken(pictures: dict[str, Picture], starts: Sequence[str]) -> list[Picture]:
    """The pictures of views whose names begin so, in the order of the beginnings; they are then used up."""
    names = [name for start in starts for name in pictures if name.startswith(start)]
    return [pictures.pop(name) for name in dict.fromkeys(names)]


def _plan(facts: Mapping[str, Any]) -> Command | None:
    plan = str(facts.get("plan") or "")
    return Command(plan, "The plan:") if plan else None


def _events(events: Sequence[Mapping[str, Any]]) -> Table | None:
    """Changes of the rate, and when."""
    more = f", the first {MOST_EVENTS} of {len(events):,}" if len(events) > MOST_EVENTS else ""
    return table(f"Events{more}", events[:MOST_EVENTS])


def _found(run: Run, symptoms: Sequence[Symptom]) -> list[Words | Table | None]:
    """Findings of the diagnosis, the worst first."""
    if not run.steps:
        return []
    if not symptoms:
        return [Words("No rule of the diagnosis found anything wrong.")]
    rows = []
    for symptom in symptoms:
        evidence = ", ".join(f"{words_of(name)} {text_of(value, 3)}" for name, value in symptom.evidence.items())
        row = {"severity": symptom.severity, "symptom": words_of(symptom.name.replace("-", " ")), "step": symptom.step}
        rows.append({**row, "what to do": symptom.remedy, "rate times": symptom.factor, "evidence": evidence})
    return [table("What was found", rows)]


def _missing(run: Run) -> Words | None:
    """Notes on what the page lacks."""
    if any("validation_loss" in line for line in run.observed):
        return None
    return Words("Nothing was validated while this run trained.", remark=True) if run.steps else None


def _plans(run: Run) -> Table | None:
    """The plans that were raced before."""
    try:
        kept = (read_object(run.folder / PLANS) or {}).get("plans")
    except (OSError, ValueError):
        return None
    rows = [entry for entry in kept if isinstance(entry, Mapping)] if isinstance(kept, list) else []
    return table("Plans that were raced", [{**row, "scores": _scores(row.get("scores"))} for row in rows])


def _scores(scores: Any) -> str:
    return ", ".join(text_of(score, 4) for score in scores) if isinstance(scores, list) else text_of(scores)


def surroundings(facts: Mapping[str, Any], folder: str) -> list[Any]:
    """Versions, seed, git state, folder, settings.

    Args:
        facts: of ``run.json``.
        folder: as it is shown.
    """
    git = facts.get("git")
    pairs = [("folder", folder)]
    pairs += [(name, str(value)) for name, value in (facts.get("versions") or {}).items()]
    if isinstance(git, Mapping):
        changed = ", with changes that are not committed" if git.get("changed") else ""
        pairs.append(("git commit", f"{git.get('commit')}{changed}"))
    elif "versions" in facts:
        pairs.append(("git commit", "not in a git repository"))
    pairs += [
        (words_of(name), text_of(facts[name])) for name in ("threads", "started", "trial", "status") if name in facts
    ]
    told = {**_mapping(facts.get("said")), **_mapping(facts.get("settings"))}
    settings = [{"setting": name, "value": _text(value)} for name, value in told.items()]
    about = [{"fact": name, "value": _text(value)} for name, value in _mapping(facts.get("about_task")).items()]
    return [
        Facts(tuple(pairs)),
        table("Settings", settings, folded=len(settings) > 12),
        table("Facts of the task", about),
    ]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    return str(value)


def _repeat(facts: Mapping[str, Any]) -> list[Command | Words]:
    command = repeats(facts)
    if command is not None:
        return [Command(command, "The command that repeats it, in the same surroundings:")]
    if "log" in facts:
        return []
    return [Words("It was begun by a program, and not by a command: run that program again with the same seed.")]


def sections_of(*sections: Section | None) -> tuple[Section, ...]:
    """Those that there are."""
    return tuple(section for section in sections if section is not None)
