"""The form that all readers of a line share."""

from __future__ import annotations

from collections.abc import Callable

ParsedRow = tuple[int, int, int, tuple[int, ...] | None]
"""Time (ns, from any zero), input tokens, output tokens, hash ids."""

RowParser = Callable[[str], ParsedRow]
"""Takes a line; raises ValueError with a clause that says what is wrong with it."""
