import signal

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
