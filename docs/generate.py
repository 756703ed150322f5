"""Writes docs/schedules.md and its pictures from the pieces' own docstrings: ``python docs/generate.py``."""

import re
from pathlib import Path

from stepsize.pages import GALLERY, explanation, gallery_picture, signature, summary

HERE = Path(__file__).parent
PICTURES = HERE / "images" / "schedules"


LAWS = """## Putting them together

- `a >> b` puts b after a. One piece of a sequence may omit its length: it fills the rest of the run.
- `a * b` multiplies the values at each position. A factor without a length covers the whole run, or the part of the
  sequence that the product covers; one with a length keeps its last value afterwards. So a product is as long as its
  longest factor, and fills the rest of the run if a factor has no length.
- `schedule.stairs("1ep")` is a staircase: throughout an epoch the schedule keeps its value at the epoch's start, like
  a scheduler that is stepped once an epoch. The width may also be a number of steps or a share of the run. Stairs are
  counted from the schedule's start: put brackets around a whole sequence to align them with the run's epochs.

```python
from stepsize import cosine, step_decay, warmup

print((warmup(10) * cosine()).over(100))
print((warmup("10%") * step_decay(every="30%") >> cosine("20%")).over(100))
print((warmup("1ep") >> cosine()).stairs("1ep").over(100, per_epoch=25)([0, 25, 49, 50, 99]))
```

```text
warmup(10) * cosine(100)
(warmup(10) * step_decay(80, every=30)) >> cosine(20)
[0.03846154 1.         1.         0.75       0.25      ]
```

## Between two steps

Lengths are never rounded: positions may be samples or tokens, and a run should hardly change when its total changes
by one. On 105 steps `warmup("10%")` is 10.5 steps long. Its top lies between two steps: step 10 is still on the way
up (0.957), and step 11 is half a step into the next piece (0.995 with `linear()`, 0.9999 with `cosine()`). If one
step must have the full rate, give a whole number of steps: `warmup(10)`, `warmup(round(0.1 * total))`."""


def page() -> str:
    """The text of docs/schedules.md."""
    parts = [
        "# All schedules",
        "Written by `python docs/generate.py` from the docstrings; `stepsize schedules NAME` shows the same.",
        "A length is a number of steps, a share of the run (`20%`) or epochs (`3ep`). Pictures are over 1,000 steps.",
        LAWS,
    ]
    for name in GALLERY:
        text = explanation(name)
        formula = re.search(r"Formula:\n((?: +.*\n)+)", text)
        source = re.search(r"^Source: ([\s\S]*)", text, re.MULTILINE)
        parts += [f"## {name}", summary(name), f"`{signature(name)}`", f"![{name}](images/schedules/{name}.png)"]
        if formula:
            parts.append("Formula: " + " ".join(formula[1].replace("<", "&lt;").replace("*", "\\*").split()))
        if source:
            parts.append("Source: " + " ".join(source[1].replace("``", "`").split()))
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Write the page and the pictures."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    for name in GALLERY:
        gallery_picture(name, PICTURES / f"{name}.png")
    (HERE / "schedules.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
