"""The section `vllm:` of an experiment: built from the schema of the vLLM that will run it."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import Field

from llem.plugin_api import Section
from llem_engines.section import without_empty_parts
from llem_vllm.retired import RETIRED
from llem_vllm.schema import chosen, load
from llem_vllm.section import GROUPS, section_model

SCHEMA_VERSION = chosen()
"""The vLLM version whose options a study may give here."""

OWN: dict[str, Any] = {
    "frontend": (
        Literal["engine", "http"],
        Field(
            "engine", description="vLLM's engine in the worker, or its HTTP server (`vllm serve`) as another process"
        ),
    ),
    "serve_timeout_s": (
        float,
        Field(1800.0, gt=0, le=86_400, description="as long may the server of frontend: http take until it answers"),
    ),
    "lora_adapter": (
        str | None,
        Field(None, min_length=1, description="folder or hub id of a LoRA adapter that every request uses"),
    ),
}
"""Options that are no field of EngineArgs: llem's own, and what vLLM takes with each request."""

WITHOUT_EFFECT = frozenset({"serve_timeout_s"})
"""Those of `OWN` that change no energy."""

APART = frozenset({*GROUPS, *OWN})
"""Names in the section that are no option of EngineArgs."""

VllmConfig = section_model(load(SCHEMA_VERSION), RETIRED, OWN)


def resolve(section: Section) -> Section:
    """The same options with everything that says nothing left out. Takes and returns a `VllmConfig`."""
    if not isinstance(section, VllmConfig):
        raise TypeError(f"the backend vllm resolves its own section, not {type(section).__name__}")
    if not is_served(section):
        section = section.model_copy(update={"serve_timeout_s": OWN["serve_timeout_s"][1].default})
    return without_empty_parts(section)


def is_served(section: Section) -> bool:
    """True where the section asks for vLLM's HTTP server."""
    return getattr(section, "frontend", "engine") == "http"


def batch_size(section: Section) -> int | None:
    """The most sequences at once that a section asks for; None where vLLM decides.

    There is no `fit` for it: above the number of prompts `max_num_seqs` still sets which CUDA graphs are captured, up to twice
    of it, and how much memory is planned for, so that two such settings are two experiments.
    """
    found = getattr(section, "max_num_seqs", None)
    return found if isinstance(found, int) else None


_SPLITS = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size", "prefill_context_parallel_size")


def gpus(section: Section) -> int | None:
    """Number of GPUs that a section takes: one for each part of model and requests; None where it names none."""
    if getattr(section, "device_ids", None) is not None:
        return None
    sizes = [getattr(section, name, None) for name in _SPLITS]
    return math.prod(size for size in sizes if isinstance(size, int))
