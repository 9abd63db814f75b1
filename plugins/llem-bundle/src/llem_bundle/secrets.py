"""The search for secrets in what goes into a bundle. What is found is named by file and kind, and never shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from llem.plugin_api import ResultError, open_parquet, scrub, scrub_data
from llem_bundle.container import Content

OF_VARIABLE = "the value of an environment variable whose name tells of a secret"
OF_SHAPE = "a text of the shape of a token, a key or a password"
OF_KEY = "a value under a name that tells of a secret"


class SecretError(ResultError):
    """A file that would carry a secret into a bundle."""

    def __init__(self, name: str, kind: str, where: str) -> None:
        super().__init__(
            f"{kind} stands there{where}, so no bundle is made.",
            where=name,
            remedy="Take it out of the study, or of what the study is made of, and see to it that it is not used any more.",
        )


def refuse_secrets(content: Content, path: Any = None) -> None:
    """Raise SecretError where a content holds what llem's own search takes for a secret.

    Args:
        path: of a Parquet file; its columns of text are searched.
    """
    if content.name.endswith(".parquet"):
        for column, text in _texts(path):
            _refuse(content.name, text, f" (column {column})")
        return
    with content.open() as stream:
        text = stream.read().decode("utf-8", errors="replace")
    if content.name.endswith(".json"):
        _refuse_data(content.name, text)
    elif content.name.endswith(".jsonl"):
        for number, line in enumerate(text.splitlines(), 1):
            _refuse_data(content.name, line, f" (line {number})")
    else:
        for number, line in enumerate(text.splitlines(), 1):
            _refuse(content.name, line, f" (line {number})")
    _refuse(content.name, text, "")


def _refuse(name: str, text: str, where: str) -> None:
    if (kind := kind_of_secret(text)) is not None:
        raise SecretError(name, kind, where)


def _refuse_data(name: str, text: str, where: str = "") -> None:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return  # it is searched as text
    if scrub_data(data) == data:
        return
    kind = next((kind for one in _strings(data) if (kind := kind_of_secret(one)) is not None), OF_KEY)
    raise SecretError(name, kind, where)


def kind_of_secret(text: str) -> str | None:
    """The kind of secret that a text holds; None where none is found."""
    if scrub(text) == text:
        return None
    return OF_VARIABLE if scrub(text, {}) == text else OF_SHAPE


def _strings(data: Any) -> Iterator[str]:
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict):
        for key, value in data.items():
            yield key
            yield from _strings(value)
    elif isinstance(data, list):
        for value in data:
            yield from _strings(value)


def _texts(path: Any) -> Iterator[tuple[str, str]]:
    """The texts of a table, each once: its columns' and those of its description."""
    try:
        with open_parquet(path) as file:
            schema = file.schema_arrow
            for key, value in (schema.metadata or {}).items():
                if not key.startswith(b"ARROW:"):
                    yield "of its description", value.decode("utf-8", errors="replace")
            for field in schema:
                if (
                    pa.types.is_string(field.type)
                    or pa.types.is_large_string(field.type)
                    or pa.types.is_dictionary(field.type)
                ):
                    column = file.read([field.name]).column(field.name)
                    yield from ((field.name, str(one)) for one in column.unique().to_pylist() if one is not None)
    except (pa.ArrowException, OSError) as error:
        raise ResultError(f"this table cannot be read: {error}.", where=str(path)) from error
