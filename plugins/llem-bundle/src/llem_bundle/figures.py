"""Figures as a bundle states them, beside the same figures as its readings and rows give them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Verdict = Literal["equal", "differs", "not_verified"]

RELATIVE = 1e-6
"""Figures that the same numbers give by another order of adding."""

ABSOLUTE = 1e-9
"""Seconds; the clock's own step."""


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        of: the experiment's directory, or a configuration.
        stated: as the bundle has it; recomputed: as the raw data give it, None where they do not.
        give: how far the two may lie apart; note: why it was not verified, or how it was.
    """

    of: str
    name: str
    stated: Any
    recomputed: float | None
    verdict: Verdict
    give: float = 0.0
    note: str = ""

    def document(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "of": self.of,
            "figure": self.name,
            "stated": self.stated,
            "recomputed": self.recomputed,
            "verdict": self.verdict,
            "may_differ_by": self.give,
            "note": self.note,
        }


def number(value: Any) -> float | None:
    """A number that a file states; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def at(data: Any, path: str) -> Any:
    """The value in nested data under a dotted path; None where there is none."""
    for part in path.split("."):
        data = data.get(part) if isinstance(data, Mapping) else None
    return data


def held(
    of: str, name: str, stated: Any, recomputed: float | None, give: float | None = None, note: str = ""
) -> Figure:
    """A figure held against what was recomputed: it may lie `give` away, by default what rounding does."""
    value = number(stated)
    if value is None and stated is not None:
        return Figure(of, name, str(stated)[:100], recomputed, "differs", note="it is no number")
    if recomputed is None or value is None:
        return Figure(of, name, stated, recomputed, "differs", note=note or "it is stated, and cannot stand")
    allowed = RELATIVE * abs(recomputed) + ABSOLUTE if give is None else give
    equal = abs(value - recomputed) <= allowed
    return Figure(of, name, value, recomputed, "equal" if equal else "differs", allowed, note)


def not_verified(of: str, data: Any, paths: Mapping[str, str], why: str) -> Iterator[Figure]:
    """Figures that are stated and that nothing here can give."""
    for name, path in paths.items():
        if (stated := at(data, path)) is not None:
            yield Figure(of, name, number(stated), None, "not_verified", note=why)
