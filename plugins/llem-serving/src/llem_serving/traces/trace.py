"""A trace as it is held: columns, because the longest published one has 27 million rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCK_TOKENS = 512
"""Tokens of a prompt that one of Mooncake's hash ids stands for; the last id of a prompt stands for what is left."""


@dataclass(frozen=True, slots=True)
class TraceRow:
    """One recorded request.

    Attributes:
        arrival_s: after the first row (s).
        input_tokens, output_tokens: of its prompt and its answer, at least 1 each.
        hash_ids: one for each block of `BLOCK_TOKENS` of the prompt; equal ids are equal tokens after equal blocks. None
            where the trace does not tell.
    """

    arrival_s: float
    input_tokens: int
    output_tokens: int
    hash_ids: tuple[int, ...] | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Trace:
    """Recorded requests in the order of their arrival.

    Attributes:
        name: of its file.
        format: `mooncake`, `burstgpt` or `azure`.
        sha256: of its file.
        arrival_s: after the first row that is kept (s), ascending.
        input_tokens, output_tokens: at least 1 each.
        hash_ids: see `TraceRow`; None where no row has any.
        failed: rows that were left out because nothing was answered.
        promptless: rows that were left out because nothing was asked.
        out_of_order: rows that stood after a later one in the file, and were put in order.
    """

    name: str
    format: str
    sha256: str
    arrival_s: NDArray[np.float64]
    input_tokens: NDArray[np.int64]
    output_tokens: NDArray[np.int64]
    hash_ids: Sequence[tuple[int, ...] | None] | None = None
    failed: int = 0
    promptless: int = 0
    out_of_order: int = 0

    def __len__(self) -> int:
        return len(self.arrival_s)

    def row(self, place: int) -> TraceRow:
        """The row at a place, from 0."""
        return TraceRow(
            float(self.arrival_s[place]),
            int(self.input_tokens[place]),
            int(self.output_tokens[place]),
            None if self.hash_ids is None else self.hash_ids[place],
        )

    def rows(self) -> Iterator[TraceRow]:
        """All of them, one after another."""
        return map(self.row, range(len(self)))

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what was changed in what the file holds."""
        told = (
            (self.failed, "have no output tokens (failed requests) and were left out"),
            (self.promptless, "have no input tokens and were left out"),
            (self.out_of_order, "stood after a later one and were put in order"),
        )
        return tuple(f"{count:,} rows of the trace {self.name} {what}." for count, what in told if count)
