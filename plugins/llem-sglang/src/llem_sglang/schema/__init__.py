"""The options of each supported SGLang version: facts read out of that SGLang by `python -m llem_sglang.schema`, judged by hand.

A file `VERSION.json`, as `llem_engines.schemas` describes it, holds two groups of fields: `engine` (ServerArgs) and `sampling`
(SamplingParams). SGLang's own help texts are in none: `python -m sglang.launch_server --help` shows them where SGLang is installed.
"""

from __future__ import annotations

from pathlib import Path

from llem_engines.schemas import OptionSchemas
from llem_sglang.names import SGLANG

DEFAULT = "0.5.23"
"""The version that the extra brings, and with which the backend was tried."""

GROUPS = ("engine", "sampling")

SCHEMAS = OptionSchemas(Path(__file__).parent, DEFAULT, GROUPS, SGLANG)
versions, installed, chosen, load = SCHEMAS.versions, SCHEMAS.installed, SCHEMAS.chosen, SCHEMAS.load
