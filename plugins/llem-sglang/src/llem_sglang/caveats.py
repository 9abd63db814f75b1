"""Caveats of this backend: settings that SGLang did not take, and work that it saved or did twice."""

from __future__ import annotations

from llem_engines.caveats import EngineCaveats
from llem_sglang.names import SGLANG

CAVEATS = EngineCaveats(
    SGLANG,
    no_cache="sglang.disable_radix_cache: true",
    cached=": so much less was computed than they hold. In the scenario server, or with sglang.keep_cache, that is a choice of "
    "deployment: name it with the figures. Else prompts of one pass begin alike: set sglang.disable_radix_cache: true, or say so.",
    taken_back="retracted",
    more_room="Raise sglang.mem_fraction_static, or lower sglang.max_running_requests.",
)
