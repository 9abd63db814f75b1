"""The section's model: SGLang's options, and the part that stands below them under a name of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llem.plugin_api import Section
from llem_engines import section
from llem_engines.schemas import Schema
from llem_sglang.names import SGLANG

GROUPS = {"sampling": ("SamplingSection", "how tokens are chosen, beyond the section `decoding`")}
"""Parts of the schema that stand below the section under their own name, beside the engine's options."""


def section_model(schema: Schema, own: Mapping[str, Any]) -> type[Section]:
    """The model of `sglang:` by the schema of one SGLang version, with fields of our own."""
    return section.section_model(schema, SGLANG, GROUPS, own)
