"""Laying the values of a point over the base of the study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llem.config.keys import Vocabulary
from llem.config.merging import deep_merge, expanded, leaves, nested, without_dependents


def laid(section: str, base: Any, path: Sequence[str], value: Any, vocabulary: Vocabulary) -> Any:
    """A section of the base with one value laid over it. The base is not changed.

    What describes another model or dataset (a revision, a path) does not outlive the one that it describes.

    Args:
        section: key of the section.
        base: what stands there; left as it is where it is no mapping, for validation to name.
        path: from the section to the value; empty where the value is a whole section.
        value: a mapping is merged key by key, anything else replaces.
        vocabulary: what is installed.
    """
    if not isinstance(base, Mapping):
        return base
    above = value if path else expanded(section, value, vocabulary)
    for part in reversed(path):
        above = {part: above}
    if not isinstance(above, Mapping):
        return above
    return deep_merge(without_dependents(section, base, above), above)


def laid_document(
    base: Mapping[str, Any], written: Mapping[str, Any], vocabulary: Vocabulary
) -> tuple[dict[str, Any], dict[str, Any]]:
    """An explicit experiment over the base: the document, and the dotted keys that the experiment itself sets."""
    over = nested(written, vocabulary)
    result = dict(base)
    for key, value in over.items():
        is_section = key in result and key in vocabulary.sections
        result[key] = laid(key, result[key], (), value, vocabulary) if is_section else value
    return result, {".".join(path): value for path, value in leaves(over)}
