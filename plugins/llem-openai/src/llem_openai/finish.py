"""Reasons for an answer's end: the words that servers have for it. The list is open: what is not in it is told by counting."""

from __future__ import annotations

from typing import Literal

_STOP = frozenset(
    {
        *(
            "stop",
            "eos",
            "eos_token",
            "eos_token_id",
            "end_turn",
            "end_of_text",
            "end_of_turn",
            "stop_sequence",
            "stop_token",
        ),
        *(
            "stop_str",
            "end",
            "complete",
            "completed",
            "finished",
            "tool_calls",
            "tool_call",
            "tool_use",
            "function_call",
        ),
    }
)
_LENGTH = frozenset(
    {
        *("length", "max_tokens", "max_length", "max_new_tokens", "max_output_tokens", "max_completion_tokens"),
        *("model_length", "context_length", "model_context_window_exceeded", "limit", "token_limit"),
    }
)
_CUT = frozenset(
    {
        *("content_filter", "content_filtered", "safety", "recitation", "blocked", "guardrail_intervened", "refusal"),
        *("abort", "aborted", "cancel", "cancelled", "canceled", "interrupt", "interrupted", "timeout", "preempted"),
        *("error", "failed", "failure", "insufficient_system_resource", "network_error", "malformed_function_call"),
    }
)


def _word(reason: str) -> str:
    return reason.strip().lower().replace("-", "_").replace(" ", "_")


def is_cut(reason: str | None) -> bool:
    """True where the server ended the answer before the model did."""
    return reason is not None and _word(reason) in _CUT


def is_known(reason: str | None) -> bool:
    """True for a word whose meaning is known."""
    return reason is not None and _word(reason) in _STOP | _LENGTH | _CUT


def ending(reason: str | None, tokens: int, asked: int) -> Literal["length", "stop"]:
    """By the reason where its word is known, else by whether the answer has all the tokens that it could have."""
    if reason is not None and _word(reason) in _STOP:
        return "stop"
    if reason is not None and _word(reason) in _LENGTH:
        return "length"
    return "length" if tokens >= asked else "stop"
