"""Judgements by hand of each option: whether it changes energy, why, and who sets it. Pure functions over plain data.

`review.toml` holds, for each group of fields, a list of judgements; its table `why` gives the reason of each option that it holds
for. A name is exact, or ends with `*`; the longest that fits decides. What holds for an option holds for its parts
(`compilation_config.mode`) unless they are named.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llem_engines.schemas import Field, Schema, dotted

FILE = "review.toml"


@dataclass(frozen=True)
class Judgement:
    """Of an option.

    Attributes:
        energy: whether it changes what is computed, moved or kept powered.
        why: what it decides, and the reason.
        set_by: what a study writes in its place, or None where it may give it.
    """

    energy: bool
    why: str
    set_by: str | None = None


class Review:
    """The judgements of `review.toml`.

    Args:
        text: its content.

    Raises:
        ValueError: an option has two.
    """

    def __init__(self, text: str) -> None:
        self._by_group: dict[str, dict[str, Judgement]] = {}
        for group, entries in tomllib.loads(text).items():
            table = self._by_group.setdefault(group, {})
            for entry in entries:
                for name, why in entry["why"].items():
                    if name in table:
                        raise ValueError(f"{group}: {name} is judged twice")
                    table[name] = Judgement(entry["energy"], why, entry.get("set_by"))

    def of(self, group: str, name: str) -> Judgement | None:
        """The judgement of an option or of a part of one, by its dotted name; None where nobody has judged it."""
        table = self._by_group.get(group, {})
        while name:
            if name in table:
                return table[name]
            starts = [p for p in table if p.endswith("*") and name.startswith(p[:-1])]
            if starts:
                return table[max(starts, key=len)]
            name = name.rpartition(".")[0]
        return None

    def names(self, group: str) -> Sequence[str]:
        """Every exact name that is judged."""
        return [name for name in self._by_group.get(group, {}) if not name.endswith("*")]


def judged(raw: Mapping[str, Any], review: Review) -> tuple[dict[str, Any], list[str]]:
    """The schema with every judgement and without the engine's own help texts, and the dotted names that have no judgement."""
    missing: list[str] = []

    def one(group: str, field: Field, prefix: str) -> dict[str, Any]:
        name = f"{prefix}{field['name']}"
        found = review.of(group, name)
        if found is None:
            missing.append(f"{group}: {name}")
            found = Judgement(energy=False, why="")
        result = {key: value for key, value in field.items() if key not in ("fields", "description")}
        result |= {"energy": found.energy, "why": found.why}
        if found.set_by is not None:
            # No key of the section: its parts concern nobody.
            result["set_by"] = found.set_by
        if "fields" in field and found.set_by is None:
            result["fields"] = [one(group, inner, f"{name}.") for inner in field["fields"]]
            if found.energy is False and any(inner["energy"] for inner in result["fields"]):
                result["energy"] = None  # its parts are judged one by one
        return result

    schema = {
        key: [one(key, field, "") for field in value] if _is_group(value) else value for key, value in raw.items()
    }
    return schema, missing


def unknown(raw: Mapping[str, Any], review: Review) -> list[str]:
    """Names that are judged exactly and that this version does not have: of another one, or misspelt."""
    return [
        f"{group}: {name}"
        for group, fields in raw.items()
        if _is_group(fields)
        for name in review.names(group)
        if name not in dict(dotted(fields))
    ]


def unreviewed(schema: Schema, review: Review) -> list[str]:
    """Options of a schema whose judgement is missing, empty, or not what it says."""
    return [
        f"{group}: {name}"
        for group, fields in schema.items()
        if _is_group(fields)
        for name, field in dotted(fields)
        if not _agrees(field, review.of(group, name))
    ]


def differences(old: Schema, new: Schema) -> list[str]:
    """Changes between two schemas, a line for each option: dropped, new, or what about it is another."""
    lines: list[str] = []
    for group in (group for group, fields in new.items() if _is_group(fields)):
        before, after = _flat(old[group]), _flat(new[group])
        lines += [f"{group}: {name} was dropped" for name in before if name not in after]
        lines += [f"{group}: {name} is new" for name in after if name not in before]
        for name in before.keys() & after.keys():
            for key in before[name].keys() | after[name].keys():
                was, now = before[name].get(key), after[name].get(key)
                if was != now:
                    lines.append(f"{group}: {name}: {key} was {was!r}, is {now!r}")
    return sorted(lines)


def _agrees(field: Field, judgement: Judgement | None) -> bool:
    if judgement is None or not judgement.why.strip():
        return False
    energies = (judgement.energy, None) if "fields" in field else (judgement.energy,)
    return field["energy"] in energies and (field["why"], field.get("set_by")) == (judgement.why, judgement.set_by)


def _is_group(value: Any) -> bool:
    """Apart from the version, which is text, a schema holds groups of fields."""
    return not isinstance(value, str)


def _flat(fields: Sequence[Field]) -> dict[str, Field]:
    return {name: {key: value for key, value in field.items() if key != "fields"} for name, field in dotted(fields)}
