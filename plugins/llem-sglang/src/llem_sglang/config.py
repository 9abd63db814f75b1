"""The section `sglang:` of an experiment: built from the schema of the SGLang that will run it."""

from __future__ import annotations

import math
from typing import Any

from pydantic import Field

from llem.plugin_api import Section
from llem_engines.section import without_empty_parts
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

APART = frozenset({*GROUPS, *OWN})
"""Names in the section that are no option of ServerArgs."""

SglangConfig = section_model(load(SCHEMA_VERSION), OWN)


def resolve(section: Section) -> Section:
    """The same options with everything that says nothing left out. Takes and returns an `SglangConfig`."""
    if not isinstance(section, SglangConfig):
        raise TypeError(f"the backend sglang resolves its own section, not {type(section).__name__}")
    return without_empty_parts(section)


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
