import pytest
import torch


@pytest.fixture(autouse=True)
def _one_thread():
    """Small nets are quickest on one thread, and two test processes share two cores."""
    torch.set_num_threads(1)
