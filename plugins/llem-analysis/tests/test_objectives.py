"""Objectives in words. What they do to runs under load is tested with the scenario that judges by them, in llem-serving."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llem.errors import ConfigError
from llem_analysis.objectives import objectives_of

KEYS = st.sampled_from(["ttft_s", "tpot_s", "e2e_s", "attainment"])


@given(st.dictionaries(KEYS, st.floats(-1e6, 1e6), min_size=1), st.sampled_from([",", " , ", ", "]))
def test_what_is_written_is_what_is_read(values: dict[str, float], between: str) -> None:
    assert objectives_of(between.join(f"{key}={value!r}" for key, value in values.items())) == values


def test_the_studys_own_are_none_that_are_given() -> None:
    assert objectives_of(" own ") == {}


@pytest.mark.parametrize(
    "words", ["", ",", "ttft_s", "=1", "ttft_s=", "ttft_s=inf", "ttft_s=1,,e2e_s=2", "e2e_s=1,e2e_s=1"]
)
def test_what_is_no_objective_is_refused(words: str) -> None:
    with pytest.raises(ConfigError, match="is no objective"):
        objectives_of(words)
