"""Counts that are kept beside an engine which tells of few things: what it does not tell is in no figure."""

from __future__ import annotations

import time

from llem_engines.counts import Counts


def test_an_engine_that_tells_neither_hits_nor_lost_places_has_no_figure_of_them() -> None:
    counts = Counts()
    now = time.monotonic_ns()
    counts.sent({"a": 10}, now)
    counts.arrived("a", now + 1000, has_tokens=True, cached=None, is_over=False)
    counts.arrived("a", now + 2000, has_tokens=True, cached=None, is_over=True)
    figures = counts.figures()
    assert figures["running_peak"] == 1
    assert not {"preemptions", "prefix_cache_hit_tokens"} & figures.keys()


def test_an_engine_that_tells_them_has_both() -> None:
    counts = Counts()
    now = time.monotonic_ns()
    counts.sent({"a": 10, "b": 10}, now)
    counts.arrived("a", now + 1000, has_tokens=True, cached=4, retractions=0, is_over=False)
    counts.arrived("a", now + 2000, has_tokens=True, cached=9, retractions=2, is_over=True)
    counts.arrived("b", now + 3000, has_tokens=True, cached=0, retractions=0, is_over=True)
    counts.arrived("b", now + 4000, has_tokens=True, cached=0, retractions=5, is_over=True)
    figures = counts.figures()
    assert (figures["prefix_cache_hit_tokens"], figures["prefix_cache_queried_tokens"]) == (4, 20)
    assert figures["preemptions"] == 2
