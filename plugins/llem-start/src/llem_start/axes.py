"""Axes as they are typed: `KEY=V1,V2`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llem.plugin_api import ConfigError, Vocabulary, read_value, value_of

_EXAMPLE = "Write for example dataset.output_tokens=64,256."


def read_axes(entries: Sequence[str], vocabulary: Vocabulary) -> dict[str, Any]:
    """The axes of `--vary KEY=V1,V2`, dotted key to its values: a list, or a range such as `{pow2: [1, 64]}`.

    Raises:
        ConfigError: an entry without `=` or values, a key twice, or a value that is not YAML. Keys and values that a study
            does not take are left to the study.
    """
    axes: dict[str, Any] = {}
    for entry in entries:
        key, equals, text = (part.strip() for part in entry.partition("="))
        if not equals or not all(key.split(".")) or not text:
            raise ConfigError(f"`{entry}` is not KEY=V1,V2.", where="--vary", remedy=_EXAMPLE)
        if key in axes:
            raise ConfigError(f"`{key}` is given twice.", where="--vary", remedy="Give all its values at once.")
        if text[0] in "[{":
            axes[key] = read_value(text, f"--vary {key}")
        else:
            axes[key] = [value_of(key, value.strip(), vocabulary, f"--vary {key}") for value in text.split(",")]
    return axes
