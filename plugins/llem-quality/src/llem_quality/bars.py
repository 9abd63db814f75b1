"""Progress bars of libraries: a question takes microseconds to word, and a terminal shows llem's own progress."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator


@contextlib.contextmanager
def silent_bars() -> Iterator[None]:
    """Inside, bars are drawn nowhere. They go to standard error as it is when one begins; so does nothing else here."""
    with contextlib.redirect_stderr(io.StringIO()):
        yield
