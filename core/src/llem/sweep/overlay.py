"""Laying the values of a point over the base of the study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llem.config.keys import Vocabulary
from llem.config.merging import DEPENDENTS, deep_merge, expanded, leaves, nested


def document(written: Mapping[str, Any], vocabulary: Vocabulary) -> dict[str, Any]:
    """An experiment as written, with dotted keys put into their sections and short forms written out."""
    return nested(written, vocabulary)


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
    return deep_merge(_without_dependents(section, base, above), above)


def laid_document(
    base: Mapping[str, Any], written: Mapping[str, Any], vocabulary: Vocabulary
) -> tuple[dict[str, Any], dict[str, Any]]:
    """An explicit experiment over the base: the document, and the dotted keys that the experiment itself sets."""
    over = document(written, vocabulary)
    result = dict(base)
    for key, value in over.items():
        is_section = key in result and key in vocabulary.sections
        result[key] = laid(key, result[key], (), value, vocabulary) if is_section else value
    return result, {".".join(path): value for path, value in leaves(over)}


def _without_dependents(section: str, base: Mapping[str, Any], above: Mapping[str, Any]) -> Mapping[str, Any]:
    for key, dependents in DEPENDENTS.items():
        owner, name = key.split(".")
        if owner == section and name in above and name in base and above[name] != base[name]:
            gone = {dependent.split(".")[1] for dependent in dependents}
            return {field: value for field, value in base.items() if field not in gone}
    return base
