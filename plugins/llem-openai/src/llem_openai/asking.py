"""The body of a request: fields that llem sets, what the study adds, and what a server is not sent or knows by another name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llem.plugin_api import Request

COUNTS: tuple[Mapping[str, Any], ...] = (
    {"stream_options": {"include_usage": True, "continuous_usage_stats": True}, "return_token_ids": True},
    {"stream_options": {"include_usage": True}},
    {},
)
"""Counts that a server can be asked for, the most telling first. One that takes none of these fields may count all the same."""


def body(
    request: Request,
    model: str,
    counts: Mapping[str, Any],
    fields: Mapping[str, Any],
    names: Mapping[str, str | None],
) -> tuple[str, dict[str, Any]]:
    """A request as it is sent.

    Args:
        request: what to ask.
        model: its name on the server.
        counts: one of `COUNTS`.
        fields: of every request: how the next token is chosen, and what the study adds.
        names: `openai.request_fields`: another name for a field, or None to leave it out.

    Returns:
        The path below the API's address, and the body.
    """
    found: dict[str, Any] = {"model": model, "max_tokens": request.output_tokens, "stream": True, **counts, **fields}
    if request.ignore_eos:
        found["ignore_eos"] = True
    for field, name in names.items():
        if field in found:
            value = found.pop(field)
            if name is not None:
                found[name] = value
    if request.messages is not None:
        chat = [{"role": one.role, "content": one.content} for one in request.messages]
        return "chat/completions", found | {"messages": chat}
    if request.chat_template:
        return "chat/completions", found | {"messages": [{"role": "user", "content": request.prompt}]}
    ids = request.prompt_token_ids
    return "completions", found | {"prompt": request.prompt if ids is None else list(ids)}
