"""The dataset `shared_prefix`: a system prompt and a block of examples that all prompts share, and a question of its own each.

`dataset.prefix_share` says the share of the prefix; without it, it is half. Lengths are exact, because prompts are token ids.
"""

from __future__ import annotations

import hashlib
import json
import math
from fractions import Fraction
from typing import TYPE_CHECKING

from llem.plugin_api import DatasetError, LoadedDataset, Piece, Prompt
from llem_serving.datasets.pieces import seed_of

if TYPE_CHECKING:
    from llem.plugin_api import DatasetConfig

NAME = "shared_prefix"

_DEFAULT_SHARE = 0.5

_SYSTEM_PART = Fraction(1, 4)
"""Of the prefix, the rest of which is the block of examples."""


def shared_prefix(total_tokens: int, share: float | Fraction, n: int, seed: int) -> list[tuple[Piece, ...]]:
    """Pieces of n prompts: system prompt and examples, the same in all, and a question. What has no tokens is left out.

    The prefix does not depend on n, and its beginning not on the share: prompts of one seed and another share begin alike.

    Args:
        total_tokens: of each prompt, at least 1.
        share: of the prefix in it, from 0 to below 1, as it is written in decimals: 0.9 is nine tenths.
        n: how many.
        seed: of all of them.

    Raises:
        DatasetError: the prefix would not be a whole number of tokens, or leave none for the question.
    """
    exact = share if isinstance(share, Fraction) else Fraction(repr(float(share)))
    if total_tokens < 1 or not 0 <= exact < 1:
        raise DatasetError(
            f"no prompt of {total_tokens} tokens has a shared prefix of {float(exact):.6g} of it and a question.",
            where="dataset.prefix_share",
            remedy="Give a share from 0 to below 1, and a length of at least 1.",
        )
    prefix = exact * total_tokens
    if prefix.denominator != 1:
        step = exact.denominator
        nearest = max(step, round(total_tokens / step) * step)
        raise DatasetError(
            f"{float(exact * 100):.6g} % of {total_tokens:,} tokens is no whole number of tokens.",
            where="dataset.input_tokens",
            remedy=f"Set it to a multiple of {step:,}, such as {nearest:,}.",
        )
    system = math.ceil(prefix * _SYSTEM_PART)
    common = (Piece(system, seed_of("system", seed)), Piece(int(prefix) - system, seed_of("examples", seed)))
    question = total_tokens - int(prefix)
    return [
        tuple(piece for piece in (*common, Piece(question, seed_of("question", seed, i))) if piece.tokens)
        for i in range(n)
    ]


def load(config: DatasetConfig, base_dir: str) -> LoadedDataset:
    """`config.n` prompts of `config.input_tokens` tokens, whose prefix has the share `config.prefix_share`. Reads no file.

    Raises:
        DatasetError: `input_tokens` is not set, or no such prefix can be made.
    """
    if config.input_tokens is None:
        raise DatasetError(
            f"the dataset {NAME} needs the length of its prompts.",
            where="dataset.input_tokens",
            remedy="Set it to a number of tokens, such as 1000.",
        )
    share = Fraction(repr(float(_DEFAULT_SHARE if config.prefix_share is None else config.prefix_share)))
    recipe = {
        "input_tokens": config.input_tokens,
        "share": str(share),
        "seed": config.seed,
        "version": 1,
    }
    return LoadedDataset(
        name=config.name,
        provenance=f"random token ids made by llem: {config.input_tokens} a prompt, the first {float(share * 100):.6g} % of them the "
        f"same in all (system prompt and examples), seed {config.seed}",
        sha256=hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest(),
        prompts=[Prompt(pieces=pieces) for pieces in shared_prefix(config.input_tokens, share, config.n, config.seed)],
    )
