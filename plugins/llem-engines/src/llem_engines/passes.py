"""Passes over a dataset: each does the same work, with a cache of prompts that holds nothing of the pass before, unless the study
keeps it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llem.plugin_api import ExperimentConfig, Request


def has_passes(config: ExperimentConfig) -> bool:
    """True where the dataset is put to the engine again and again, or once after a warm-up on the same prompts. Requests that are under
    way together are a load and no passes: they find what was cached as a server's do."""
    return "concurrent" not in config.needs


def treatment(config: ExperimentConfig, *, is_off: bool, is_kept: bool) -> str:
    """A phrase for what becomes of the cache of prompts between requests, for the result.

    Args:
        config: of the experiment.
        is_off: there is no such cache.
        is_kept: the study keeps it between passes.
    """
    if is_off:
        return "off"
    if not has_passes(config):
        return "kept, as a server keeps it"
    return "kept between passes" if is_kept else "emptied between passes"


class Passes:
    """The passes of an experiment.

    Args:
        there: there are passes.
        forget: empties the cache; False where that could not be. None where it is kept.
    """

    def __init__(self, there: bool = False, forget: Callable[[], bool] | None = None) -> None:
        self.are_emptied = there and forget is not None
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
