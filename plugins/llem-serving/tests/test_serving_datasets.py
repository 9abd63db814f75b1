"""Prompts made to lengths: of a trace with its sharing, and with a prefix of an exact share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llem.config.compose import Composer
from llem.measure.workload import build_requests
from llem.plugin_api import DatasetConfig, DatasetError
from llem.plugins import default_registry
from llem.specs.backend import LoadReport
from llem.specs.kinds import BACKENDS, SCENARIOS
from llem_serving.datasets import (
    Piece,
    ordinary_ids,
    piece_ids,
    shared_prefix,
    trace_pieces,
    trace_prompts,
)
from llem_serving.datasets.shared_prefix import load
from llem_serving.traces import BLOCK_TOKENS, Trace

VOCABULARY = 1_000
SPECIAL = {0, 7, 999}
IDS = ordinary_ids(VOCABULARY, SPECIAL)


def trace(rows: list[tuple[int, list[int] | None]]) -> Trace:
    lengths = np.array([length for length, _ in rows], dtype=np.int64)
    hashes = [None if ids is None else tuple(ids) for _, ids in rows]
    return Trace(
        name="t",
        format="mooncake",
        sha256="",
        arrival_s=np.arange(len(rows), dtype=float),
        input_tokens=lengths,
        output_tokens=np.ones_like(lengths),
        hash_ids=hashes if any(ids is not None for ids in hashes) else None,
    )


def common(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    """Length of the prefix that two prompts share."""
    return next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


@st.composite
def hashed_rows(draw: st.DrawFn) -> list[tuple[int, list[int] | None]]:
    rows: list[tuple[int, list[int] | None]] = []
    for _ in range(draw(st.integers(1, 5))):
        length = draw(st.integers(1, 4 * BLOCK_TOKENS))
        blocks = -(-length // BLOCK_TOKENS)
        ids = draw(st.one_of(st.none(), st.lists(st.integers(0, 6), min_size=blocks, max_size=blocks)))
        rows.append((length, ids))
    return rows


@given(hashed_rows(), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_prompts_of_a_trace_have_its_lengths_and_equal_blocks_where_it_has(
    rows: list[tuple[int, list[int] | None]], seed: int
) -> None:
    prompts = trace_prompts(trace(rows), VOCABULARY, SPECIAL, seed)
    assert [len(prompt) for prompt in prompts] == [length for length, _ in rows]
    assert not SPECIAL & {one for prompt in prompts for one in prompt}
    seen: dict[int, tuple[int, ...]] = {}
    for prompt, (_, ids) in zip(prompts, rows, strict=True):
        for number, hash_id in enumerate(ids or ()):
            block = prompt[number * BLOCK_TOKENS : (number + 1) * BLOCK_TOKENS]
            known = seen.setdefault(hash_id, block)
            assert common(known, block) == min(len(known), len(block))
            seen[hash_id] = max(known, block, key=len)
    long = [block for block in seen.values() if len(block) > 20]
    assert len({block[:20] for block in long}) == len(long), "other blocks are other tokens"


def test_prompts_of_a_trace_share_the_prefixes_that_it_shared() -> None:
    prompts = trace_prompts(
        trace([(1_300, [1, 2, 3]), (1_300, [1, 2, 9]), (600, [4, 2]), (600, None)]), VOCABULARY, (), 5
    )
    assert common(prompts[0], prompts[1]) in range(1_024, 1_030)
    assert common(prompts[0], prompts[2]) < 5
    assert common(prompts[0], prompts[3]) < 5


def test_without_hash_ids_prompts_are_independent_uniform_and_seeded() -> None:
    bare = trace([(500, None)] * 40)
    prompts = trace_prompts(bare, 50, {3}, 5)
    assert len({prompt[:8] for prompt in prompts}) == 40
    counts = np.bincount([one for prompt in prompts for one in prompt], minlength=50)
    assert counts[3] == 0
    assert counts[counts > 0] == pytest.approx(20_000 / 49, abs=5 * np.sqrt(20_000 / 49))
    assert np.count_nonzero(counts) == 49
    assert list(prompts) == list(trace_prompts(bare, 50, {3}, 5))
    assert common(prompts[0], trace_prompts(bare, 50, {3}, 6)[0]) < 5
    neighbours = np.array(prompts[0]) == np.array(prompts[1])
    assert neighbours.mean() < 0.1


def test_prompts_of_a_trace_are_a_sequence() -> None:
    prompts = trace_prompts(trace([(3, None), (4, None), (5, None)]), VOCABULARY, SPECIAL, 0)
    assert len(prompts) == 3
    assert prompts[-1] == prompts[2]
    assert prompts[1:] == [prompts[1], prompts[2]]
    for place in (3, -4):
        with pytest.raises(IndexError):
            prompts[place]


def test_ids_of_hashes_may_be_of_any_size() -> None:
    prompts = trace_prompts(trace([(10, [2**90]), (10, [2**90 + 1]), (10, [2**90])]), VOCABULARY, SPECIAL, 0)
    assert prompts[0] == prompts[2] != prompts[1]


def test_pieces_of_a_trace_give_the_ids_of_its_prompts() -> None:
    rows = trace([(1_300, [1, 2, 3]), (9, None)])
    prompts = trace_prompts(rows, VOCABULARY, SPECIAL, 5)
    assert [piece_ids(trace_pieces(rows, place, 5), IDS) for place in range(2)] == list(prompts)


@pytest.mark.parametrize(("size", "special"), [(0, ()), (2, (0, 1))])
def test_a_vocabulary_of_special_tokens_alone_is_told(size: int, special: tuple[int, ...]) -> None:
    with pytest.raises(DatasetError, match="no ordinary token"):
        trace_prompts(trace([(3, None)]), size, special, 0)


def test_a_shorter_piece_is_the_beginning_of_a_longer_one() -> None:
    assert piece_ids([Piece(30, 4)], IDS)[:9] == piece_ids([Piece(9, 4)], IDS)
    assert piece_ids([Piece(3, 4), Piece(2, 9)], IDS) == piece_ids([Piece(3, 4)], IDS) + piece_ids([Piece(2, 9)], IDS)


@given(
    st.integers(1, 300), st.sampled_from([0, 0.1, 0.25, 0.5, 0.9, 0.99]), st.integers(2, 6), st.integers(0, 2**32 - 1)
)
@settings(max_examples=80, deadline=None)
def test_lengths_and_shares_are_exact(units: int, share: float, n: int, seed: int) -> None:
    total = units * 100
    prompts = [piece_ids(pieces, IDS) for pieces in shared_prefix(total, share, n, seed)]
    prefix = round(total * share)
    assert [len(prompt) for prompt in prompts] == [total] * n
    assert len({prompt[:prefix] for prompt in prompts}) == 1
    for other in prompts[1:]:
        assert prefix <= common(prompts[0], other) <= min(prefix + 8, total)


def test_a_prefix_is_a_system_prompt_and_examples_before_a_question_of_its_own() -> None:
    first, second = shared_prefix(1_000, 0.9, 2, 3)
    assert [piece.tokens for piece in first] == [225, 675, 100]
    assert first[:2] == second[:2]
    assert len({piece.seed for piece in (*first, second[2])}) == 4
    assert [piece.tokens for piece in shared_prefix(10, 0, 1, 3)[0]] == [10]
    assert [piece.tokens for piece in shared_prefix(2, 0.5, 1, 3)[0]] == [1, 1]


def test_prompts_do_not_depend_on_their_number_and_do_on_the_seed() -> None:
    assert shared_prefix(100, 0.5, 9, 3)[:4] == shared_prefix(100, 0.5, 4, 3)
    assert not set(shared_prefix(100, 0.5, 1, 3)[0]) & set(shared_prefix(100, 0.5, 1, 4)[0])


def test_a_share_that_is_no_whole_number_of_tokens_is_told_with_a_length_that_is() -> None:
    with pytest.raises(DatasetError, match=r"90 % of 512 tokens is no whole number.*multiple of 10, such as 510"):
        shared_prefix(512, 0.9, 1, 0)
    with pytest.raises(DatasetError, match="multiple of 100, such as 100"):
        shared_prefix(3, 0.99, 1, 0)


@pytest.mark.parametrize(("total", "share"), [(0, 0.5), (10, 1.0), (10, -0.1)])
def test_a_prompt_has_a_question(total: int, share: float) -> None:
    with pytest.raises(DatasetError, match="no prompt of"):
        shared_prefix(total, share, 1, 0)


def config(**fields: Any) -> DatasetConfig:
    return DatasetConfig(**{"name": "shared_prefix", "n": 3, "input_tokens": 1_000, **fields})


@pytest.mark.parametrize(("share", "prefix"), [(None, 500), (0.0, 0), (0.9, 900), (0.125, 125)])
def test_the_dataset_has_the_share_that_is_asked_for(share: float | None, prefix: int) -> None:
    loaded = load(config(prefix_share=share, seed=8), "/nowhere")
    assert (loaded.name, loaded.available, loaded.caveats) == ("shared_prefix", None, ())
    assert "seed 8" in loaded.provenance
    pieces = [prompt.pieces for prompt in loaded.prompts]
    assert [sum(piece.tokens for piece in prompt) for prompt in pieces] == [1_000] * 3
    assert sum(piece.tokens for piece in set(pieces[0]) & set(pieces[1])) == prefix


def test_requests_have_the_prefix_in_common_and_nothing_else() -> None:
    loaded = load(config(prefix_share=0.9), ".")
    composer = Composer(default_registry()[BACKENDS], default_registry()[SCENARIOS])
    whole = composer.compose({"model": "random:tiny-llama", "backend": "testbed", "dataset": {"name": "shared_prefix"}})
    report = LoadReport(vocab_size=1_000, special_token_ids=frozenset({0, 1}), devices=["cpu"])
    first, second, third = (r.prompt_token_ids or () for r in build_requests(loaded.prompts, whole, report))
    assert {len(first), len(second), len(third)} == {1_000}
    assert list(first[:900]) == list(second[:900]) == list(third[:900])
    assert sum(a == b for a, b in zip(first[900:], second[900:], strict=True)) < 10


def test_the_dataset_is_known_by_its_recipe() -> None:
    plain = load(config(), ".").sha256
    assert plain == load(config(n=2), ".").sha256 == load(config(prefix_share=0.5), ".").sha256
    others = [config(seed=1), config(input_tokens=100), config(prefix_share=0.6)]
    assert len({plain, *(load(other, ".").sha256 for other in others)}) == 4


def test_the_dataset_needs_a_length() -> None:
    with pytest.raises(DatasetError, match=r"dataset\.input_tokens"):
        load(config(input_tokens=None), ".")
