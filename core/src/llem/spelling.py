"""The word that was meant by one that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def closest(word: str, known: Iterable[str], at_least: float = 0.6) -> str | None:
    """The known word that is most like this one; None where none is.

    Args:
        at_least: likeness from which on two words are alike.
    """
    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=at_least)), None)


def likeness(one: str, other: str) -> float:
    """The share of characters that two words have in common, in their order: 0 to 1."""
    return difflib.SequenceMatcher(None, one, other).ratio()
