"""Caveats of this backend: settings that vLLM did not take, and work that it saved or did twice. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llem.plugin_api import Caveat, Section
from llem_vllm.config import given

_NAMES = {"kv_cache_dtype": "cache_dtype"}
"""Options whose decided value stands under another name."""

_BY_VLLM = frozenset({"auto", None})
"""Values that leave the decision to vLLM."""

_NAMED = 3


def setting_caveats(options: Section, effective: Mapping[str, Any], dtype: str | None) -> list[Caveat]:
    """A caveat where vLLM decided otherwise than an option that the study gives."""
    decided = {**effective, "dtype": dtype}
    found = []
    for name, asked in given(options).items():
        if not isinstance(asked, (bool, int, float, str)) or asked in _BY_VLLM:
            continue
        has = decided.get(_NAMES.get(name, name))
        if has is not None and _comparable(has) != _comparable(asked):
            found.append(f"vllm.{name} is {asked}, and vLLM runs with {has}")
    if not found:
        return []
    more = f", and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return [
        Caveat(
            "setting_ignored",
            f"not everything ran as the study says: {'; '.join(found[:_NAMED])}{more}. worker.log has vLLM's reason; leave the "
            "setting out, or take a model and device that have it.",
        )
    ]


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


def cache_caveat(times: int) -> list[Caveat]:
    """A caveat where the prefix cache was not emptied, so many times, before prompts came again."""
    if not times:
        return []
    return [
        Caveat(
            "prefix_cache_kept",
            f"vLLM could not empty its prefix cache {times} times before prompts of an earlier pass came again: they were "
            "found in it, and less was computed than they hold. Set vllm.enable_prefix_caching: false.",
        )
    ]


def count_caveats(metrics: Mapping[str, float]) -> list[Caveat]:
    """Caveats of what vLLM counted in the window: prompt tokens out of its cache, and requests that it took back."""
    found = []
    hits, queried = metrics.get("prefix_cache_hit_tokens", 0.0), metrics.get("prefix_cache_queried_tokens", 0.0)
    if hits > 0 and queried > 0:
        found.append(
            Caveat(
                "prompt_cached",
                f"{hits:,.0f} of {queried:,.0f} prompt tokens ({hits / queried:.1%}) came from vLLM's prefix cache, since "
                "prompts of one pass begin alike: so much less was computed than they hold. Set "
                "vllm.enable_prefix_caching: false, or say so; in the scenario server it is a choice of deployment: name it with "
                "the figures, or compare both values.",
            )
        )
    if (taken_back := metrics.get("preemptions", 0.0)) > 0:
        found.append(
            Caveat(
                "preempted",
                f"vLLM's key-value cache was full, and requests under way were taken back and computed again {taken_back:,.0f} "
                "times in the window. Raise vllm.gpu_memory_utilization, or lower vllm.max_num_seqs.",
            )
        )
    return found


def _comparable(value: Any) -> Any:
    """Spelling apart: bfloat16 and torch.bfloat16, FLASH_ATTN and flash_attn are one."""
    return value.lower().removeprefix("torch.") if isinstance(value, str) else value
