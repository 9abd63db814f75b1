"""Judgements by hand of each option: whether it changes energy, why, and who sets it. Pure functions over plain data.

`review.toml` holds, for each group of fields, a list of judgements; its table `why` gives the reason of each option that it holds
for. Names are exact: an option that nobody has judged is named, and no schema is written with it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llem_sglang.schema import FOLDER, GROUPS

FILE = FOLDER / "review.toml"


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


Review = Mapping[str, Mapping[str, Judgement]]
"""Judgements by group and name."""


def read_review(text: str) -> Review:
    """The judgements in the text of `review.toml`. Raises ValueError where one option has two."""
    found: dict[str, dict[str, Judgement]] = {group: {} for group in GROUPS}
    for group, entries in tomllib.loads(text).items():
        for entry in entries:
            for name, why in entry["why"].items():
                if name in found[group]:
                    raise ValueError(f"{group}: {name} is judged twice")
                found[group][name] = Judgement(entry["energy"], why, entry.get("set_by"))
    return found


def judged(raw: Mapping[str, Any], review: Review) -> tuple[dict[str, Any], list[str]]:
    """The schema with every judgement and without SGLang's own help texts, and the names that have no judgement."""
    schema: dict[str, Any] = {"sglang": raw["sglang"]}
    missing: list[str] = []
    for group in GROUPS:
        schema[group] = []
        for field in raw[group]:
            judgement = review[group].get(field["name"])
            if judgement is None:
                missing.append(f"{group}: {field['name']}")
                continue
            told = {key: value for key, value in field.items() if key != "description"}
            told |= {"energy": judgement.energy, "why": judgement.why}
            if judgement.set_by is not None:
                told["set_by"] = judgement.set_by
            schema[group].append(told)
    return schema, missing


def unknown(raw: Mapping[str, Any], review: Review) -> list[str]:
    """Names that are judged and that this SGLang does not have: of another version, or misspelt."""
    return [
        f"{group}: {name}"
        for group in GROUPS
        for name in review[group].keys() - {field["name"] for field in raw[group]}
    ]


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Changes between two schemas, a line for each option: dropped, new, or what about it is another."""
    lines: list[str] = []
    for group in GROUPS:
        before, after = _by_name(old[group]), _by_name(new[group])
        lines += [f"{group}: {name} was dropped" for name in before.keys() - after.keys()]
        lines += [f"{group}: {name} is new" for name in after.keys() - before.keys()]
        for name in before.keys() & after.keys():
            lines += [
                f"{group}: {name}: {key} was {before[name].get(key)!r}, is {after[name].get(key)!r}"
                for key in before[name].keys() | after[name].keys()
                if before[name].get(key) != after[name].get(key)
            ]
    return sorted(lines)


def unreviewed(schema: Mapping[str, Any], review: Review) -> list[str]:
    """Options of a schema whose judgement is missing, empty, or not what it says."""
    return [
        f"{group}: {field['name']}"
        for group in GROUPS
        for field in schema[group]
        if (one := review[group].get(field["name"])) is None
        or not one.why.strip()
        or (field["energy"], field["why"], field.get("set_by")) != (one.energy, one.why, one.set_by)
    ]


def _by_name(fields: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {field["name"]: field for field in fields}
