"""The section's model: vLLM's options, and the parts that stand below them under a name of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llem.plugin_api import Section
from llem_engines import section
from llem_engines.schemas import Schema
from llem_engines.section import Retired
from llem_vllm.names import VLLM

GROUPS = {
    "sampling": ("SamplingSection", "how tokens are chosen, beyond the section `decoding`"),
    "environment": (
        "EnvironmentSection",
        "variables that vLLM reads, set in the worker: those that change what it does",
    ),
}
"""Parts of the schema that stand below the section under their own name, beside the engine's options."""


def section_model(schema: Schema, retired: Retired, own: Mapping[str, Any]) -> type[Section]:
    """The model of `vllm:` by the schema of one vLLM version, without names of old ones, with fields of our own."""
    return section.section_model(schema, VLLM, GROUPS, own, retired)
