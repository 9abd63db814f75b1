"""Shares of requests as text."""

from __future__ import annotations


def share_text(share: float) -> str:
    """A share as a percentage, never rounded to the whole or to nothing."""
    if 0.99995 <= share < 1:
        return "> 99.99 %"
    if 0 < share < 0.00005:
        return "< 0.01 %"
    return f"{share * 100:.2f} %"
