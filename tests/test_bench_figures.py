"""A figure's interval holds the median as often as it says, and there is none where there cannot be one."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from bench.engines.picture import curves, draw
from bench.report import Figure

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("n", [6, 15, 20, 40])
def test_the_interval_holds_the_true_median_in_95_percent_of_all_studies(n):
    noise = random.Random(n)
    held = sum(
        figure.low <= 1.0 <= figure.high
        for figure in (Figure.of([noise.lognormvariate(0, 0.5) for _ in range(n)], "1") for _ in range(4_000))
    )
    assert 0.94 <= held / 4_000 <= 0.985  # exact to the steps of the binomial distribution


def test_fewer_than_six_runs_have_a_median_and_no_interval():
    figure = Figure.of([1.0, 3.0, 2.0, 5.0, 4.0], "s")
    assert (figure.value, figure.low, figure.high, figure.spread) == (3.0, None, None, None)


def test_the_interval_shrinks_with_more_runs():
    noise = random.Random(1)
    few, many = (Figure.of([noise.gauss(1, 0.1) for _ in range(n)], "1") for n in (10, 1_000))
    assert many.spread < few.spread / 3


def test_the_picture_of_engines_under_load_has_a_point_for_each_rate_that_was_measured(tmp_path: Path) -> None:
    kept = json.loads((ROOT / "bench" / "results" / "serving_engines.json").read_text())
    found = curves(kept, "j_per_good_token")
    assert list(found) == ["pytorch", "vllm", "openai"]
    assert all([rate for rate, _, _ in points] == [0.5, 1.0, 2.0, 4.0] for points in found.values())
    assert found["openai"][-1][1:] == (
        kept["figures"]["openai_4rps_j_per_good_token"]["value"],
        kept["figures"]["openai_4rps_attainment"]["value"],
    )
    draw(kept, tmp_path / "picture.svg")
    assert (tmp_path / "picture.svg").stat().st_size > 1000
