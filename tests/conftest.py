import multiprocessing
import os
import signal

os.environ.setdefault("OMP_NUM_THREADS", "1")  # of children too; torch reads it when it is imported

import children
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


@pytest.fixture(autouse=True, scope="session")
def _no_fork_is_left():
    yield
    children.end_forks()


@pytest.fixture
def quick_workers(monkeypatch):
    """Workers of the engine `processes` are forks whose imports are done; how they begin is tested without this."""
    monkeypatch.setattr(multiprocessing, "get_context", lambda kind: children.FORKS)


@pytest.fixture
def blank_pictures(monkeypatch):
    """Pictures are blank where a test has no eye for them: rendering takes most of the time of a short run."""
    figure = pytest.importorskip("matplotlib.figure").Figure
    save = figure.savefig
    monkeypatch.setattr(figure, "savefig", lambda self, *words, **more: save(figure((1, 1)), *words, **more))
