"""Caveats of this backend: settings that vLLM did not take, and work that it saved or did twice. Pure functions."""

from __future__ import annotations

from llem.plugin_api import Caveat
from llem_engines.caveats import EngineCaveats
from llem_vllm.names import VLLM

CAVEATS = EngineCaveats(
    VLLM,
    no_cache="vllm.enable_prefix_caching: false",
    cached=", since prompts of one pass begin alike: so much less was computed than they hold. Set "
    "vllm.enable_prefix_caching: false, or say so; in the scenario server it is a choice of deployment: name it with the figures, "
    "or compare both values.",
    taken_back="taken back",
    more_room="Raise vllm.gpu_memory_utilization, or lower vllm.max_num_seqs.",
    renamed={"kv_cache_dtype": "cache_dtype"},
)


def replica_caveats(unheard: int) -> list[Caveat]:
    """A caveat where so many workers of data-parallel replicas were not heard."""
    if not unheard:
        return []
    return [
        Caveat(
            "replicas_unheard",
            f"{unheard} of vLLM's workers did not say on which device they are (vllm.data_parallel_size): the energy of their devices "
            "is in no figure, and the memory that they hold is not told. Run all replicas on one machine.",
        )
    ]
