"""Prompts of exactly the lengths of a trace, which share what the trace says that they shared."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import overload

from llem.plugin_api import Piece
from llem_serving.datasets.pieces import draw_ids, ordinary_ids, seed_of
from llem_serving.traces import BLOCK_TOKENS, Trace

_KEPT_BLOCKS = 4_096
"""Blocks whose ids are kept: the ones at the beginning of prompts come again and again."""


def trace_pieces(trace: Trace, place: int, seed: int) -> tuple[Piece, ...]:
    """The pieces of the prompt of one row: one for each block of a row with hash ids, equal where the ids are; else one of its own.

    Args:
        trace: see `read_trace`.
        place: of the row, from 0.
        seed: of the dataset; another one gives other tokens, and the same sharing.
    """
    row = trace.row(place)
    if row.hash_ids is None:
        return (Piece(row.input_tokens, seed_of("row", seed, place)),)
    left = row.input_tokens
    pieces = []
    for hash_id in row.hash_ids:
        pieces.append(Piece(min(left, BLOCK_TOKENS), seed_of("block", seed, hash_id)))
        left -= BLOCK_TOKENS
    return tuple(pieces)


class TracePrompts(Sequence[tuple[int, ...]]):
    """Token ids of the prompts of a trace, each made when it is asked for: all of them together may not fit into memory.

    Args:
        trace: see `read_trace`.
        ids: what tokens are drawn from.
        seed: of the dataset.
    """

    def __init__(self, trace: Trace, ids: Sequence[int], seed: int) -> None:
        self._trace, self._seed = trace, seed
        self._block = lru_cache(maxsize=_KEPT_BLOCKS)(lambda piece: draw_ids(piece, ids))
        self._ids = ids

    def __len__(self) -> int:
        return len(self._trace)

    @overload
    def __getitem__(self, place: int) -> tuple[int, ...]: ...
    @overload
    def __getitem__(self, place: slice) -> list[tuple[int, ...]]: ...
    def __getitem__(self, place: int | slice) -> tuple[int, ...] | list[tuple[int, ...]]:
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(len(self)))]
        at = place + len(self) if place < 0 else place
        if not 0 <= at < len(self):
            raise IndexError(f"no prompt {place} of {len(self)}")
        pieces = trace_pieces(self._trace, at, self._seed)
        if self._trace.hash_ids is None:
            return draw_ids(pieces[0], self._ids)
        return tuple(one for piece in pieces for one in self._block(piece))


def trace_prompts(trace: Trace, vocab_size: int, special_token_ids: Collection[int], seed: int) -> TracePrompts:
    """Prompts of random token ids, as long as the trace's were, in the order of its rows.

    Blocks with equal hash ids are equal tokens, so that prompts share the prefixes that the recorded ones shared. A row
    without hash ids shares nothing.

    Args:
        trace: see `read_trace`.
        vocab_size, special_token_ids: of the model; special tokens are not drawn.
        seed: of the tokens.

    Raises:
        DatasetError: the vocabulary has no ordinary token.
    """
    return TracePrompts(trace, ordinary_ids(vocab_size, special_token_ids), seed)
