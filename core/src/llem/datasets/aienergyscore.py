"""AIEnergyScore's text generation task: prompts of llem's own making in its shape, and the genuine set.

`aienergyscore` ships with llem and needs no network: 1,000 prompts that `tools/prompts` made, a third of them
encyclopedic paragraphs, a third web prose, a third chat requests, as long as the genuine ones. `aienergyscore:official`
is the genuine set, read from the hub or a local file and refused where its prompts are not those of the pinned commit.
The two never share a name, a provenance or a SHA-256.

    from llem.datasets import aienergyscore
    texts = aienergyscore.prompts()
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from llem.datasets import hub, jsonl, snapshot
from llem.datasets.selection import loaded
from llem.errors import DatasetError
from llem.specs.dataset import LoadedDataset, Prompt

if TYPE_CHECKING:
    from llem.config.experiment import DatasetConfig

COUNT = 1_000
"""Prompts in either set."""

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

OFFICIAL_REPOSITORY = "AIEnergyScore/text_generation"
OFFICIAL_COMMIT = "2dc92b2ee2cd9776a51ccf08c6c2ab04138370c3"
OFFICIAL_SHA256 = "d332965827a48cc38b26f702653ad0a331b5e2cfc33fd0a9472005e2e5eb5bfc"
"""Of the genuine prompts in their order, by `llem.datasets.hub.hash_of`, whatever file format they came in."""


def prompts() -> list[str]:
    """The 1,000 built-in prompts, in their order. The first n have about the whole set's lengths and kinds, for any n."""
    return [str(prompt.text) for prompt in jsonl.prompts_of(FILE.read_bytes(), str(FILE), "prompt")[0]]


def load_builtin(config: DatasetConfig, base_dir: str) -> LoadedDataset:
    """`config.n` of the built-in prompts. Nothing is read from `base_dir`.

    Raises:
        DatasetError: more than 1,000 are asked for.
    """
    raw = FILE.read_bytes()
    found, _ = jsonl.prompts_of(raw, str(FILE), "prompt")
    return loaded(found, config, PROVENANCE, hashlib.sha256(raw).hexdigest(), config.name)


def load_official(config: DatasetConfig, base_dir: str) -> LoadedDataset:
    """`config.n` of the genuine prompts: from `config.path` where it is given (a .jsonl or .parquet file,
    or a folder of them), else from the hub.

    Raises:
        DatasetError: it cannot be read, is not the genuine set, or has too few prompts.
    """
    if config.path is None:
        path, source = snapshot.download(OFFICIAL_REPOSITORY, OFFICIAL_COMMIT), "from the hub"
    else:
        path = Path(base_dir, Path(config.path).expanduser())
        source = f"from {path.name}"
    found, where = snapshot.read_prompts(path, config.field), str(path)
    digest = hub.hash_of(found)
    _check(found, digest, where)
    provenance = f"{OFFICIAL_REPOSITORY} at commit {OFFICIAL_COMMIT}, genuine (checked by SHA-256), {source}"
    return loaded(found, config, provenance, digest, where)


def _check(found: Sequence[Prompt], digest: str, where: str) -> None:
    remedy = (
        f"Give the set of {OFFICIAL_REPOSITORY} at commit {OFFICIAL_COMMIT}, or name yours as what it is: "
        "dataset: {name: jsonl, path: FILE}."
    )
    if len(found) != COUNT:
        raise DatasetError(
            f"this is not the genuine AIEnergyScore set: it has {len(found):,} prompts, not {COUNT:,}.",
            where=where,
            remedy=remedy,
        )
    if digest != OFFICIAL_SHA256:
        raise DatasetError(
            f"this is not the genuine AIEnergyScore set: the SHA-256 of its prompts is {digest[:12]}…, "
            f"not {OFFICIAL_SHA256[:12]}….",
            where=where,
            remedy=remedy,
        )
