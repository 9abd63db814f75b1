"""The objectives that runs are judged by: those that are asked for now, else those of their study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from llem.plugin_api import ConfigError, closest
from llem_serving.config import SloConfig

LIMITS = ("ttft_s", "tpot_s", "e2e_s")

SECTION = "slo"


def asked_slo(given: Mapping[str, Any], own: Mapping[str, Any]) -> SloConfig:
    """The objectives to judge by.

    One limit that is given stands for all of them: the study's own would be kept silently beside it. The share is the study's
    own where only limits are given.

    Args:
        given: values by key of the section `slo`; what is None is not given.
        own: of the experiment's own section, likewise; empty where it has none.

    Raises:
        ConfigError: a key or a value cannot be, or neither has a limit.
    """
    for key in given:
        if key not in SloConfig.model_fields:
            near = closest(key, SloConfig.model_fields)
            raise ConfigError(
                f"objectives have no key `{key}`.",
                remedy=f"{f'Did you mean `{near}`? ' if near else ''}Keys: {', '.join(SloConfig.model_fields)}.",
            )
    asked = {key: value for key, value in given.items() if value is not None}
    has_limits = any(key in asked for key in LIMITS)
    kept = {key: value for key, value in own.items() if value is not None and not (has_limits and key in LIMITS)}
    try:
        found = SloConfig.model_validate({**kept, **asked})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, (SECTION, *first["loc"])))
        raise ConfigError(
            f"`{key}` is {first['input']!r}: {first['msg'][:1].lower()}{first['msg'][1:]}.",
            remedy="Write seconds above 0 for limits, and a share above 0, up to 1, for attainment.",
        ) from error
    if all(getattr(found, key) is None for key in LIMITS):
        raise ConfigError(
            "objectives take a limit, and neither the command nor the study's own `slo` has one.",
            remedy="Give --ttft, --tpot or --e2e, such as --ttft 0.2; to `llem pick` --slo ttft_s=0.2.",
        )
    return found


def limits_text(slo: SloConfig) -> str:
    """The limits in words: `TTFT 0.2 s, end to end 5 s`."""
    words = zip(("TTFT", "TPOT", "end to end"), LIMITS, strict=True)
    return ", ".join(f"{word} {limit:g} s" for word, key in words if (limit := getattr(slo, key)) is not None)
