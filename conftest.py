"""Examples in docstrings run in a folder of their own, with few threads, like every other test."""

import pytest


@pytest.fixture(autouse=True)
def _own_folder(request):
    if "doctest" in type(request.node).__name__.lower():  # a folder for each of the others would take its time
        request.getfixturevalue("monkeypatch").chdir(request.getfixturevalue("tmp_path"))
