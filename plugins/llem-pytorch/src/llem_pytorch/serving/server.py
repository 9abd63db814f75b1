"""The interface of whatever answers streamed requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from llem_pytorch.serving.streamed_answer import StreamedAnswer


class AnswerServer(Protocol):
    """A thread that makes answers, and takes requests from other threads meanwhile."""

    def submit(self, answer: StreamedAnswer) -> None:
        """Take a request. Its tokens go to the answer as they are made; so does the error where it fails."""

    def cancel(self, answer: StreamedAnswer) -> None:
        """End a request whose answer nobody waits for any more. Harmless where it has ended."""

    def metrics(self, *, reset: bool = False) -> Mapping[str, float]:
        """See `ReportsMetrics.metrics`."""

    def close(self) -> None:
        """End the thread, and every request that is under way with an error. Harmless when repeated."""
