"""The field of a record that is the prompt, and the prompt in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llem.datasets.chat import chat_of, is_chat
from llem.errors import DatasetError
from llem.specs.dataset import Prompt

CANDIDATES = ("prompt", "text", "question", "instruction", "input", "content", "messages")
"""Names under which prompts are found. Each may hold a text or a chat."""


def find_field(record: Mapping[str, Any], where: str) -> str:
    """The only field of a record that can be the prompt.

    Args:
        where: place of the record, for messages.

    Raises:
        DatasetError: there is none, or more than one.
    """
    found = [name for name in CANDIDATES if isinstance(record.get(name), str) or is_chat(record.get(name))]
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


def prompt_of(record: Mapping[str, Any], field: str, where: str) -> Prompt:
    """The prompt in one record, exactly as it stands there: a text, or all messages of a chat.

    Raises:
        DatasetError: the field is missing, holds neither, is empty, or holds what UTF-8 cannot.
    """
    if field not in record:
        seen = ", ".join(sorted(record)) or "none"
        raise DatasetError(
            f"there is no field `{field}`; the fields here are: {seen}.", where=where, remedy="Correct dataset.field."
        )
    value = record[field]
    if is_chat(value):
        messages = chat_of(record, field, where)
        for message in messages:
            _check_encodable(message.content, field, where)
        return Prompt(messages=messages)
    if not isinstance(value, str):
        raise DatasetError(
            f"`{field}` holds no text but {type(value).__name__}.",
            where=where,
            remedy="Name a field that holds text, or a chat of messages with role and content, with dataset.field.",
        )
    if not value.strip():
        raise DatasetError(
            f"`{field}` is empty.",
            where=where,
            remedy="Remove the record, or give it a prompt: none is skipped silently.",
        )
    _check_encodable(value, field, where)
    return Prompt(text=value)


def _check_encodable(text: str, field: str, where: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DatasetError(
            f"`{field}` holds half of a character (\\u{ord(text[error.start]):04x} at place {error.start + 1}), which no "
            "file and no tokenizer can hold.",
            where=where,
            remedy="Write the whole character (an emoji is two such halves in JSON), or remove the record.",
        ) from error
