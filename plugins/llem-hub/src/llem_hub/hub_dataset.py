"""A dataset of the Hugging Face hub, or a local one that the package `datasets` can read."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llem.plugin_api import (
    BESIDE_MESSAGES,
    DatasetConfig,
    DatasetError,
    LoadedDataset,
    Prompt,
    drawn_dataset,
    find_field,
    prompt_of,
)

_READERS = {".parquet": "parquet", ".csv": "csv", ".json": "json", ".jsonl": "json", ".arrow": "arrow"}


def load(config: DatasetConfig, base_dir: str) -> LoadedDataset:
    """Read `config.path`: an id of the hub, `org/name` or `org/name:subset`, or a local folder or file.

    The whole split is read, not only its first n rows, because its SHA-256 (over its prompts as JSON strings, one a
    line) is part of the result. A folder is what `Dataset.save_to_disk` wrote, or what `datasets.load_dataset` reads.

    Raises:
        DatasetError: `datasets` is not installed, nothing of this name can be had, a split or field must be chosen, a
            prompt is empty, or there are too few.
    """
    found, provenance, where = read_prompts(config, base_dir)
    return drawn_dataset(found, config, provenance, hash_of(found), where)


def read_prompts(config: DatasetConfig, base_dir: str) -> tuple[list[Prompt], str, str]:
    """Every prompt of the split, its provenance, and its place for messages. Raises as `load` does."""
    if config.path is None:
        raise DatasetError(
            "a hub dataset needs its id.", where="dataset.path", remedy="Set it, such as AIEnergyScore/text_generation."
        )
    local = Path(base_dir, Path(config.path).expanduser())
    data = _choose(_read(config, local), config)
    where = str(local) if local.exists() else config.path
    if not len(data):
        raise DatasetError("it has no rows.", where=where, remedy="Give a split that has some.")
    field = config.field or find_field(data[0], f"{where}, row 0")
    rows = _columns(data, field, where)
    prompts = [prompt_of(row, field, f"{where}, row {i}") for i, row in enumerate(rows)]
    split = str(data.split or config.split or "")
    parts = [config.path, f"split {split}" if split else "", _revision(data, config), f"field {field}"]
    return prompts, ", ".join(part for part in parts if part), where


def hash_of(prompts: Sequence[Prompt]) -> str:
    """SHA-256 of prompts, whatever file they came in: over their JSON (ASCII, escaped), joined by newlines. Of a text that is
    a string, of a chat a list of its messages."""
    return hashlib.sha256("\n".join(json.dumps(_plain(prompt)) for prompt in prompts).encode()).hexdigest()


def _plain(prompt: Prompt) -> str | list[dict[str, str]] | None:
    if prompt.messages is None:
        return prompt.text
    return [{"role": message.role, "content": message.content} for message in prompt.messages]


def _read(config: DatasetConfig, local: Path) -> Any:
    try:
        import datasets
    except ImportError as error:
        raise DatasetError(
            "reading a dataset of the hub needs the package `datasets`.",
            where=f"dataset.path ({config.path})",
            remedy="Install it: pip install 'llem[hub]'.",
        ) from error
    assert config.path is not None
    name, _, subset = config.path.partition(":")
    try:
        if local.is_dir() and ((local / "state.json").is_file() or (local / "dataset_dict.json").is_file()):
            return datasets.load_from_disk(str(local))
        if local.is_file():
            return datasets.load_dataset(_READERS.get(local.suffix, "text"), data_files=str(local))
        if local.exists():
            return datasets.load_dataset(str(local))
        return datasets.load_dataset(name, subset or None, revision=config.revision)
    except Exception as error:  # the package raises dozens of types, each with a useful first line
        raise DatasetError(
            f"`{config.path}` cannot be loaded: {_first_line(error)}",
            where="dataset.path",
            remedy="Check the id (org/name, or org/name:subset), the revision and the network; a local folder or "
            ".parquet file works without one.",
        ) from error


def _choose(data: Any, config: DatasetConfig) -> Any:
    """One split."""
    if not hasattr(data, "keys"):
        return data
    names = list(data.keys())
    if config.split is None and len(names) == 1:
        return data[names[0]]
    if config.split in names:
        return data[config.split]
    what = f"it has no split `{config.split}`." if config.split else "it has several splits."
    raise DatasetError(what, where="dataset.split", remedy=f"Choose one of: {', '.join(names)}.")


def _columns(data: Any, field: str, where: str) -> Any:
    """The rows with the prompt and what belongs to it; other columns may hold images, which take long to decode."""
    if field not in data.column_names:
        raise DatasetError(
            f"there is no field `{field}`; the fields are: {', '.join(data.column_names)}.",
            where=where,
            remedy="Correct dataset.field.",
        )
    return data.select_columns([field, *(name for name in BESIDE_MESSAGES if name in data.column_names)])


def _revision(data: Any, config: DatasetConfig) -> str:
    """The commit that the files came from where their addresses tell it, else what was asked for."""
    for address in data.info.download_checksums or {}:
        commit = re.search(r"@([0-9a-f]{40})/", str(address))
        if commit:
            return f"revision {commit[1]}"
    return f"revision {config.revision}" if config.revision else ""


def _first_line(error: Exception) -> str:
    text = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return text if text.endswith((".", "!", "?")) else f"{text}."
