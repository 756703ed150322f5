"""TensorBoard's own page of a run, as a person sees it: a screenshot by headless Chromium, to be looked at.

    python benchmarks/pages/tensorboard.py --out tensorboard.png

A run of the digits is trained, a real server started on loopback, and its page of custom scalars photographed. It
needs Chromium (Debian's will do).
"""

import argparse
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from stepsize import TensorBoard, train
from stepsize.task import task_named

SIGNALS = ("loss", "rate", "rate/*", "gradient_norm", "update_ratio", "update_ratio/*")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("tensorboard.png"))
    parser.add_argument(
        "--tab", default="custom_scalars", help="custom_scalars, timeseries, text, histograms or hparams"
    )
    parser.add_argument("--width", type=int, default=1440)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--wait", type=int, default=25, help="seconds that the page has for its charts")
    options = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("there is no Chromium here; install Debian's package chromium")
    with tempfile.TemporaryDirectory() as folder:
        for rate in (0.03, 0.1):
            board = TensorBoard(f"{folder}/runs/{rate}", every=2, signals=SIGNALS, histograms=50)
            train(task_named("digits"), lr=rate, steps=options.steps, watch=[board])
            board.close()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [sys.executable, "-m", "tensorboard.main", "--logdir", f"{folder}/runs", "--port", str(port)]
        server = subprocess.Popen([*command, "--load_fast=false"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _photograph(chromium, f"http://127.0.0.1:{port}/#{options.tab}", folder, options)
        finally:
            server.terminate()
            server.wait()
    print(f"{options.out}: {options.out.stat().st_size:,} bytes")


def _photograph(chromium: str, url: str, folder: str, options: argparse.Namespace) -> None:
    for _ in range(90):
        try:
            urllib.request.urlopen(url.partition("#")[0] + "data/runs", timeout=5).read()  # noqa: S310 - of this machine
            break
        except OSError:
            time.sleep(1)
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/profile"]
    command += [f"--window-size={options.width},1400", f"--virtual-time-budget={options.wait * 1000}"]
    subprocess.run(
        [*command, f"--screenshot={options.out.absolute()}", url], check=True, timeout=240, capture_output=True
    )


if __name__ == "__main__":
    main()
