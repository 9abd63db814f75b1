"""SGLang by its names."""

from __future__ import annotations

from llem_engines.names import EngineNames

LOG = "sglang.log"
"""SGLang's output, in the experiment's folder."""

SGLANG = EngineNames(
    engine="SGLang",
    backend="sglang",
    distributions=("sglang",),
    log=LOG,
    cache="radix cache",
    context_option="sglang.context_length",
)
