"""Several processes that train together: the first one reads commands, and all learn of them at the same step."""

import json
import math
import time
from collections.abc import Callable
from functools import cache
from typing import Any

SHARE = 200  # a meeting may take this share of the time until the next one
MEETINGS = 4  # the quickest of so many counts: in others a process was waited for
SELDOM = 0.25  # seconds between two meetings at most, about


class Meeting:
    """Tells all processes what the first one has found, at steps that they agree on."""

    def __init__(self) -> None:
        self._several: bool | None = None
        self._leads = True
        self._group: Any = None
        self.begin()

    def begin(self) -> None:
        """Meet at the next step."""
        self._at = -1
        self._held: tuple[int, float] | None = None  # the step of the last meeting, and when it ended
        self._took: list[float] = []  # seconds of the last meetings

    @property
    def is_several(self) -> bool:
        """Whether this is one of several processes; asked once, at the first step."""
        if self._several is None:
            self._leads = self.leads
            self._several = _joined() and _dist().get_world_size() > 1
        return self._several

    @property
    def leads(self) -> bool:
        """Whether this process reads and writes; once steps were taken it stays so, also when the group is gone."""
        if self._several is not None:
            return self._leads
        return not _joined() or _dist().get_rank() == 0

    @property
    def has_met(self) -> bool:
        """Whether there was a meeting since the beginning."""
        return self._held is not None

    def is_due(self, step: int) -> bool:
        """Whether all meet before the update of this step."""
        return step >= self._at

    @property
    def next_step(self) -> float:
        """The step of the next meeting; never, where there is one process."""
        return self._at if self._several else math.inf

    def hold(self, step: int, news: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What the first process has found, on every one.

        Args:
            step: how many updates have been done.
            news: called by the first process.
        """
        began = time.perf_counter()
        text = b""
        if self.leads:
            text = json.dumps({**news(), "gap": self._gap(step, began)}).encode()
        found: dict[str, Any] = json.loads(self._broadcast(text))
        self._at = step + int(found["gap"])
        self._held = step, time.perf_counter()
        self._took = [*self._took[1 - MEETINGS :], time.perf_counter() - began]
        return found

    def _gap(self, step: int, now: float) -> int:
        """Steps to the next meeting: so many that meetings cost little, so few that commands do not wait long."""
        if self._held is None or step <= self._held[0] or len(self._took) < MEETINGS:
            return 1
        pace = max(1e-9, (now - self._held[1]) / (step - self._held[0]))
        return max(1, min(math.ceil(min(self._took) * SHARE / pace), int(SELDOM / pace)))

    def _broadcast(self, text: bytes) -> bytes:
        """The first process's bytes, on every one; nothing touches an accelerator."""
        import torch

        dist = _dist()
        if self._group is None and "gloo" not in dist.get_backend_config():
            self._group = dist.new_group(backend="gloo")
        size = torch.tensor([len(text)], dtype=torch.int64)
        dist.broadcast(size, 0, group=self._group)
        piece = torch.zeros(int(size), dtype=torch.uint8)
        if text:
            piece = torch.frombuffer(bytearray(text), dtype=torch.uint8)
        dist.broadcast(piece, 0, group=self._group)
        return bytes(piece.tolist())


@cache
def _dist() -> Any:
    """Loaded late, since whoever sends commands needs no torch."""
    import torch.distributed as dist

    return dist


def _joined() -> bool:
    return bool(_dist().is_available() and _dist().is_initialized())
