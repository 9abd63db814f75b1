"""Which field of a record is the prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llem.errors import DatasetError

CANDIDATES = ("prompt", "text", "question", "instruction", "input", "content", "messages")
"""Names under which prompts are found. `messages` is a chat: the first message of the user is the prompt."""


def find_field(record: Mapping[str, Any], where: str) -> str:
    """The only field of a record that can be the prompt.

    Args:
        where: place of the record, for messages.

    Raises:
        DatasetError: there is none, or more than one.
    """
    found = [name for name in CANDIDATES if name in record and _text(record[name]) is not None]
    if len(found) == 1:
        return found[0]
    if found:
        raise DatasetError(
            f"several fields could be the prompt: {', '.join(found)}.",
            where=where,
            remedy=f"Say which one: dataset.field: {found[0]}.",
        )
    seen = ", ".join(sorted(record)) or "none"
    raise DatasetError(
        f"no field looks like a prompt ({', '.join(CANDIDATES)}); the fields here are: {seen}.",
        where=where,
        remedy="Name the one that holds text with dataset.field.",
    )


def text_of(record: Mapping[str, Any], field: str, where: str) -> str:
    """The prompt in one record, exactly as it stands there.

    Raises:
        DatasetError: the field is missing, holds no text, or is empty.
    """
    if field not in record:
        seen = ", ".join(sorted(record)) or "none"
        raise DatasetError(
            f"there is no field `{field}`; the fields here are: {seen}.", where=where, remedy="Correct dataset.field."
        )
    text = _text(record[field])
    if text is None:
        raise DatasetError(
            f"`{field}` holds no text but {type(record[field]).__name__}.",
            where=where,
            remedy="Name a field that holds text, or a chat of messages with role and content, with dataset.field.",
        )
    if not text.strip():
        raise DatasetError(
            f"`{field}` is empty.",
            where=where,
            remedy="Remove the record, or give it a prompt: none is skipped silently.",
        )
    return text


def _text(value: Any) -> str | None:
    """The text of a value: a string, or the first user message of a chat."""
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        for message in value:
            if isinstance(message, Mapping) and message.get("role") == "user":
                content = message.get("content")
                return content if isinstance(content, str) else None
    return None
