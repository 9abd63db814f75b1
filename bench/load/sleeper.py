"""A thread that only sleeps, beside a tool at work."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from bench.load.judging import percentile

_EVERY_NS = 2_000_000


@dataclass
class Sleeper:
    """A thread that does nothing but sleep until evenly spaced instants, while the block runs: its lateness is the machine's."""

    _late: list[tuple[int, int]] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Sleeper:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def p99_ms(self, start_ns: int, end_ns: int) -> float | None:
        """Its lateness between two instants (monotonic ns); None where it was not there."""
        found = [late_ns / 1e6 for due_ns, late_ns in self._late if start_ns <= due_ns <= end_ns]
        return percentile(found, 99) if found else None

    def _run(self) -> None:
        due_ns = time.monotonic_ns()
        while not self._ended.is_set():
            due_ns += _EVERY_NS
            if (left_ns := due_ns - time.monotonic_ns()) > 0:
                time.sleep(left_ns / 1e9)
            self._late.append((due_ns, time.monotonic_ns() - due_ns))
