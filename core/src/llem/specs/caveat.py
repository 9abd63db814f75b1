"""A caveat: a word and a sentence about something that qualifies figures. Every caveat becomes a warning of the result."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caveat:
    """Something that a reader of the figures must know.

    Attributes:
        code: a stable word, lower case with underscores: a row of llem-analysis's `warnings.toml`, or a plugin's own.
        message: one paragraph: what was seen, with its numbers, and what to do.
    """

    code: str
    message: str
