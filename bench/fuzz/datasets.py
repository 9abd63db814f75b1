"""Files of prompts as a target: JSON Lines, through the loader that preflight and the worker use."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from llem.config.experiment import DatasetConfig
from llem.datasets.jsonl import load
from llem.errors import LlemError
from llem.results.text import plain

_PROMPTS = "".join(
    json.dumps({"id": i, "prompt": f"Tell me of {i} 😀 and of é."}, ensure_ascii=i % 2 == 0) + "\n" for i in range(12)
)
_CHATS = "".join(
    json.dumps(
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": f"Question {i}?"},
                {"role": "assistant", "content": "Answer."},
                {"role": "user", "content": "And why?"},
            ]
        }
    )
    + "\n"
    for i in range(6)
)


def recordings() -> Mapping[str, bytes]:
    """Each file by its name."""
    return {
        "prompts": _PROMPTS.encode(),
        "provenance": b'{"_provenance": "made by hand"}\n' + _PROMPTS.encode(),
        "chats": _CHATS.encode(),
    }


def read(data: bytes, seed: int) -> str:
    """Load a file of these bytes. Returns `loaded` or `told`; anything else is raised."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "prompts.jsonl")
        path.write_bytes(data)
        try:
            found = load(DatasetConfig(name="jsonl", path=path.name, n=3, shuffle=seed % 2 == 0, seed=seed), folder)
        except LlemError as error:
            text = str(error)
            plain(text).encode()
            if len(text) > 20_000:
                raise AssertionError(f"an error of {len(text):,} characters") from error
            return "told"
        for prompt in found.prompts:
            repr(prompt).encode()
            (prompt.text or "").encode()
        return "loaded"
