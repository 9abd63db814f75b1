"""One line of a terminal: parts of which the least important give way where there is no room, in colours or without."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Colour = Literal["plain", "bold", "dim", "red", "green", "cyan"]
_SGR = {"bold": "1", "dim": "2", "red": "31", "green": "32", "cyan": "36"}


@dataclass(frozen=True)
class Part:
    """A few words.

    Attributes:
        rank: the part of the highest rank gives way first; 0 never does, but is cut.
    """

    text: str
    rank: int = 0
    colour: Colour = "plain"


def line(parts: Sequence[Part], width: int, *, colours: bool, separator: str = "  ") -> str:
    """Lay parts out side by side in at most so many columns."""
    kept = [Part(_printable(part.text), part.rank, part.colour) for part in parts if part.text]
    while len(kept) > 1 and _columns(kept, separator) > width and max(part.rank for part in kept) > 0:
        kept.remove(max(reversed(kept), key=lambda part: part.rank))
    shown: list[str] = []
    left = width
    for part in kept:
        room = left - (len(separator) if shown else 0)
        if room <= 0:
            break
        text = cut(part.text, room)
        left = room - columns(text)
        shown.append(_painted(text, part.colour) if colours else text)
    return separator.join(shown)


def columns(text: str) -> int:
    """Number of columns that a text takes: none for a combining mark, two for a wide character."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def cut(text: str, width: int) -> str:
    """At most so many columns of a text, with `…` where it goes on."""
    if columns(text) <= width:
        return text
    while text and columns(text) > width - 1:
        text = text[:-1]
    return f"{text}…" if width > 0 else ""


def _columns(parts: Sequence[Part], separator: str) -> int:
    return sum(columns(part.text) for part in parts) + len(separator) * (len(parts) - 1)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)


def _painted(text: str, colour: Colour) -> str:
    return f"\x1b[{_SGR[colour]}m{text}\x1b[0m" if colour in _SGR else text
