"""The options of each supported TensorRT-LLM version: facts, judged by hand.

A file `VERSION.json`, as `llem_engines.schemas` describes it, holds three groups of fields: `engine` (the arguments of `LLM`),
`tensorrt` (those that only its TensorRT engines have) and `sampling` (SamplingParams). `python -m llem_trtllm.schema` reads them out
of the installed TensorRT-LLM; `python -m llem_trtllm.schema.references FOLDER` out of the reference files that its makers keep, where
it is not installed. TensorRT-LLM's own help texts are in none.
"""

from __future__ import annotations

from pathlib import Path

from llem_engines.schemas import OptionSchemas
from llem_trtllm.names import TRTLLM

DEFAULT = "1.2.1"
"""The version that the extra and the image bring."""

GROUPS = ("engine", "tensorrt", "sampling")

SCHEMAS = OptionSchemas(Path(__file__).parent, DEFAULT, GROUPS, TRTLLM)
versions, installed, chosen, load = SCHEMAS.versions, SCHEMAS.installed, SCHEMAS.chosen, SCHEMAS.load
