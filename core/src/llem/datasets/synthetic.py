"""Synthetic prompts: recipes for random token ids, of an exact length.

The ids themselves are drawn where the vocabulary is known, in the worker; a recipe of the same length and seed gives
the same ids for the same vocabulary.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from llem.errors import DatasetError
from llem.specs.dataset import LoadedDataset, Prompt

if TYPE_CHECKING:
    from llem.config.experiment import DatasetConfig


def load(config: DatasetConfig, base_dir: str) -> LoadedDataset:
    """`config.n` recipes of `config.input_tokens` tokens each, no two with one seed.

    The seed of prompt i is the first 8 bytes of SHA-256 over `SEED:i`, so that neighbouring seeds of the configuration
    share no prompt, and the first prompts are the same for any n.

    Raises:
        DatasetError: `input_tokens` is not set.
    """
    if config.input_tokens is None:
        raise DatasetError(
            "a synthetic dataset needs the length of its prompts.",
            where="dataset.input_tokens",
            remedy="Set it to a number of tokens, such as 512.",
        )
    recipe = {"input_tokens": config.input_tokens, "seed": config.seed, "version": 1}
    return LoadedDataset(
        name=config.name,
        provenance=f"random token ids made by llem: {config.input_tokens} a prompt, seed {config.seed}",
        sha256=hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest(),
        prompts=[Prompt(input_tokens=config.input_tokens, seed=_seed(config.seed, i)) for i in range(config.n)],
    )


def _seed(seed: int, i: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}:{i}".encode()).digest()[:8], "big")
