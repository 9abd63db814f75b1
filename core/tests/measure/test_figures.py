"""Tokens, speed, memory and FLOPs of a window: exact where they are known, null where they are not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llem.measure.figures import arithmetic, count_tokens, memory, throughput
from llem.measure.latency import Timing
from llem.measure.series import Series, Track
from llem.models.flops import parameter_count
from llem.models.peak import peak_flops
from llem.specs.backend import LoadReport, MemoryReading, RequestRecord
from llem.specs.sampler import Device
from llem.specs.scenario import Answer
from llem_hub.architecture import architecture_of
from llem_hub.shapes import load_shape

A, B = "GPU-aaaaaaaa", "GPU-bbbbbbbb"
H100 = "NVIDIA H100 80GB HBM3"
NOTHING = MemoryReading(None, None, None)
SHAPE = architecture_of(load_shape("llama-3.2-1b").config)
REPORT = LoadReport(vocab_size=10, devices=[A], dtype="bfloat16", active_parameters=1000, architecture=SHAPE)


def rows(*counts: tuple[int, int]) -> list[Timing]:
    records = [RequestRecord(i, given, made, 0, 1, "stop") for i, (given, made) in enumerate(counts)]
    return [Timing(Answer(1, 1, 0, 1, [], records), record) for record in records]


def gpu(id_: str, used: list[float | None], scope: Any = "gpu") -> Track:
    track = Track("nvml", Device(id=id_, name=H100, scope=scope, methods=frozenset({"counter"})))
    for t, value in enumerate(used):
        track.append(t, None, None, {} if value is None else {"memory_used_mb": value})
    return track


@given(st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 10**6)), min_size=1), st.floats(1e-3, 1e5))
def test_speed_is_tokens_over_the_window(counts: list[tuple[int, int]], window_s: float) -> None:
    tokens = count_tokens(rows(*counts))
    assert (tokens.requests, tokens.input, tokens.output) == (len(counts), *(sum(c) for c in zip(*counts, strict=True)))
    speed = throughput(tokens, window_s)
    assert speed.tokens_per_s == pytest.approx(tokens.output / window_s)
    assert speed.total_tokens_per_s == pytest.approx((tokens.input + tokens.output) / window_s)
    assert speed.requests_per_s == pytest.approx(tokens.requests / window_s)


def test_memory_that_nobody_knows_is_null() -> None:
    figures = memory(NOTHING, NOTHING, Series(), 0, 10, ["cpu"])
    assert figures.model_dump(exclude={"host_peak_rss_mb"}) == {
        "peak_memory_mb": None,
        "peak_memory_source": None,
        "model_memory_mb": None,
        "device_memory_mb": None,
    }
    assert figures.host_peak_rss_mb is not None
    assert 10 < figures.host_peak_rss_mb < 100_000


def test_the_peak_is_the_allocators_and_the_device_memory_is_apart() -> None:
    loaded, peak = MemoryReading(500.0, 900.0, "allocator"), MemoryReading(510.0, 700.0, "allocator")
    figures = memory(loaded, peak, Series(tracks=[gpu(A, [9000.0, 800.0, 820.0, 9000.0])]), 1, 2, [A])
    assert (figures.peak_memory_mb, figures.peak_memory_source) == (700.0, "allocator")
    assert figures.model_memory_mb == 500.0
    assert figures.device_memory_mb == 820.0  # what was read outside the window is not of it


def test_device_memory_is_summed_over_the_devices_in_use_and_never_a_part() -> None:
    both = Series(tracks=[gpu(A, [100.0, 300.0]), gpu(B, [50.0, 20.0])])
    assert memory(NOTHING, NOTHING, both, 0, 1, [A, B]).device_memory_mb == 350.0
    assert memory(NOTHING, NOTHING, both, 0, 1, [A]).device_memory_mb == 300.0
    half = Series(tracks=[gpu(A, [100.0]), gpu(B, [None])])
    assert memory(NOTHING, NOTHING, half, 0, 1, [A, B]).device_memory_mb is None


def test_flops_are_two_for_each_active_parameter_and_token_and_attention() -> None:
    assert SHAPE is not None
    attention = 4 * SHAPE["heads"] * SHAPE["head_dim"] * SHAPE["layers"]
    figures = arithmetic(REPORT, rows((3, 2)), 2.0, {})
    assert figures is not None
    assert figures.prefill == 2 * 1000 * 3 + attention * (1 + 2 + 3)
    assert figures.decode == 2 * 1000 * 1 + attention * 4
    assert figures.total == figures.prefill + figures.decode
    assert figures.per_s == figures.total / 2.0
    assert figures.active_parameters == 1000


def test_without_an_architecture_or_a_count_there_are_no_flops() -> None:
    assert arithmetic(replace(REPORT, architecture=None), rows((3, 2)), 1.0, {}) is None
    assert SHAPE is not None
    unknown = replace(REPORT, architecture={**SHAPE, "family": "novel"}, active_parameters=None)
    assert arithmetic(unknown, rows((3, 2)), 1.0, {}) is None
    counted = arithmetic(replace(REPORT, active_parameters=None), rows((3, 2)), 1.0, {})
    assert counted is not None
    assert counted.active_parameters == parameter_count(SHAPE)[1]


def test_mfu_is_the_share_of_the_peak_of_all_devices_in_use() -> None:
    peak = peak_flops(H100, "bfloat16")
    assert peak is not None
    one = arithmetic(REPORT, rows((300, 20)), 1.0, {A: H100})
    assert one is not None
    assert one.peak_per_s == peak
    assert one.mfu == pytest.approx(one.total / peak)
    two = arithmetic(replace(REPORT, devices=[A, B]), rows((300, 20)), 1.0, {A: H100, B: H100})
    assert two is not None
    assert two.mfu == pytest.approx(one.total / peak / 2)


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({}, {}),
        ({}, {A: "NVIDIA Nothing 9000"}),
        ({"devices": [A, B]}, {A: H100}),
        ({"dtype": None}, {A: H100}),
        ({"devices": ["cpu"]}, {A: H100}),
    ],
)
def test_mfu_is_null_where_a_peak_is_not_known(changes: dict[str, Any], names: dict[str, str]) -> None:
    figures = arithmetic(replace(REPORT, **changes), rows((3, 2)), 1.0, names)
    assert figures is not None
    assert figures.mfu is None
    assert figures.peak_per_s is None


def test_a_window_that_gave_nothing_has_no_rate() -> None:
    speed = throughput(count_tokens([]), 5.0)
    assert (speed.tokens_per_s, speed.total_tokens_per_s, speed.requests_per_s) == (None, None, None)
