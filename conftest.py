"""Examples in docstrings run in a folder of their own, with few threads, like every other test."""

import pytest


@pytest.fixture(autouse=True)
def _own_folder(request, tmp_path, monkeypatch):
    if "doctest" in type(request.node).__name__.lower():
        monkeypatch.chdir(tmp_path)
