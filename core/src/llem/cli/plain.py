"""Plain text for everything that llem prints: whatever stood in a result, a label or an engine's error, no terminal is told anything by it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from llem.results.text import plain


class PlainStream:
    """A stream that writes control characters out, as `\\u001b`. It has no `buffer`: nothing gets past it.

    Attributes:
        beneath: the stream that it writes to, for the one view that moves a cursor itself.
    """

    def __init__(self, beneath: TextIO) -> None:
        self.beneath = beneath

    def write(self, text: str | bytes) -> int:
        """Write a text; bytes, as click's completion gives them, are UTF-8."""
        words = text.decode(errors="replace") if isinstance(text, bytes) else text
        self.beneath.write(plain(words))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several."""
        for text in lines:
            self.write(text)

    def __getattr__(self, name: str) -> Any:
        if name == "buffer":
            raise AttributeError(name)
        return getattr(self.beneath, name)


@contextmanager
def plain_streams() -> Iterator[None]:
    """Inside, standard output and standard error are such streams."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast(TextIO, PlainStream(stream)) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
