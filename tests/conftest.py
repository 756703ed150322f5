import pytest
import torch


@pytest.fixture(autouse=True)
def _one_thread():
    """Small nets are quickest on one thread, and two test processes share two cores."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _own_state(tmp_path_factory, monkeypatch):
    """The key that signs run folders is a test's own, and not that of who runs the tests."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.getbasetemp() / "state"))
