import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import settings

settings.register_profile("any machine", deadline=None)  # a busy one is no fault
settings.load_profile("any machine")


@pytest.fixture(autouse=True)
def _one_thread():
    """Small nets are quickest on one thread, and two test processes share two cores."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def _ctrl_c():
    """As at a terminal, wherever the tests were begun: in the background of a shell Ctrl-C is ignored.

    What is ignored is also handed on to every child, which a handler is not.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True, scope="session")
def _own_state(tmp_path_factory):
    """The key that signs run folders is that of the tests, and not of the person who runs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.getbasetemp() / "state"))
        yield


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The folder of the whole site, built as `make docs` builds it: a warning fails."""
    pytest.importorskip("sphinx_gallery", reason="the site's packages are those of the extra `docs`")
    folder = tmp_path_factory.mktemp("site") / "html"
    docs = Path(__file__).parents[1] / "docs"
    words = ["-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", str(docs), str(folder)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-4_000:]
    return folder
