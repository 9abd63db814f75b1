"""The section's model: TensorRT-LLM's options, and the parts that stand below them under a name of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llem.plugin_api import Section
from llem_engines import section
from llem_engines.schemas import Schema
from llem_trtllm.names import TRTLLM

GROUPS = {
    "tensorrt": ("TensorrtSection", "what only engines have that TensorRT built (`trtllm.engine: tensorrt`)"),
    "sampling": ("SamplingSection", "how tokens are chosen, beyond the section `decoding`"),
}
"""Parts of the schema that stand below the section under their own name, beside the arguments of `LLM`."""


def section_model(schema: Schema, own: Mapping[str, Any]) -> type[Section]:
    """The model of `trtllm:` by the schema of one TensorRT-LLM version, with fields of our own."""
    return section.section_model(schema, TRTLLM, GROUPS, own)
