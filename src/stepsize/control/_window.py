"""What an update that is not complete has been given so far, where gradients are accumulated."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

Losses = tuple[Callable[[], Tensor], ...]


class Window:
    """The calls of ``step`` since the last update."""

    def __init__(self) -> None:
        self.calls = 0
        self.loss: Any = None  # summed
        self.advance: float | None = None
        self._again: list[Losses] = []

    def add(self, loss: Any, advance: float | None, is_whole: bool, again: Losses) -> Any:
        """One more call.

        Args:
            loss: of its part of the batch, or None.
            advance: what it consumes of the clock.
            is_whole: whether that counts from the update before, and not from the call before.
            again: compute the loss once more.

        Returns:
            Its loss, without a graph.
        """
        self.calls += 1
        self.advance = advance if self.advance is None or is_whole else self.advance + (advance or 0.0)
        loss = loss.detach() if isinstance(loss, Tensor) else loss
        if loss is not None:
            self.loss = loss if self.loss is None else self.loss + loss
        self._again.append(again)
        return loss

    def losses(self) -> Losses:
        """What computes the loss of the whole window once more; nothing where a part of it cannot."""
        return sum(self._again, ()) if all(self._again) else ()
