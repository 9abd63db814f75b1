"""Counts of the requests that SGLang has, out of what its host tells."""

from __future__ import annotations

import time

from llem_engines import counts
from llem_sglang.messages import Arrived, Event


class Counts(counts.Counts):
    """Adds up what happened since the last reset. Safe between threads."""

    def came(self, event: Event) -> None:
        """Count what came of a request."""
        if not isinstance(event, Arrived):
            self.given_up([event.name], time.monotonic_ns())
            return
        self.arrived(
            event.name,
            event.t_ns,
            has_tokens=bool(event.tokens),
            cached=event.cached,
            retractions=event.retractions,
            is_over=event.finish is not None,
        )
