"""Draws the pictures of docs/tasks.md by the commands that stand there: ``python docs/courses.py``."""

import shutil
import tempfile
from pathlib import Path

from stepsize.cli import run

IMAGES = Path(__file__).parent / "images"
COMMANDS = {
    "course-quadratic": ["course", "quadratic"],
    "course-frozenlake": ["course", "frozenlake"],
    "quadratic": ["train", "quadratic", "--lr", "0.15"],
}


def main() -> None:
    """Run every command in a folder of its own, and keep its picture."""
    for name, words in COMMANDS.items():
        with tempfile.TemporaryDirectory() as folder:
            if run([*words, "--out", f"{folder}/run"]):
                raise SystemExit(f"stepsize {' '.join(words)} failed")
            shutil.copyfile(f"{folder}/run/picture.png", IMAGES / f"{name}.png")


if __name__ == "__main__":
    main()
