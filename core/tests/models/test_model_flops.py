"""FLOPs and parameters against figures worked out by hand; peaks of devices."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llem.errors import ModelError
from llem.models.flops import COUNTED, flops, parameter_count
from llem.models.peak import PEAKS, normalise, peak_flops
from llem_hub.architecture import architecture_of
from llem_hub.shapes import load_shape, shape_names

SMALL: dict[str, Any] = {
    "model_type": "llama",
    "num_hidden_layers": 2,
    "hidden_size": 8,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "intermediate_size": 16,
    "vocab_size": 10,
}
REQUESTS = st.lists(st.tuples(st.integers(1, 5_000), st.integers(1, 2_000)), min_size=1, max_size=5)


def shape(**fields: Any) -> dict[str, Any]:
    found = architecture_of({**SMALL, **fields})
    assert found is not None
    return found


def test_parameters_of_a_small_model_are_those_counted_by_hand() -> None:
    # head_dim 4: query and output 8x8 each, key and value 8x4 each; gate, up, down 8x16 each; two norms of 8
    layer = 2 * 64 + 2 * 32 + 3 * 128 + 2 * 8
    assert parameter_count(shape()) == (2 * layer + 2 * 10 * 8 + 8,) * 2
    assert parameter_count(shape(tie_word_embeddings=True)) == (2 * layer + 10 * 8 + 8,) * 2


def test_biases_count() -> None:
    plain = parameter_count(shape())[0]
    assert parameter_count(shape(attention_bias=True))[0] == plain + 2 * (8 + 2 * 4 + 8)
    assert parameter_count(shape(mlp_bias=True))[0] == plain + 2 * (2 * 16 + 8)
    assert parameter_count(shape(model_type="qwen2"))[0] == plain + 2 * (8 + 2 * 4)


def test_of_experts_only_those_a_token_is_sent_to_are_active() -> None:
    total, active = parameter_count(shape(model_type="mixtral", num_local_experts=4, num_experts_per_tok=2))
    expert, router = 3 * 8 * 16, 8 * 4
    dense = parameter_count(shape())[0]
    assert total == dense + 2 * (3 * expert + router)
    assert active == dense + 2 * (1 * expert + router)


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("llama-3.1-8b", 8.03),
        ("llama-3.2-1b", 1.24),
        ("qwen2.5-7b", 7.62),
        ("mistral-7b", 7.25),
        ("mixtral-8x7b", 46.7),
    ],
)
def test_published_models_have_their_published_size(name: str, billions: float) -> None:
    architecture = architecture_of(load_shape(name).config)
    assert architecture is not None
    assert parameter_count(architecture)[0] / 1e9 == pytest.approx(billions, abs=0.006 if billions < 40 else 0.06)


@pytest.mark.parametrize("name", shape_names())
def test_every_shape_can_be_counted(name: str) -> None:
    architecture = architecture_of(load_shape(name).config)
    assert architecture is not None
    total, active = parameter_count(architecture)
    assert 0 < active <= total
    assert (active < total) == (architecture["experts"] > 0)


def test_flops_of_one_small_request_are_those_worked_out_by_hand() -> None:
    # 3 prompt tokens, 3 output tokens: 2 decode steps. Attention: 4 x 2 heads x 4 x (positions seen) x 2 layers
    count = flops(shape(), 100, [(3, 3)])
    assert count.prefill == 2 * 100 * 3 + 4 * 8 * 2 * (1 + 2 + 3)
    assert count.decode == 2 * 100 * 2 + 4 * 8 * 2 * (4 + 5)
    assert count.total == count.prefill + count.decode


def test_the_first_output_token_costs_no_decode_step() -> None:
    assert flops(shape(), 100, [(7, 1)]).decode == 0
    assert flops(shape(), 100, []).total == 0


def test_a_window_bounds_what_a_token_sees() -> None:
    windowed = shape(model_type="mistral", sliding_window=2)
    assert flops(windowed, 0, [(4, 1)]).prefill == 4 * 8 * 2 * (1 + 2 + 2 + 2)


def test_a_window_that_is_switched_off_bounds_nothing() -> None:
    assert shape(model_type="qwen2", sliding_window=2, use_sliding_window=False)["window"] is None


def test_layers_that_alternate_are_counted_apart() -> None:
    mixed = shape(sliding_window=2, layer_types=["sliding_attention", "full_attention"])
    assert flops(mixed, 0, [(3, 1)]).prefill == 4 * 8 * ((1 + 2 + 2) + (1 + 2 + 3))


@given(REQUESTS)
def test_requests_add_up(requests: list[tuple[int, int]]) -> None:
    whole = flops(shape(), 1_000, requests)
    parts = [flops(shape(), 1_000, [request]) for request in requests]
    assert whole.prefill == sum(part.prefill for part in parts)
    assert whole.decode == sum(part.decode for part in parts)


@given(st.integers(1, 3_000), st.integers(2, 3_000), st.sampled_from([None, 1, 64, 4_096]))
def test_where_prefill_ends_does_not_change_the_total(tokens: int, outputs: int, window: int | None) -> None:
    architecture = shape(model_type="mistral", sliding_window=window)
    split = flops(architecture, 77, [(tokens, outputs)])
    assert split.total == flops(architecture, 77, [(tokens + outputs - 1, 1)]).total


@given(st.integers(1, 3_000), st.integers(1, 500))
def test_query_heads_and_not_key_heads_make_the_quadratic_term(tokens: int, outputs: int) -> None:
    one, two = shape(num_key_value_heads=1), shape(num_key_value_heads=2)
    assert flops(one, 5, [(tokens, outputs)]) == flops(two, 5, [(tokens, outputs)])


def test_an_architecture_that_tells_no_sizes_gives_none_not_zero() -> None:
    assert architecture_of({"model_type": "llama"}) is None
    assert architecture_of({}) is None


def test_a_text_model_within_another_is_found() -> None:
    assert architecture_of({"model_type": "any", "text_config": SMALL}) == shape()


def test_other_families_cannot_be_counted_and_are_not_guessed() -> None:
    with pytest.raises(ModelError, match="`mamba` model cannot be counted"):
        parameter_count(shape(model_type="mamba"))
    assert "llama" in COUNTED


@pytest.mark.parametrize(
    ("device", "dtype", "expected"),
    [
        ("NVIDIA H200", "bfloat16", 989.5e12),
        ("NVIDIA A100-SXM4-80GB", "torch.float16", 312e12),
        ("NVIDIA A100-SXM4-80GB", "fp32", 19.5e12),
        ("Tesla T4", "bfloat16", None),
        ("NVIDIA H100 80GB HBM3", "float8_e4m3fn", 1979e12),
        ("NVIDIA H1000", "bfloat16", None),
        ("", "bfloat16", None),
        ("NVIDIA H200", "int3", None),
    ],
)
def test_a_peak_is_known_or_null(device: str, dtype: str, expected: float | None) -> None:
    assert peak_flops(device, dtype) == expected


def test_no_device_stands_in_two_rows_and_every_row_has_a_source() -> None:
    names = [name for peak in PEAKS for name in peak.names]
    assert len(names) == len(set(names))
    assert all(peak.source and peak.tflops for peak in PEAKS)
    assert all(normalise(name) == name for name in names)
