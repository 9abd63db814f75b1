"""The genuine AIEnergyScore/text_generation, from the hub or a local file; refused where its prompts are not those of the pinned commit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from llem.plugin_api import DatasetConfig, DatasetError, LoadedDataset, Prompt, drawn_dataset
from llem_hub import snapshot
from llem_hub.hub_dataset import hash_of

COUNT = 1_000
"""Prompts in the set."""

REPOSITORY = "AIEnergyScore/text_generation"
COMMIT = "2dc92b2ee2cd9776a51ccf08c6c2ab04138370c3"
SHA256 = "d332965827a48cc38b26f702653ad0a331b5e2cfc33fd0a9472005e2e5eb5bfc"
"""Of the genuine prompts in their order, by `llem_hub.hub_dataset.hash_of`, whatever file format they came in."""


def load(config: DatasetConfig, base_dir: str) -> LoadedDataset:
    """`config.n` of the genuine prompts: from `config.path` where it is given (a .jsonl or .parquet file,
    or a folder of them), else from the hub.

    Raises:
        DatasetError: it cannot be read, is not the genuine set, or has too few prompts.
    """
    if config.path is None:
        path, source = snapshot.download(REPOSITORY, COMMIT), "from the hub"
    else:
        path = Path(base_dir, Path(config.path).expanduser())
        source = f"from {path.name}"
    found, where = snapshot.read_prompts(path, config.field), str(path)
    digest = hash_of(found)
    _check(found, digest, where)
    provenance = f"{REPOSITORY} at commit {COMMIT}, genuine (checked by SHA-256), {source}"
    return drawn_dataset(found, config, provenance, digest, where)


def _check(found: Sequence[Prompt], digest: str, where: str) -> None:
    remedy = (
        f"Give the set of {REPOSITORY} at commit {COMMIT}, or name yours as what it is: "
        "dataset: {name: jsonl, path: FILE}."
    )
    if len(found) != COUNT:
        raise DatasetError(
            f"this is not the genuine AIEnergyScore set: it has {len(found):,} prompts, not {COUNT:,}.",
            where=where,
            remedy=remedy,
        )
    if digest != SHA256:
        raise DatasetError(
            f"this is not the genuine AIEnergyScore set: the SHA-256 of its prompts is {digest[:12]}…, "
            f"not {SHA256[:12]}….",
            where=where,
            remedy=remedy,
        )
