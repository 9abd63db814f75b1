"""The section `trtllm:` of an experiment: built from the schema of the TensorRT-LLM that will run it."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import Field

from llem.plugin_api import Section
from llem_engines.section import without_empty_parts
from llem_trtllm.schema import chosen, load
from llem_trtllm.section import GROUPS, section_model

SCHEMA_VERSION = chosen()
"""The TensorRT-LLM version whose options a study may give here."""

OWN: dict[str, Any] = {
    "engine": (
        Literal["pytorch", "tensorrt"],
        Field(
            "pytorch",
            description="PyTorch's executor, or an engine that TensorRT builds for this model and this kind of GPU; a built one is "
            "kept in the user's cache folder, and what building took is told apart",
        ),
    ),
    "keep_cache": (
        bool,
        Field(
            False,
            description="keep what was cached of prompts between passes over the dataset, so that prompts which come again are found "
            "in it: less is computed than they hold, and the result says how much",
        ),
    ),
}
"""Options that are no argument of `LLM`: llem's own."""

APART = frozenset({*GROUPS, *OWN})
"""Names in the section that are no argument of `LLM`."""

TrtllmConfig = section_model(load(SCHEMA_VERSION), OWN)


def resolve(section: Section) -> Section:
    """The same options with everything that says nothing left out. Takes and returns a `TrtllmConfig`."""
    if not isinstance(section, TrtllmConfig):
        raise TypeError(f"the backend trtllm resolves its own section, not {type(section).__name__}")
    return without_empty_parts(section)


def is_built(section: Section) -> bool:
    """True where TensorRT builds an engine."""
    return getattr(section, "engine", "pytorch") == "tensorrt"


def keeps_cache(section: Section) -> bool:
    """True where what was cached of prompts stays between passes."""
    return bool(getattr(section, "keep_cache", False))


def batch_size(section: Section) -> int | None:
    """The most sequences at once that a section asks for.

    There is no `fit` for it: above the number of prompts `max_batch_size` still sets how much memory is planned for and what an
    engine is built for, so that two such settings are two experiments.
    """
    found = getattr(section, "max_batch_size", None)
    return found if isinstance(found, int) else None


_SPLITS = ("tensor_parallel_size", "pipeline_parallel_size", "context_parallel_size")


def gpus(section: Section) -> int | None:
    """Number of GPUs that a section takes: one for each part of the model. Experts are dealt out over the same ones."""
    return math.prod(size for name in _SPLITS if isinstance(size := getattr(section, name, None), int))
