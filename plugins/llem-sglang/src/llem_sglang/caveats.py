"""Caveats of this backend: settings that SGLang did not take, and work that it saved or did twice. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llem.plugin_api import Caveat, Section
from llem_sglang.config import given

_BY_SGLANG = frozenset({"auto", None})
"""Values that leave the decision to SGLang."""

_NAMED = 3


def setting_caveats(options: Section, effective: Mapping[str, Any], dtype: str | None) -> list[Caveat]:
    """A caveat where SGLang decided otherwise than an option that the study gives."""
    decided = {**effective, "dtype": dtype}
    found = []
    for name, asked in given(options).items():
        if not isinstance(asked, (bool, int, float, str)) or asked in _BY_SGLANG:
            continue
        has = decided.get(name)
        if has is not None and _comparable(has) != _comparable(asked):
            found.append(f"sglang.{name} is {asked}, and SGLang runs with {has}")
    if not found:
        return []
    more = f", and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return [
        Caveat(
            "setting_ignored",
            f"not everything ran as the study says: {'; '.join(found[:_NAMED])}{more}. sglang.log has SGLang's reason; leave "
            "the setting out, or take a model and device that have it.",
        )
    ]


def cache_caveat(times: int) -> list[Caveat]:
    """A caveat where the radix cache was not emptied, so many times, before prompts came again."""
    if not times:
        return []
    return [
        Caveat(
            "prefix_cache_kept",
            f"SGLang could not empty its radix cache {times} times before prompts of an earlier pass came again: they were "
            "found in it, and less was computed than they hold. Set sglang.disable_radix_cache: true.",
        )
    ]


def count_caveats(metrics: Mapping[str, float]) -> list[Caveat]:
    """Caveats of what was counted in the window: prompt tokens out of the cache, and requests that SGLang took back."""
    found = []
    hits, queried = metrics.get("prefix_cache_hit_tokens", 0.0), metrics.get("prefix_cache_queried_tokens", 0.0)
    if hits > 0 and queried > 0:
        found.append(
            Caveat(
                "prompt_cached",
                f"{hits:,.0f} of {queried:,.0f} prompt tokens ({hits / queried:.1%}) came from SGLang's radix cache: so much less "
                "was computed than they hold. In the scenario server, or with sglang.keep_cache, that is a choice of deployment: "
                "name it with the figures. Else prompts of one pass begin alike: set sglang.disable_radix_cache: true, or say so.",
            )
        )
    if (taken_back := metrics.get("preemptions", 0.0)) > 0:
        found.append(
            Caveat(
                "preempted",
                f"SGLang's key-value cache was full, and requests under way were retracted and computed again {taken_back:,.0f} "
                "times in the window. Raise sglang.mem_fraction_static, or lower sglang.max_running_requests.",
            )
        )
    return found


def _comparable(value: Any) -> Any:
    """Spelling apart: bfloat16 and torch.bfloat16, and half and float16, are one."""
    if not isinstance(value, str):
        return value
    plain = value.lower().removeprefix("torch.")
    return {"half": "float16", "float": "float32"}.get(plain, plain)
