"""A real TensorBoard server on loopback, and what it answers."""

import contextlib
import json
import socket
import subprocess
import sys
import time
import urllib.request
from urllib.parse import urlencode

from children import child

PATIENCE = 90  # seconds until it has started and read the folder


@contextlib.contextmanager
def board_server(folder):
    """A function that gets what a plugin's route answers, while a server shows a folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "tensorboard.main",
        "--logdir",
        str(folder),
        "--port",
        str(port),
        "--load_fast=false",
    ]
    with child(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:

        def get(plugin, route, **query):
            url = f"http://127.0.0.1:{port}/data/plugin/{plugin}/{route}?{urlencode(query)}"
            for _ in range(PATIENCE):
                assert server.poll() is None
                try:
                    with urllib.request.urlopen(url, timeout=5) as answer:
                        return json.load(answer)
                except OSError:
                    time.sleep(1)
            raise TimeoutError(url)

        yield get
