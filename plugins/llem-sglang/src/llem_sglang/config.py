"""The section `sglang:` of an experiment: built from the schema of the SGLang that will run it."""

from __future__ import annotations

import math
from typing import Any

from pydantic import Field

from llem.plugin_api import Section
from llem_sglang.schema import chosen, load
from llem_sglang.section import GROUPS, section_model

SCHEMA_VERSION = chosen()
"""The SGLang version whose options a study may give here."""

OWN: dict[str, Any] = {
    "keep_cache": (
        bool,
        Field(
            False,
            description="keep the radix cache between passes over the dataset, so that prompts which come again are found in it: "
            "less is computed than they hold, and the result says how much",
        ),
    ),
}
"""Options that are no field of ServerArgs: llem's own."""

GROUPS_APART = frozenset(GROUPS)
"""Parts of the section that are no option of ServerArgs either."""

SglangConfig = section_model(load(SCHEMA_VERSION), OWN)


def resolve(section: Section) -> Section:
    """The same options with everything that says nothing left out. Takes and returns an `SglangConfig`."""
    if not isinstance(section, SglangConfig):
        raise TypeError(f"the backend sglang resolves its own section, not {type(section).__name__}")
    changes = {name: None for name in GROUPS if isinstance(part := getattr(section, name), Section) and not given(part)}
    return section.model_copy(update=changes) if changes else section


def keeps_cache(section: Section) -> bool:
    """True where the radix cache stays as it is between passes."""
    return bool(getattr(section, "keep_cache", False))


def batch_size(section: Section) -> int | None:
    """The most sequences at once that a section asks for; None where SGLang decides.

    There is no `fit` for it: above the number of prompts `max_running_requests` still sets how much memory is planned for, so that
    two such settings are two experiments.
    """
    found = getattr(section, "max_running_requests", None)
    return found if isinstance(found, int) else None


def gpus(section: Section) -> int | None:
    """Number of GPUs that a section takes: one for each part of the model, and for each replica of it; 0 on a CPU."""
    if getattr(section, "device", None) == "cpu":
        return 0
    names = ["tp_size", "pp_size"]
    if not getattr(section, "enable_dp_attention", False):
        names.append("dp_size")  # with it, replicas of attention share the cards of the rest
    return math.prod(size for name in names if isinstance(size := getattr(section, name, None), int))


def given(section: Section) -> dict[str, Any]:
    """The options that differ from their default, as plain data, parts with fields of their own as mappings."""
    found: dict[str, Any] = {}
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, Section):
            if inside := given(value):
                found[name] = inside
        elif value != field.default or type(value) is not type(field.default):
            found[name] = value
    return found
