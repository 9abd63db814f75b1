"""The scenario `offline`: batches as the engine forms them, one after another."""

from __future__ import annotations

import time
from collections.abc import Sequence

from llem.scenarios.closed_loop import ClosedLoop
from llem.specs.backend import Request
from llem.specs.scenario import Answer


class Offline(ClosedLoop):
    """Asks by `generate`, for batches of the engine's own making."""

    def group(self, requests: Sequence[Request]) -> Sequence[Sequence[Request]]:
        """The batches that the engine forms."""
        return self._engine.batches(requests)

    def answer(self, batch: Sequence[Request], pass_number: int = 1, batch_number: int = 1) -> Answer:
        """Release one batch and wait for it."""
        released = time.monotonic_ns()
        records = self._engine.generate(batch)
        return Answer(pass_number, batch_number, released, time.monotonic_ns(), batch, records)
