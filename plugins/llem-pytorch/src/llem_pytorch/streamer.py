"""Times of tokens, taken while `generate` runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from transformers.generation.streamers import BaseStreamer

if TYPE_CHECKING:
    import torch


class Cancelled(Exception):  # noqa: N818 - unwinds `generate` where its answer is no longer wanted; no error
    """Nobody waits for this answer any more."""


class StepClock(BaseStreamer):
    """Notes when each decoding step's tokens reached the host.

    `generate` hands over the prompt first, then the new tokens of each step: a vector with one token a row, or, where tokens
    are drafted, a matrix of one row with several. It copies them to the host for this, which waits for the device,
    so that the time is that of tokens which really exist. Tokens of one step share its time.

    Args:
        on_step: called with the new tokens of each row and their time (monotonic ns).
        cancelled: asked at each step; true ends the generation with `Cancelled`.
    """

    def __init__(
        self,
        on_step: Callable[[list[list[int]], int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> None:
        self.times: list[int] = []
        """One time for each token of a row."""
        self._on_step = on_step
        self._cancelled = cancelled
        self._prompt_seen = False

    def put(self, value: torch.Tensor) -> None:
        """Take the prompt, or the new tokens of a step."""
        now = time.monotonic_ns()
        if not self._prompt_seen:
            self._prompt_seen = True
            return
        self.times.extend([now] * (value.shape[-1] if value.dim() == 2 else 1))
        if self._on_step is not None:
            self._on_step((value if value.dim() == 2 else value[:, None]).tolist(), now)
        if self._cancelled is not None and self._cancelled():
            raise Cancelled

    def end(self) -> None:
        """Nothing is held back."""
