"""Signs of life while a model loads."""

from __future__ import annotations

import resource
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from llem.plugin_api import LoadContext


@contextmanager
def signs_of_life(context: LoadContext, what: str, every_s: float = 10.0) -> Iterator[None]:
    """Say that loading goes on, as long as this process does something: one that hangs stays silent."""
    done = threading.Event()

    def watch() -> None:
        before = _cpu_s()
        begun = time.monotonic()
        while not done.wait(every_s):
            now = _cpu_s()
            if now - before > 0.01 * every_s:
                context.progress(f"{what} ({time.monotonic() - begun:.0f} s)")
            before = now

    context.progress(what)
    thread = threading.Thread(target=watch, name="llem-pytorch-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
