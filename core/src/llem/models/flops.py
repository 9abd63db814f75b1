"""The arithmetic that a model's tokens ask for, from its architecture alone.

A forward pass of one token costs 2 FLOPs (a multiplication and an addition) for each active parameter: Kaplan et al.,
"Scaling Laws for Neural Language Models" (2020), section 2.1. Attention comes on top, because it multiplies activations
with each other: for a token that sees c positions, each of L layers and H query heads of size d computes c dot products
of length d, and a weighted sum of c values of length d, so 2 x 2 x L x H x d x c FLOPs: Chowdhery et al., "PaLM" (2022),
appendix B, where it is 12 x L x H x d x c for forward and backward together.

What follows from that:

- Grouped-query attention has fewer key and value heads, so smaller projections, and thus fewer parameters; the quadratic
  term has the number of query heads, since each of them still looks at every position.
- Attention is causal: in prefill, position i sees i positions (itself included), not all of them.
- A sliding window of w bounds c by w.
- Of a mixture of experts only the experts that a token is sent to are active, and the router.
- The embedding table counts as active although its rows are looked up, not multiplied. Where it is tied to the output
  projection it is multiplied there. Where it is not, the figure is high by its share (6.5 % for Llama 3.1 8B).
- The output projection counts for every token of the prompt, although an engine may compute it for the last one only.
- Norms, activations, softmax, rotary embeddings, sampling, and padding are left out, as is customary.

An architecture is a mapping, as a backend reports it (`LoadReport.architecture`; `llem_hub.architecture` reads it out of
a transformers `config.json`): `family`, `layers`, `attention_layers`, `windowed_layers`, `window` (None: unbounded), `hidden_size`, `heads`,
`kv_heads`, `head_dim`, `intermediate_size`, `vocab_size`, `experts`, `experts_per_token` (0 and 0 without experts),
`tied_embeddings`, `qkv_bias`, `output_bias`, `mlp_bias`, `qk_norm`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from llem.errors import ModelError

COUNTED = frozenset({"llama", "mistral", "mixtral", "qwen2", "qwen3", "smollm3", "granite", "phi3"})
"""Families whose parameters can be counted from the configuration."""


@dataclass(frozen=True, slots=True)
class FlopCount:
    """FLOPs of some requests. Prefill yields each request's first output token; every later one is a decode step."""

    prefill: float
    decode: float

    @property
    def total(self) -> float:
        """Both phases together."""
        return self.prefill + self.decode


def parameter_count(architecture: Mapping[str, Any]) -> tuple[int, int]:
    """Total and active parameters, exactly as transformers builds the model; a tied embedding counts once.

    One layer has: query `hidden x heads x head_dim`, key and value `hidden x kv_heads x head_dim` each, output as large
    as query; a gated feed-forward of three matrices `hidden x intermediate`, or one for each expert and a router
    `hidden x experts`; two norms of `hidden`. Around the layers: embedding and output projection `vocab x hidden` each
    (one matrix where tied), and a last norm. Active leaves out the experts that a token is not sent to.

    Args:
        architecture: of the model; see above.

    Raises:
        ModelError: this family's layers are not known here.
    """
    a = architecture
    if a["family"] not in COUNTED:
        raise ModelError(
            f"the parameters of a `{a['family']}` model cannot be counted from its configuration.",
            remedy=f"The engine has to count them; known families are: {', '.join(sorted(COUNTED))}.",
        )
    hidden, query, key = a["hidden_size"], a["heads"] * a["head_dim"], a["kv_heads"] * a["head_dim"]
    attention = 2 * hidden * query + 2 * hidden * key
    attention += (query + 2 * key) * a["qkv_bias"] + hidden * a["output_bias"] + 2 * a["head_dim"] * a["qk_norm"]
    feed_forward = 3 * hidden * a["intermediate_size"]
    feed_forward += (2 * a["intermediate_size"] + hidden) * a["mlp_bias"]
    router = hidden * a["experts"]
    around = a["vocab_size"] * hidden * (1 if a["tied_embeddings"] else 2) + hidden

    def whole(experts: int) -> int:
        return int(around + a["layers"] * (attention + feed_forward * experts + router + 2 * hidden))

    return whole(a["experts"] or 1), whole(a["experts_per_token"] if a["experts"] else 1)


def flops(architecture: Mapping[str, Any], active_parameters: int, requests: Iterable[tuple[int, int]]) -> FlopCount:
    """FLOPs of requests, prefill and decode apart. With A active parameters, for p input and o output tokens:

        prefill = 2 A p       + 4 H d (sum over i = 1 … p       of the positions that position i sees, over all layers)
        decode  = 2 A (o - 1) + 4 H d (the same sum over i = p + 1 … p + o - 1)

    The last output token is never fed back, so there are o - 1 decode steps.

    Args:
        architecture: of the model; see above.
        active_parameters: of the model as loaded.
        requests: input and output tokens of each request, without padding.
    """
    prefill = decode = 0
    for input_tokens, output_tokens in requests:
        last = input_tokens + max(output_tokens - 1, 0)
        prefill += 2 * active_parameters * input_tokens + _attention(architecture, 0, input_tokens)
        decode += 2 * active_parameters * (last - input_tokens) + _attention(architecture, input_tokens, last)
    return FlopCount(prefill=float(prefill), decode=float(decode))


def _attention(a: Mapping[str, Any], done: int, upto: int) -> int:
    """Attention FLOPs of positions `done + 1` to `upto`."""
    free = a["attention_layers"] - a["windowed_layers"]
    seen = free * (_seen(upto, None) - _seen(done, None))
    seen += a["windowed_layers"] * (_seen(upto, a["window"]) - _seen(done, a["window"]))
    return int(4 * a["heads"] * a["head_dim"] * seen)


def _seen(n: int, window: int | None) -> int:
    """1 + 2 + … + n, each term at most `window`."""
    if window is None or n <= window:
        return n * (n + 1) // 2
    return window * (window + 1) // 2 + (n - window) * window
