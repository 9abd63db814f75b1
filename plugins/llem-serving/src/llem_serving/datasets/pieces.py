"""Pieces: recipes for parts of a prompt. Prompts that have a piece in common have its tokens in common.

A piece is to a part of a prompt what the core's recipe is to a whole one, and gives the same ids: they are drawn where the
vocabulary is known, by the piece's own seed.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Collection, Sequence

from llem.plugin_api import DatasetError, Piece


def seed_of(*parts: str | int) -> int:
    """A seed: the first 8 bytes of SHA-256 over the parts, so that neighbouring ones have nothing in common."""
    return int.from_bytes(hashlib.sha256(":".join(map(str, parts)).encode()).digest()[:8], "big")


def ordinary_ids(vocab_size: int, special_token_ids: Collection[int]) -> list[int]:
    """The ids that pieces are drawn from: the vocabulary without special tokens, ascending.

    Raises:
        DatasetError: there is none.
    """
    special = frozenset(special_token_ids)
    ids = [one for one in range(vocab_size) if one not in special]
    if not ids:
        raise DatasetError(
            f"the model's vocabulary of {vocab_size} ids has no ordinary token to draw a prompt from.",
            where="dataset.name",
            remedy="Use a dataset of text with this model.",
        )
    return ids


def draw_ids(piece: Piece, ids: Sequence[int]) -> tuple[int, ...]:
    """Token ids of one piece, drawn uniformly from `ids` with its seed."""
    return tuple(random.Random(piece.seed).choices(ids, k=piece.tokens))


def piece_ids(pieces: Sequence[Piece], ids: Sequence[int]) -> tuple[int, ...]:
    """Token ids of a prompt that is made of these pieces.

    Args:
        pieces: one after another.
        ids: `ordinary_ids` of the model.
    """
    return tuple(one for piece in pieces for one in draw_ids(piece, ids))
