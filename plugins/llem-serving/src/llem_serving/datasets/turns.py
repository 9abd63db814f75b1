"""A record of a conversation, in the form of OpenAI's messages or of ShareGPT, as turns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from llem.plugin_api import Message
from llem_serving.datasets.sessions import Turn

_ROLES = {role: role for role in ("system", "developer", "user", "assistant")}
_SPEAKERS = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "assistant": "assistant",
    "bing": "assistant",
    "bard": "assistant",
}
"""Names in ShareGPT's `from`."""

_FORMS = {"messages": ("role", "content", _ROLES), "conversations": ("from", "value", _SPEAKERS)}
"""Field of the record; keys of the speaker and the text in a message; roles by their names."""

_NOT_SENT = ("tools", "functions", "tool_calls", "function_call", "tool_call_id", "images", "audio")
"""Keys of a record or a message that a chat template may write into the prompt, and that are not sent."""


class UnusableError(Exception):
    """A well-formed conversation that has no turns to follow: nobody asks, or it does not alternate. The message says why."""


def turns_of(record: Any) -> tuple[Turn, ...]:
    """The turns of one record.

    Raises:
        ValueError: it is not of the form; a clause that says why.
        UnusableError: it is, and cannot be replayed.
    """
    if not isinstance(record, Mapping):
        raise ValueError(f"it is no JSON object but {type(record).__name__}")
    forms = [name for name in _FORMS if name in record]
    if len(forms) != 1:
        raise ValueError(
            f"it has {'both' if forms else 'neither'} `messages` {'and' if forms else 'nor'} `conversations`"
        )
    _refuse_unsent(record, "the record")
    return tuple(_alternating(list(_messages(record[forms[0]], forms[0]))))


def _messages(value: Any, field: str) -> Iterator[Message]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise ValueError(f"`{field}` is no list")
    speaker, content, roles = _FORMS[field]
    for number, one in enumerate(value, 1):
        what = f"message {number}"
        if not isinstance(one, Mapping) or speaker not in one or content not in one:
            raise ValueError(f"{what} is no object with `{speaker}` and `{content}`")
        _refuse_unsent(one, what)
        role = roles.get(one[speaker]) if isinstance(one[speaker], str) else None
        if role is None:
            raise ValueError(f"{what} has the `{speaker}` {str(one[speaker])[:40]!r}; known are {', '.join(roles)}")
        yield Message(role, _text(one[content], what))


def _text(value: Any, what: str) -> str:
    """Text as it stands, or in parts that are all text: one after another."""
    if (
        isinstance(value, list)
        and value
        and all(isinstance(one, Mapping) and one.get("type") == "text" for one in value)
    ):
        parts = [one.get("text") for one in value]
        value = "".join(map(str, parts)) if all(isinstance(part, str) for part in parts) else None
    if not isinstance(value, str):
        raise ValueError(f"{what} is no text")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{what} holds half of a character at place {error.start + 1}") from error
    return value


def _refuse_unsent(found: Mapping[str, Any], what: str) -> None:
    for key in _NOT_SENT:
        if found.get(key):
            raise ValueError(f"{what} has `{key}`, which llem does not send")


def _alternating(messages: list[Message]) -> Iterator[Turn]:
    if not messages:
        raise UnusableError("have no messages")
    asked: list[Message] = []
    for message in messages:
        if message.role != "assistant":
            asked.append(message)
            continue
        _check_question(asked)
        yield Turn(tuple(asked), message.content)
        asked = []
    if asked:
        _check_question(asked)
        yield Turn(tuple(asked), None)


def _check_question(asked: Sequence[Message]) -> None:
    if not asked or asked[-1].role != "user":
        raise UnusableError("have an answer without a question before it, or end without one")
    if not asked[-1].content.strip():
        raise UnusableError("have an empty question")
