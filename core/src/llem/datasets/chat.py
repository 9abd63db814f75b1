"""Chats: messages as a dataset holds them, and as they are sent, which is whole."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from llem.config.experiment import DatasetConfig, ModelConfig
from llem.errors import DatasetError
from llem.specs.caveat import Caveat
from llem.specs.dataset import Message, Prompt

ROLES = ("system", "developer", "user", "assistant")
"""Roles that may speak. Calls of tools have parts of their own, which llem does not send."""

_NOT_SENT = ("tool_calls", "function_call", "tool_call_id", "name", "images", "audio", "reasoning_content", "thinking")
"""Keys of a message that a chat template may write into the prompt, beside role and content."""

BESIDE_MESSAGES = ("tools", "functions")
"""Keys of the record, beside its messages, that a chat template may write into the prompt."""

_REMEDY = "Take it out of the dataset, or name another field with dataset.field: nothing is left out in silence."


def is_chat(value: Any) -> bool:
    """True for a list of messages, well formed or not."""
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes)) and any(map(_is_message, value))


def chat_of(record: Mapping[str, Any], field: str, where: str) -> tuple[Message, ...]:
    """The messages of one record, all of them, in order.

    Raises:
        DatasetError: something in it is no text of one of `ROLES`, or nobody asks.
    """
    for key in BESIDE_MESSAGES:
        if record.get(key):
            raise DatasetError(
                f"beside `{field}` it holds `{key}`, which llem does not send.", where=where, remedy=_REMEDY
            )
    messages = tuple(_message(one, f"message {n} of `{field}`", where) for n, one in enumerate(record[field], 1))
    asked = [message for message in messages if message.role == "user"]
    if not asked or not asked[-1].content.strip():
        what = "has no message of the user" if not asked else "has an empty last message of the user"
        raise DatasetError(
            f"the chat in `{field}` {what}.", where=where, remedy="Remove the record, or give it a question."
        )
    return messages


def as_asked(prompts: Sequence[Prompt]) -> tuple[list[Prompt], list[Caveat]]:
    """The prompts without the answers that a dataset keeps at the end of its chats: those are the model's to write.

    Returns:
        The prompts, and a caveat that says how many answers were left out.
    """
    asked = [_without_answer(prompt) for prompt in prompts]
    changed = sum(before is not after for before, after in zip(prompts, asked, strict=True))
    if not changed:
        return asked, []
    return asked, [
        Caveat(
            "chat_answers_left_out",
            f"{changed} of {len(prompts)} chats of the dataset end with an answer; it was left out, and the model answered "
            "in its place. All messages before it were sent.",
        )
    ]


def check_takers(prompts: Sequence[Prompt], backend: str, capabilities: Collection[str]) -> None:
    """Raise DatasetError where there is a chat that this backend cannot be sent."""
    if "chat" in capabilities:
        return
    number = next((n for n, prompt in enumerate(prompts) if prompt.messages is not None), None)
    if number is not None:
        raise DatasetError(
            f"prompt {number} of the dataset is a chat, and the backend {backend} takes single texts only.",
            where="dataset.field",
            remedy="Name a field that holds text with dataset.field, or use a backend that takes chats.",
        )


def check_template(prompts: Sequence[Prompt], dataset: DatasetConfig, model: ModelConfig) -> None:
    """Raise DatasetError where chats would be sent to a random model that has no tokenizer, and so no chat template."""
    if not model.source.startswith("random:") or model.tokenizer is not None:
        return
    number = next((n for n, prompt in enumerate(prompts) if prompt.messages is not None), None)
    if number is None and not dataset.chat_template:
        return
    asked = "`dataset.chat_template` is true" if number is None else f"prompt {number} of the dataset is a chat"
    raise DatasetError(
        f"{asked}, and the model {model.source} has no tokenizer, so that it has no chat template.",
        where="dataset.field" if number is not None else "dataset.chat_template",
        remedy="Give prompts of text and leave dataset.chat_template false, or name a tokenizer in model.tokenizer.",
    )


def _without_answer(prompt: Prompt) -> Prompt:
    messages = prompt.messages
    if messages is None or messages[-1].role != "assistant":
        return prompt
    last = max(n for n, message in enumerate(messages) if message.role != "assistant")
    return replace(prompt, messages=messages[: last + 1])


def _is_message(value: Any) -> bool:
    return isinstance(value, Mapping) and "role" in value


def _message(value: Any, what: str, where: str) -> Message:
    if not _is_message(value):
        raise DatasetError(f"{what} is no object with role and content.", where=where, remedy=_REMEDY)
    role, content = value["role"], _content(value.get("content"))
    if role not in ROLES:
        raise DatasetError(f"{what} is of the role {role!r}; sent are {', '.join(ROLES)}.", where=where, remedy=_REMEDY)
    for key in _NOT_SENT:
        if value.get(key):
            raise DatasetError(f"{what} has `{key}`, which llem does not send.", where=where, remedy=_REMEDY)
    if content is None:
        raise DatasetError(f"the content of {what} is no text.", where=where, remedy=_REMEDY)
    return Message(role, content)


def _content(value: Any) -> str | None:
    """Text as it stands, or in parts that are all text, as templates write them: one after another."""
    if isinstance(value, str):
        return value
    if not isinstance(value, Sequence) or isinstance(value, bytes) or not value:
        return None
    texts = [part.get("text") for part in value if isinstance(part, Mapping) and part.get("type") == "text"]
    if len(texts) < len(value) or not all(isinstance(text, str) for text in texts):
        return None
    return "".join(map(str, texts))
