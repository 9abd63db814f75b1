"""Sizes as Docker writes them, and as people read them."""

from __future__ import annotations

import re

_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


def size_of(text: str, least: int = 1) -> int:
    """Bytes of `512m`, `8g`, `8GiB`, `1.5g` or a plain number. Raises ValueError, whose text says what it should be."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", text.lower())
    size = int(float(found[1]) * _UNITS[found[2]]) if found else 0
    if size < least:
        raise ValueError(f"a size of {in_words(least)} or more, such as 512m or 8g")
    return size


def in_words(size: float) -> str:
    """Bytes for people: `8 GiB`, `512 MiB`."""
    for unit, name in ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if size >= unit:
            return f"{size / unit:.4g} {name}"
    return f"{size:.0f} bytes"
