"""Makes the picture of ``stepsize tune digits`` from the run that README shows: ``python docs/pictures.py``."""

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent / "images"
WORDS = ("tune", "digits")
SAME = ("rate ", "trained ")  # how lines begin whose figures README shows


def main() -> None:
    """Run the command, and keep its picture beside what it printed."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "stepsize", *WORDS, "--out", "run"]
        done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
        picture = HERE / "digits.png"
        shutil.copy(Path(folder, "run", "picture.png"), picture)
    lines = [line for line in done.stdout.splitlines() if line.startswith(SAME)]
    about = {
        "command": " ".join(("stepsize", *WORDS)),
        "lines": lines,
        "sha256": hashlib.sha256(picture.read_bytes()).hexdigest(),
    }
    (HERE / "digits.json").write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
