"""Prompts of llem's own making in the shape of AIEnergyScore's text generation task.

`aienergyscore` ships with llem and needs no network: 1,000 prompts that `tools/prompts` made, a third of them
encyclopedic paragraphs, a third web prose, a third chat requests, as long as the genuine ones. `aienergyscore:official`
is the genuine set, which comes with llem-hub. The two never share a name, a provenance or a SHA-256.

    from llem.datasets import aienergyscore
    texts = aienergyscore.prompts()
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from llem.datasets.jsonl import jsonl_prompts
from llem.datasets.selection import drawn_dataset
from llem.specs.dataset import LoadedDataset

if TYPE_CHECKING:
    from llem.config.experiment import DatasetConfig

COUNT = 1_000
"""Prompts in the set."""

FILE = Path(__file__).with_suffix(".jsonl")
"""The built-in prompts."""

PROVENANCE = (
    "made by llem (python -m llem.datasets.generator, version 1) in the shape of AIEnergyScore/text_generation; "
    "not that dataset, and no text of it"
)
"""Of the built-in prompts; their file's first line says the same.

It names the generator by the place that it had in version 1 (now `tools/prompts`): the text is part of the file, and
another one would give the same prompts another SHA-256.
"""


def prompts() -> list[str]:
    """The 1,000 built-in prompts, in their order. The first n have about the whole set's lengths and kinds, for any n."""
    return [str(prompt.text) for prompt in jsonl_prompts(FILE.read_bytes(), str(FILE), "prompt")[0]]


def load_builtin(config: DatasetConfig, base_dir: str) -> LoadedDataset:
    """`config.n` of the built-in prompts. Nothing is read from `base_dir`.

    Raises:
        DatasetError: more than 1,000 are asked for.
    """
    raw = FILE.read_bytes()
    found, _ = jsonl_prompts(raw, str(FILE), "prompt")
    return drawn_dataset(found, config, PROVENANCE, hashlib.sha256(raw).hexdigest(), config.name)
