"""Schemas of an engine's options, one for each version: a file `VERSION.json` of facts that were read out of that version and judged.

It holds the version under the backend's name, and groups of fields. Each field has

    name          as the engine has it
    type          its annotation
    value         JSON Schema of the values that a study may give; absent where none can be written down
    default       as plain data; text where it is no plain value, null where the engine computes it
    choices       the values that the engine names one by one
    fields        of an option with parts, the same of each
    energy        whether it changes what is computed, moved or kept powered; null: its parts are judged one by one
    why           what it decides and the reason, in our words, which describe the key of a study
    set_by        the key of a study that decides it, in its place

The engine's own help texts are in none.
"""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from llem_engines.names import EngineNames

Field = Mapping[str, Any]
Schema = Mapping[str, Any]


class OptionSchemas:
    """The schemas of one engine.

    Args:
        folder: their files, and `review.toml` beside them.
        default: the version that a study is checked against where another one, or none, is installed.
        groups: of fields, by name.
        names: of the engine.
    """

    def __init__(self, folder: Path, default: str, groups: Sequence[str], names: EngineNames) -> None:
        self.folder, self.default, self.groups, self.names = folder, default, groups, names
        self._loaded: dict[str, Schema] = {}

    def versions(self) -> Sequence[str]:
        """The versions with a schema, oldest first."""
        return sorted((path.stem for path in self.folder.glob("[0-9]*.json")), key=_order)

    def installed(self) -> str | None:
        """The engine's version in this environment without its local part, or None. Imports nothing of it."""
        for name in self.names.distributions:
            try:
                return importlib.metadata.version(name).partition("+")[0]
            except importlib.metadata.PackageNotFoundError:
                continue
        return None

    def chosen(self) -> str:
        """The version whose options a study may give here: the installed one where its schema is known, else the default."""
        found = self.installed()
        return found if found is not None and found in self.versions() else self.default

    def load(self, version: str) -> Schema:
        """The schema of one of `versions()`, read once."""
        if version not in self._loaded:
            self._loaded[version] = json.loads((self.folder / f"{version}.json").read_text(encoding="utf-8"))
        return self._loaded[version]


def dotted(fields: Sequence[Field], prefix: str = "") -> Iterator[tuple[str, Field]]:
    """Every option and every part of one, by its dotted name."""
    for field in fields:
        name = f"{prefix}{field['name']}"
        yield name, field
        yield from dotted(field.get("fields", ()), f"{name}.")


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
