"""Caveats of this backend: settings that transformers did not take, and work beyond the model's context."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

from llem.plugin_api import Caveat, Request
from llem_pytorch.config import PyTorchConfig

_NOT_TAKEN = re.compile(r"ignor|skipp|overr[io]d|not support|fall(s|ing)? ?back|instead of", re.IGNORECASE)
"""Words with which transformers says that it does something else than it was told."""

_NAMED = 3


class Listener(logging.Handler):
    """Keeps what transformers logs of settings that it does not take; it says so once, in a log that nobody reads."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._heard: list[str] = []
        logging.getLogger("transformers").addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Take one log record."""
        text = " ".join(record.getMessage().split())
        if _NOT_TAKEN.search(text) and text not in self._heard:
            self._heard.append(text)

    def drain(self) -> list[str]:
        """Caveats since the last call."""
        heard, self._heard = self._heard, []
        return heard

    def close(self) -> None:
        """Listen no more."""
        logging.getLogger("transformers").removeHandler(self)
        super().close()


def not_taken(options: PyTorchConfig, effective: Mapping[str, Any], dtype: str | None) -> list[str]:
    """Options that the loaded model does not have as they were asked for, each with what it has."""
    asked: dict[str, tuple[object, object]] = {
        "attn_implementation": (options.attn_implementation, effective.get("attn_implementation")),
        "num_threads": (options.num_threads, effective.get("num_threads")),
        "num_interop_threads": (options.num_interop_threads, effective.get("num_interop_threads")),
        "float32_matmul": (options.float32_matmul, effective.get("float32_matmul")),
    }
    if options.quantization.method == "none" and options.dtype != "auto":
        asked["dtype"] = (options.dtype, dtype)
    return [
        f"pytorch.{name} is {wanted}, and the model has {found}"
        for name, (wanted, found) in asked.items()
        if wanted is not None and wanted != found
    ]


class Beyond:
    """Requests whose prompt and answer go beyond the positions that a model was trained on.

    Args:
        positions: of the model; None where it has no such limit.
    """

    def __init__(self, positions: int | None) -> None:
        self._positions = positions
        self._found: dict[int, int] = {}
        self._seen: set[int] = set()

    def note(self, requests: Sequence[Request], prompts: Sequence[Sequence[int]]) -> None:
        """Take what is about to run."""
        for request, prompt in zip(requests, prompts, strict=True):
            self._seen.add(request.id)
            tokens = len(prompt) + request.output_tokens
            if self._positions is not None and tokens > self._positions:
                self._found[request.id] = tokens

    def drain(self) -> list[Caveat]:
        """A caveat where there were any since the last call."""
        found, seen, self._found, self._seen = self._found, len(self._seen), {}, set()
        if not found:
            return []
        return [
            Caveat(
                "context_exceeded",
                f"{len(found)} of {seen} prompts with their answers go beyond the {self._positions:,} positions of the model, the "
                f"longest has {max(found.values()):,} tokens: the work was done, and its answers mean nothing. Set "
                "dataset.input_tokens and dataset.output_tokens so that they fit, or take a model of a longer context.",
            )
        ]


def settings_caveat(found: Sequence[str]) -> list[Caveat]:
    """One caveat of all settings that were not taken; none where all were."""
    if not found:
        return []
    more = f", and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return [
        Caveat(
            "setting_ignored",
            f"not everything ran as the study says: {'; '.join(text.rstrip('.') for text in found[:_NAMED])}{more}. "
            "Leave the setting out, or take a model and device that have it.",
        )
    ]
