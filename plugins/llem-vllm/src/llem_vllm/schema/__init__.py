"""The options of each supported vLLM version: facts read out of that vLLM by `python -m llem_vllm.schema`, judged by hand.

A file `VERSION.json`, as `llem_engines.schemas` describes it, holds three groups of fields: `engine` (EngineArgs), `sampling`
(SamplingParams) and `environment` (variables that vLLM reads). vLLM's own help texts are in none: `llem_vllm.options` reads them
where vLLM is installed.
"""

from __future__ import annotations

from pathlib import Path

from llem_engines.schemas import OptionSchemas
from llem_vllm.names import VLLM

DEFAULT = "0.32.0"
"""The version that image and extras bring."""

GROUPS = ("engine", "sampling", "environment")

SCHEMAS = OptionSchemas(Path(__file__).parent, DEFAULT, GROUPS, VLLM)
versions, installed, chosen, load = SCHEMAS.versions, SCHEMAS.installed, SCHEMAS.chosen, SCHEMAS.load
