"""Engines that do otherwise under a load take a quality run for what it is: batches, each prompt once after a warm-up."""

from __future__ import annotations

from llem_engines.passes import MADE_BY, Passes
from llem_pytorch.serving.settings import ONE_AT_A_TIME


def test_a_quality_run_is_no_load() -> None:
    assert {"offline", "quality"} <= ONE_AT_A_TIME
    assert {"offline", "quality"} <= MADE_BY
    assert Passes("quality", lambda: True).are_emptied
