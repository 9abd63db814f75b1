"""From keywords of EngineArgs to the flags of `vllm serve`. Pure functions; nothing of vLLM is imported."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from llem.plugin_api import ConfigError, Section
from llem_engines.section import given

_SERVER = "and `vllm serve` has no flag for it; say vllm.frontend: engine"

WITHOUT_FLAG: Mapping[str, str] = {
    "enable_mm_processor_stats": f"leave it out of vllm, {_SERVER}",
    "mamba_config": "write its parts by the options that begin with vllm.mamba_ or say vllm.frontend: engine",
}
"""Options of EngineArgs that the command does not take, each with what to do instead."""

WITHOUT_WORD: Mapping[str, str] = {"all2all_backend": "passthrough"}
"""Words that EngineArgs takes for an option, and the command does not."""

WITHOUT_FIELD = frozenset(
    {
        "flat_logprobs",
        "logprob_token_ids",
        "logprobs",
        "prompt_logprob_start",
        "skip_reading_prefix_cache",
        "trace_decode_token_ids",
    }
)
"""Parts of `vllm.sampling` for which a request over HTTP has no field, or not the same one for text and for chats."""

_NULLS = frozenset({"prefix_cache_retention_interval"})
"""Options whose null is a value of its own, and which the command takes as the word None."""

_NULL_SAYS_NOTHING = frozenset({"revision", "tokenizer_revision"})
"""Keywords that `loading` gives whatever they are: null is vLLM's own default there."""

_RENAMED = {"extra_args": "vllm_xargs"}

_NEUTRAL: Mapping[str, Any] = {
    "temperature": 0.0,
    "top_p": 1.0,
    "top_k": 0,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
}
"""Values of a request where the study says nothing: the server would take them from the model's generation_config.json."""


def serve_flags(arguments: Mapping[str, Any]) -> list[str]:
    """The words of the command. Raises ConfigError for what it has no words for."""
    if trouble := next(_troubles(arguments), None):
        raise trouble
    words = [str(arguments["model"])]
    for name, value in arguments.items():
        if name != "model":
            words += _words(name, value)
    return words


def check_flags(options: Section) -> Iterator[ConfigError]:
    """Each part of a section that cannot be said to `vllm serve`, or to a server with each request."""
    engine = given(options)
    sampling = engine.pop("sampling", {})
    yield from _troubles(engine)
    for name in sorted(WITHOUT_FIELD & sampling.keys()):
        yield ConfigError(
            f"a request over HTTP has no field for `vllm.sampling.{name}`.",
            remedy="Leave it out, or say vllm.frontend: engine.",
        )


def request_fields(sampling: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of every request that say the same as keywords of SamplingParams."""
    own = {_RENAMED.get(name, name): value for name, value in sampling.items() if name != "detokenize"}
    if "logit_bias" in own:
        own["logit_bias"] = {str(token): bias for token, bias in own["logit_bias"].items()}
    return {**_NEUTRAL, **own}


def _troubles(arguments: Mapping[str, Any]) -> Iterator[ConfigError]:
    for name, value in arguments.items():
        if name in WITHOUT_FLAG:
            yield ConfigError(f"`vllm serve` does not take `vllm.{name}`.", remedy=f"{WITHOUT_FLAG[name]}.")
        elif value == WITHOUT_WORD.get(name, ...):
            yield ConfigError(
                f"`vllm serve` does not take {value} for `vllm.{name}`.",
                remedy="Take another, or say vllm.frontend: engine.",
            )
        elif value is None and name not in _NULLS:
            if name in _NULL_SAYS_NOTHING:
                continue
            yield ConfigError(
                f"`vllm serve` cannot be told that `vllm.{name}` is null.",
                remedy="Leave it out, or say vllm.frontend: engine.",
            )
        elif value == []:
            yield ConfigError(
                f"`vllm serve` cannot be told that `vllm.{name}` is an empty list.",
                remedy="Leave it out, or say vllm.frontend: engine.",
            )


def _words(name: str, value: Any) -> list[str]:
    flag = f"--{name.replace('_', '-')}"
    if value is True:
        return [flag]
    if value is False:
        # The only switch that has no opposite is on by being left out.
        return [] if name == "disable_log_stats" else [f"--no-{name.replace('_', '-')}"]
    if value is None:
        return [f"{flag}=None"] if name in _NULLS else []
    if isinstance(value, Mapping):
        return [f"{flag}={json.dumps(value)}"]
    if isinstance(value, list):
        listed = [str(item) for item in value]
        return [f"{flag}={','.join(listed)}"] if name == "device_ids" else [flag, *listed]
    return [f"{flag}={value}"]
