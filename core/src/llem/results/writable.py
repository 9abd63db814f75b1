"""The last writer's answer to everything: data that no JSON or Parquet file could hold is brought into a form that it can.

UTF-8 holds no half of a surrogate pair, which a file's name or a broken prompt can have; JSON no NaN and no infinity; some
readers of it no integer beyond 64 bits. What is measured by then is never given up for it: such a text has its half
written out (`\\udce9`), the rest becomes text or null, and a warning says where.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

WRITTEN_OUT = re.compile(r"\\ud[89a-f][0-9a-f]{2}")
"""Text in the place of half a surrogate pair."""

_DEEPEST = 100
_LEAST, _MOST = -(2**63), 2**64 - 1


def encodable(text: str) -> str:
    """The text, with every half of a surrogate pair written out, as it has none otherwise."""
    return text.encode("utf-8", "backslashreplace").decode() if has_halves(text) else text


def has_halves(text: str) -> bool:
    """True where UTF-8 cannot hold a text."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def writable(value: Any, depth: int = 0) -> Any:
    """A copy of data that JSON and UTF-8 can hold; what they can is as it was."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return encodable(str(value))
    if isinstance(value, int):
        # Compared, not looked up in a range: for an engine's IntEnum that would count its numbers one by one.
        return int(value) if _LEAST <= value <= _MOST else _large(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if depth > _DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        return {encodable(str(key)): writable(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [writable(item, depth + 1) for item in value]
    try:
        return encodable(str(value))
    except Exception:  # noqa: BLE001 - somebody else's object, and the measurement is finished
        return f"a {type(value).__name__} that cannot be written"


def _large(value: int) -> str:
    # A thousand digits would take Python's limit for turning them into text.
    return str(value) if value.bit_length() < 2_000 else f"an integer of {value.bit_length():,} bits"


def changed_places(value: Any, other: Any, place: str = "") -> Iterator[str]:
    """Keys at which data is not as it was, by the path to each."""
    if isinstance(value, Mapping) and isinstance(other, Mapping):
        for (key, one), two in zip(value.items(), other.values(), strict=True):
            yield from changed_places(one, two, f"{place}.{encodable(str(key))}" if place else encodable(str(key)))
            if not isinstance(key, str) or has_halves(key):
                yield f"{place}.{encodable(str(key))}"
    elif isinstance(value, list | tuple) and isinstance(other, list):
        for number, (one, two) in enumerate(zip(value, other, strict=True)):
            yield from changed_places(one, two, f"{place}[{number}]")
    elif (isinstance(other, str) and WRITTEN_OUT.search(other)) or not (value is other or value == other):
        yield place
