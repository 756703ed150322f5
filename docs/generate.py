"""Writes docs/schedules.md and its pictures from the pieces' own docstrings: ``python docs/generate.py``."""

import re
from pathlib import Path

from stepsize.report import GALLERY, explanation, gallery_picture, signature, summary

HERE = Path(__file__).parent
PICTURES = HERE / "images" / "schedules"


def page() -> str:
    """The text of docs/schedules.md."""
    parts = [
        "# All schedules",
        "Written by `python docs/generate.py` from the pieces' docstrings; `stepsize schedules NAME` shows the same.",
        "A length is a number of steps, a share of the run (`20%`) or epochs (`3ep`). Pictures are over 1,000 steps.",
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
