"""Passes over a dataset: each does the same work, with a cache of prompts that holds nothing of the pass before, unless the study
keeps it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llem.plugin_api import Request

MADE_BY = frozenset({"offline", "single_stream", "quality"})
"""Scenarios that put the dataset to the engine again and again, or once after a warm-up on the same prompts. A load has no
passes: its requests find what was cached as a server's do."""


class Passes:
    """The passes of an experiment.

    Args:
        scenario: by name.
        forget: empties the cache; False where that could not be. None where it is kept.
    """

    def __init__(self, scenario: str = "", forget: Callable[[], bool] | None = None) -> None:
        self.are_emptied = scenario in MADE_BY and forget is not None
        self._forget = forget
        self._seen: set[int] = set()
        self._kept = 0

    def before(self, requests: Sequence[Request]) -> None:
        """Empty the cache when a prompt comes a second time."""
        if not self.are_emptied or self._forget is None:
            return
        ids = {request.id for request in requests}
        if not self._seen.isdisjoint(ids):
            if not self._forget():
                self._kept += 1
            self._seen.clear()
        self._seen |= ids

    def kept(self) -> int:
        """Number of times that the cache could not be emptied, since this was asked last."""
        kept, self._kept = self._kept, 0
        return kept
