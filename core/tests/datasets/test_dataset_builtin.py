"""The built-in prompts: their shape and their origin."""

from __future__ import annotations

import collections
import hashlib
import json
import math
import re
import statistics

import pytest

from llem.config.experiment import DatasetConfig
from llem.datasets import aienergyscore
from llem.errors import DatasetError

LINES = [json.loads(line) for line in aienergyscore.FILE.read_text().splitlines()]


def quantile(sizes: list[int], share: float) -> float:
    place = (len(sizes) - 1) * share / 100
    low, high = math.floor(place), math.ceil(place)
    return sizes[low] + (sizes[high] - sizes[low]) * (place - low)


def test_there_are_1000_prompts_no_two_alike() -> None:
    prompts = aienergyscore.prompts()
    assert len(prompts) == len(set(prompts)) == aienergyscore.COUNT == 1_000
    assert all(prompt == prompt.strip() for prompt in prompts)


def test_a_third_is_of_each_kind() -> None:
    kinds = collections.Counter(line["kind"] for line in LINES[1:])
    assert kinds == {"encyclopedia": 333, "web": 333, "chat": 334}


@pytest.mark.parametrize("n", [20, 50, 100, 300])
def test_the_first_n_are_like_the_whole(n: int) -> None:
    sizes = sorted(map(len, aienergyscore.prompts()[:n]))
    assert 400 < statistics.median(sizes) < 800
    assert 150 < quantile(sizes, 25) < 320
    kinds = collections.Counter(line["kind"] for line in LINES[1 : n + 1])
    assert min(kinds.values()) >= n * 0.2


def test_no_prompt_shows_its_grammar() -> None:
    for prompt in aienergyscore.prompts():
        assert not set("{}<>|") & set(prompt), prompt[:200]
        assert not re.search(r"\b(\w+) \1\b|\ba [aei]\w+|\ba an? ", prompt), prompt[:200]
        assert "  " not in prompt


def test_most_sentences_occur_once() -> None:
    sentences = [s for prompt in aienergyscore.prompts() for s in prompt.replace("\n", ". ").split(". ") if len(s) > 40]
    assert len(set(sentences)) > 0.7 * len(sentences)


def test_the_first_line_tells_the_provenance_that_results_carry() -> None:
    assert LINES[0]["_provenance"] == aienergyscore.PROVENANCE
    assert "prompt" not in LINES[0]


def test_loading_gives_name_provenance_digest_and_the_first_n() -> None:
    loaded = aienergyscore.load_builtin(DatasetConfig(n=3), "/nowhere")
    assert loaded.name == "aienergyscore"
    assert loaded.provenance == aienergyscore.PROVENANCE
    assert loaded.sha256 == hashlib.sha256(aienergyscore.FILE.read_bytes()).hexdigest()
    assert [prompt.text for prompt in loaded.prompts] == aienergyscore.prompts()[:3]


def test_more_than_there_are_is_an_error() -> None:
    with pytest.raises(DatasetError, match=r"it has 1,000 prompts; 1,001 are asked for\. Set dataset\.n to 1,000"):
        aienergyscore.load_builtin(DatasetConfig(n=1_001), "")
