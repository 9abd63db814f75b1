"""The files that a study's document names: prompts and arrivals, models, whatever else is written as a path."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from llem.plugin_api import paths_in

_PROMPTS = ("dataset", "path", "trace")
"""Last parts of keys that name files of prompts and arrivals."""

_MODELS = ("model", "source", "tokenizer")
_SUFFIXES = frozenset(
    {".jsonl", ".json", ".csv", ".tsv", ".txt", ".parquet", ".gz", ".zst", ".gguf", ".safetensors", ".bin"}
)


@dataclass(frozen=True)
class NamedFile:
    """A text of the document that names a file or a folder.

    Attributes:
        key: the dotted key that it stands under.
        text: as it is written.
    """

    key: str
    text: str

    @property
    def of_prompts(self) -> bool:
        """Prompts or arrivals, which are small; not a model."""
        return _last(self.key) in _PROMPTS


def named_files(document: Mapping[str, Any]) -> list[NamedFile]:
    """Each file that a document names, once, in its order."""
    found = (NamedFile(key, text) for key, text in _texts(document, "") if _names_a_file(key, text))
    return list({one.text: one for one in found}.values())


def renamed(document: Mapping[str, Any], name_of: Callable[[str], str]) -> dict[str, Any]:
    """The document with another name in the place of each file's."""
    found: dict[str, Any] = _renamed(document, "", name_of)
    return found


def _renamed(value: Any, key: str, name_of: Callable[[str], str]) -> Any:
    if isinstance(value, Mapping):
        return {name: _renamed(inner, _below(key, name), name_of) for name, inner in value.items()}
    if isinstance(value, list):
        return [_renamed(inner, key, name_of) for inner in value]
    return name_of(value) if isinstance(value, str) and _names_a_file(key, value) else value


def _texts(value: Any, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _texts(inner, _below(key, name))
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, key)


def _below(key: str, name: object) -> str:
    return f"{key}.{name}" if key else str(name)


def _last(key: str) -> str:
    return key.rpartition(".")[2]


def _names_a_file(key: str, text: str) -> bool:
    if "\n" in text or "\0" in text:
        return False
    if any(paths_in(text)) or text == "~":
        return True
    path = PurePosixPath(text)
    if text.startswith(("pkg:", "random:")) or _last(key) not in (*_PROMPTS, *_MODELS):
        return False
    return path.suffix.lower() in _SUFFIXES or ".." in path.parts
