"""Numbers of a trace, from text or JSON. Messages are clauses that follow the name of the field."""

from __future__ import annotations

import math
import re
from typing import Any

MOST_TOKENS = 10_000_000
"""Of a prompt or an answer; the same bound as `dataset.input_tokens`."""

MOST_S = 9_000_000_000
"""Latest time that is taken (s): int64 nanoseconds end a little later."""

_MOST = 10**30
"""An integer of JSON may have thousands of digits, which no float holds."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def number_of(value: Any, name: str) -> int | float:
    """A finite number that is not negative, as it stands in JSON or CSV.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, str):
        text = value.strip()
        if not _NUMBER.fullmatch(text) or len(text) > 40:
            raise ValueError(f"{name} is no number: {text[:40]!r}")
        value = int(text) if text.isdigit() else float(text)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} is no number but {'nothing' if value is None else type(value).__name__}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name} is {value}")
    if value < 0:
        raise ValueError(f"{name} is negative: {value:.6g}" if value > -_MOST else f"{name} is negative")
    if value > _MOST:
        raise ValueError(f"{name} is larger than anything of this kind")
    return value


def tokens_of(value: Any, name: str) -> int:
    """A number of tokens, 0 or more. Raises ValueError where it is none."""
    # Nearly all are of this form, in files of tens of millions of rows; below eight digits none is too many.
    if isinstance(value, str) and len(value) < 8 and value.isascii() and value.isdigit():
        return int(value)
    found = number_of(value, name)
    if found != int(found):
        raise ValueError(f"{name} is no whole number: {found}")
    if found > MOST_TOKENS:
        raise ValueError(f"{name} is more than {MOST_TOKENS:,} tokens")
    return int(found)


def time_ns(value: Any, name: str, unit_ns: int) -> int:
    """A time as whole nanoseconds. Raises ValueError where it is none.

    Args:
        value: in units of `unit_ns`.
    """
    found = number_of(value, name)
    if found * (unit_ns / 1e9) > MOST_S:
        raise ValueError(f"{name} is later than any time that can be kept: {found:.6g}")
    return found * unit_ns if isinstance(found, int) else round(found * unit_ns)
