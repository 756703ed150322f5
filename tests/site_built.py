"""The whole site, built once for the tests of two files."""

import functools
import os
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


@functools.cache
def built(folder):
    """Where in ``folder`` the site is, as `make docs` builds it: a warning fails."""
    pytest.importorskip("sphinx_gallery", reason="the site's packages are those of the extra `docs`")
    words = ["-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", str(DOCS), str(folder / "html")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-4_000:]
    return folder / "html"
