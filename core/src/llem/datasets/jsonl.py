"""A JSON Lines file: one object a line, one of its fields the prompt."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llem.datasets.prompt_field import find_field, prompt_of
from llem.datasets.selection import drawn_dataset
from llem.errors import DatasetError
from llem.files import parse_json, read_file
from llem.specs.dataset import LoadedDataset, Prompt

if TYPE_CHECKING:
    from llem.config.experiment import DatasetConfig


MOST_BYTES = 16 * 2**30
"""A dataset is read as a whole."""


def load(config: DatasetConfig, base_dir: str) -> LoadedDataset:
    """Read `config.path`. A first line with `_provenance` and without a prompt tells where the file comes from.

    Every line counts: none is dropped for being empty or broken.

    Raises:
        DatasetError: no such file, a broken line (with its number), no usable field, an empty prompt, or too few prompts.
    """
    if config.path is None:
        raise DatasetError(
            "a jsonl dataset needs the path of its file.",
            where="dataset.path",
            remedy="Set it, or write the dataset as the path alone: dataset: prompts.jsonl.",
        )
    path = Path(base_dir, Path(config.path).expanduser())
    raw = dataset_bytes(path)
    found, provenance = jsonl_prompts(raw, str(path), config.field)
    return drawn_dataset(found, config, f"{path.name}, {provenance}", hashlib.sha256(raw).hexdigest(), str(path))


def count_prompts(config: DatasetConfig, base_dir: str) -> int | None:
    """Number of prompts in the file of a jsonl dataset; None for another dataset, or where the file cannot be read.

    Lines are counted and not looked at: what is wrong with one is told where the file is loaded.
    """
    if config.name != "jsonl" or config.path is None:
        return None
    try:
        lines = [
            line
            for line in read_file(Path(base_dir, Path(config.path).expanduser()), MOST_BYTES).split(b"\n")
            if line.strip()
        ]
        records, _ = split_provenance([(1, parse_json(lines[0].removeprefix(b"\xef\xbb\xbf")))] if lines else [])
    except (OSError, ValueError, TypeError):
        return None
    return (len(lines) - 1 + len(records)) or None if lines else None


def jsonl_prompts(raw: bytes, where: str, field: str | None) -> tuple[list[Prompt], str]:
    """Every prompt of a file's bytes, and their field with what the first line tells of their origin.

    Raises:
        DatasetError: as `load`, except for too few prompts.
    """
    records, provenance = split_provenance(list(parse_lines(raw, where)))
    if not records:
        raise DatasetError("it has no prompts.", where=where, remedy="Give a file with one JSON object a line.")
    name = field or find_field(records[0][1], f"{where}:{records[0][0]}")
    prompts = [prompt_of(record, name, f"{where}:{line}") for line, record in records]
    return prompts, f"field {name}" + (f"; {provenance}" if provenance else "")


def dataset_bytes(path: Path) -> bytes:
    """The whole file. Raises DatasetError where it cannot be read."""
    try:
        return read_file(path, MOST_BYTES)
    except OSError as error:
        raise DatasetError(
            f"it cannot be read: {(error.strerror or str(error)).lower()}.",
            where=str(path),
            remedy="Correct dataset.path; a relative path starts from the study file's folder.",
        ) from error


def parse_lines(raw: bytes, where: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line numbers (from 1) with their objects; blank lines are passed over.

    Raises:
        DatasetError: a line that is not UTF-8, not JSON, or no object.
    """
    for number, line in enumerate(raw.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            record = parse_json(line)
        except ValueError as error:
            raise DatasetError(
                f"this line is not JSON: {error}.",
                where=f"{where}:{number}",
                remedy="Write one JSON object a line, in UTF-8.",
            ) from error
        if not isinstance(record, dict):
            raise DatasetError(
                f"this line is a JSON {type(record).__name__}, not an object.",
                where=f"{where}:{number}",
                remedy='Write one object a line, such as {"prompt": "…"}.',
            )
        yield number, record


def split_provenance(records: list[tuple[int, dict[str, Any]]]) -> tuple[list[tuple[int, dict[str, Any]]], str | None]:
    """Take a first record that has only keys beginning with `_`, one of them `_provenance`, off the prompts."""
    if records and "_provenance" in records[0][1] and all(key.startswith("_") for key in records[0][1]):
        return records[1:], str(records[0][1]["_provenance"])
    return records, None
