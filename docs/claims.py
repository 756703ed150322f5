"""Writes claims.md: every slide of the courses with its page, claim and result, and every claim of the papers.

    python docs/claims.py

Slides stand as the fields of the gallery's programs say; papers as benchmarks/logs/papers.json says.
"""

import json
import re
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
GALLERY = ROOT / "examples" / "gallery"
FIELD = re.compile(r"^:(Topic|Claim|Result): (.+)$", re.MULTILINE)
PAIRS = {  # programs that show two slides: what the second one is called, claims, and what came out
    "a01_trajectories": (
        "trajectories in two dimensions",
        "The steepest direction sets the border, the flattest the pace.",
        "partly. Curvatures of 1 and 10: the border is 0.2. At 0.02 the flat direction is last; at 0.19 the steep one, 1.5 % of it left.",
    ),
    "a09_one_cycle": (
        "the momentum against the rate",
        "The momentum goes down while the rate goes up.",
        "partly. Above the best rate it helps (0.039 against 0.063 at 0.63), at the best one hardly (0.0072 and 0.0075).",
    ),
    "b03_restarts": (
        "warm restarts",
        "The end of every cycle is a model to keep.",
        "not held here. After 100 of 400 steps the restarts validate at 0.107, one cosine that is still high at 0.069.",
    ),
}
OWN = {  # by the slide's number: what its own program does, measured in the page's program
    "A2": "At its rate of 0.1 it ends in NaN: features that are not scaled, curvature far above 20.",
    "B5": "It warms up to 1e-6, and the next rate is a thousand times higher.",
    "B8": "`next(iter(loader))` at each step: 1,166 different images in 29 batches, where one iterator has 1,797.",
    "B13": "Its LARS has no momentum: 91.2 % where the published rule has 92.9 %.",
    "B15": "It stops at its first step: `torch.cos` of a float raises TypeError.",
}
HEAD = """\
# Claims, and whether they hold

The two courses, A and B, have 31 slides. A [page of the gallery](../examples/gallery/README.rst) answers each: a program that runs
when this site is built, and as `stepsize course TOPIC`. Six slides share a page with their neighbour (A1 and A2, A10 and A11, B3 and
B4), so there are 28 pages. `python docs/claims.py` writes this page from these programs and from `benchmarks/logs`.

## The courses, slide by slide

"Held" is judged at the size of the page's program: seconds on one CPU core. It says that the claim is right there, not everywhere.

| slide | page | claim | result |
|---|---|---|---|"""
BROKEN = """
## What the slides' own programs do

Five of them, when run, do something other than they claim. Their pages run them:

| slide | what happens |
|---|---|"""
PAPERS = """
## The papers

Each claim at small scale: both recipes at their own best rate, five seeds, and the ratio of their losses with a 95 % interval
over the seeds. By `python benchmarks/papers.py` ([log](../benchmarks/logs/papers.log)) where nothing else is named. What holds in
300 steps of a perceptron may not hold at scale, and the other way round.

| paper | claim | verdict | figure |
|---|---|---|---|"""
FURTHER = (  # measured by other benchmarks
    (
        "Goyal et al. 2017, ImageNet in one hour",
        "the best rate grows in proportion to the batch",
        "partly",
        "digits-mlp, batches of 8 to 512: exponent 0.78; 1 from 16 to 256, where it holds, and 0 at both ends "
        "([script](../benchmarks/questions/batch_size.py))",
    ),
    (
        "Goyal et al. 2017, ImageNet in one hour",
        "with it a large batch loses nothing",
        "not held",
        "MNIST in ten epochs: 43.8 % at 4,096 with the scaled rate, 96.9 % with a searched one "
        "([script](../benchmarks/large_batch.py))",
    ),
    (
        "Goyal et al. 2017, ImageNet in one hour",
        "a gradual warm-up lets the large batch train at the scaled rate",
        "partly",
        "digits, batch 256 at 16 times the rate of 16, three seeds: 96 to 98 % with a warm-up over a quarter, 8, 16 and 96 % without; "
        "on MNIST 0.64 broke both ways ([script](../benchmarks/scale/warmup.py))",
    ),
    (
        "You et al. 2017, LARS",
        "large batches train where SGD with the linear rule fails",
        "held",
        "MNIST at 4,096: 98.1 % against 43.8 %; against a searched SGD (96.9, 94.5, 89.2 % at three batches) it wins at "
        "the smallest and ties at the largest ([script](../benchmarks/large_batch.py))",
    ),
    (
        "Kingma and Ba 2014, Adam",
        "works with little tuning",
        "held",
        "digits-mlp: rates over 2.1 decades lose at most 5 % of what training gains, SGD's over 1.0 "
        "([script](../benchmarks/questions/optimizers.py))",
    ),
    (
        "Smith 2015, cyclical rates",
        "a range test finds the rate",
        "not held",
        "regret over the tasks of the finders' benchmark: median 6 %, 90th percentile 91 % and more "
        "([how good it is](range_test.md#how-good-is-it))",
    ),
    (
        "Li et al. 2025, Step Law",
        "the best rate follows a power law in size and data",
        "held",
        "its published law is 0.07 % of the loss off (median of 54 targets), one fitted on smaller runs 0.01 % "
        "([script](../benchmarks/scale/steplaw.py))",
    ),
)


def numbered() -> list[tuple[str, str, str, str]]:
    """Every slide in the courses' order: its number, its page, its claim, its result."""
    rows, count = [], {"A": 0, "B": 0}
    for path in sorted(GALLERY.glob("[ab][0-9]*.py")):
        fields = dict(FIELD.findall(path.read_text(encoding="utf-8")))
        course, _, slide = fields["Topic"].partition(", ")
        shown = [(slide, fields["Claim"], fields["Result"])]
        if path.stem in PAIRS:
            shown.append(PAIRS[path.stem])
        for what, claim, result in shown:
            count[course] += 1
            link = f"[{what}](../examples/gallery/{path.name})"
            rows.append((f"{course}{count[course]}", link, claim.replace("``", "`"), result.replace("``", "`")))
    return rows


def slides() -> list[str]:
    """A row for each slide."""
    return ["| " + " | ".join(row) + " |" for row in numbered()]


def broken() -> list[str]:
    """A row for each slide whose own program does something else."""
    pages = {number: page for number, page, *_ in numbered()}
    return [f"| {number}, {pages[number]} | {happens} |" for number, happens in OWN.items()]


def papers() -> list[str]:
    """A row for each claim of a paper."""
    log = json.loads((ROOT / "benchmarks" / "logs" / "papers.json").read_text(encoding="utf-8"))
    rows = [(row["paper"], row["claim"], row["verdict"], row["figure"]) for row in log["claims"]]
    return ["| " + " | ".join(row) + " |" for row in sorted([*rows, *FURTHER], key=lambda row: row[0])]


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *slides(), BROKEN, *broken(), PAPERS, *papers()]) + "\n"


if __name__ == "__main__":
    (HERE / "claims.md").write_text(page(), encoding="utf-8")
