"""The interval of an attainment: its arithmetic, and how often it holds the truth where requests of a part hang together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llem_serving.judging import PartCount, ShareInterval, share_interval

COUNTS = st.integers(0, 200).flatmap(lambda n: st.builds(PartCount, st.just(n), st.integers(0, n), st.integers(0, n)))


def interval(parts: list[tuple[int, int]], above: list[int] | None = None) -> ShareInterval:
    halves = above or [total // 2 for _, total in parts]
    found = share_interval([PartCount(total, kept, half) for (kept, total), half in zip(parts, halves, strict=True)])
    assert found is not None
    return found


@given(st.lists(COUNTS, max_size=30))
def test_the_interval_holds_the_share_and_stays_within_0_and_1(parts: list[PartCount]) -> None:
    found = share_interval(parts)
    n = sum(part.requests for part in parts)
    if found is None:
        assert sum(part.requests > 0 for part in parts) < 2 or len(parts) > 5
    else:
        assert 0 <= found.low <= sum(part.kept for part in parts) / n <= found.high <= 1
        assert found.effective_requests <= n


def test_one_part_has_no_interval() -> None:
    assert share_interval([PartCount(100, 90)]) is None
    assert share_interval([PartCount(100, 90), PartCount(0, 0)]) is None
    assert share_interval([]) is None


def test_few_parts_say_so() -> None:
    assert interval([(90, 100)] * 4).note is not None
    assert interval([(90, 100)] * 5).note is None


def test_where_all_are_kept_the_interval_still_has_a_width() -> None:
    found = interval([(200, 200)] * 5)
    assert found.high == 1
    assert 0.98 < found.low < 0.995


def test_parts_that_differ_make_it_wider() -> None:
    alike, unlike = interval([(90, 100)] * 5), interval([(100, 100), (100, 100), (100, 100), (100, 100), (50, 100)])
    assert unlike.high - unlike.low > 3 * (alike.high - alike.low)
    assert alike.effective_requests == 500


def test_without_misses_the_median_tells_how_requests_hang_together() -> None:
    together = interval([(200, 200)] * 5, above=[0, 200, 200, 0, 100])
    assert together.low < interval([(200, 200)] * 5, above=[100] * 5).low - 0.1


def test_neighbours_of_many_parts_are_brought_together() -> None:
    assert [interval([(9, 10)] * parts).groups for parts in (4, 5, 6, 9, 10, 59, 60, 200)] == [4, 5, 5, 5, 5, 5, 6, 20]


def test_more_parts_never_make_it_wider_by_themselves() -> None:
    widths = [found.high - found.low for parts in range(2, 130) for found in [interval([(90, 100)] * parts)]]
    assert widths == sorted(widths, reverse=True)


@given(st.lists(COUNTS, min_size=2, max_size=40), st.lists(COUNTS, min_size=1, max_size=40))
def test_more_parts_rest_on_no_fewer_groups(parts: list[PartCount], more: list[PartCount]) -> None:
    told = [PartCount(one.requests + 1, one.kept, one.above) for one in parts]
    before, after = (
        share_interval(told),
        share_interval([*told, *(PartCount(m.requests + 1, m.kept, m.above) for m in more)]),
    )
    assert before is not None
    assert after is not None
    assert after.groups >= before.groups


def test_equal_independent_parts_give_wilsons_interval_with_students_t() -> None:
    found = interval([(90, 100)] * 5)
    t, n, p = 2.7764451, 500, 0.9
    middle = (p + t * t / (2 * n)) / (1 + t * t / n)
    half = t / (1 + t * t / n) * (p * (1 - p) / n + t * t / (4 * n * n)) ** 0.5
    assert (found.low, found.high) == pytest.approx((middle - half, middle + half))


def queue(load: float, seeds: int, n: int, servers: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Arrivals and waits of `seeds` queues M/M/k with a mean service of 1, by the recursion of Kiefer and Wolfowitz."""
    generator = np.random.default_rng(12)
    arrivals = np.cumsum(generator.exponential(1 / (load * servers), (seeds, n)), axis=1)
    service = generator.exponential(1.0, (seeds, n))
    free, rows, waits = np.zeros((seeds, servers)), np.arange(seeds), np.empty((seeds, n))
    for place in range(n):
        server = free.argmin(axis=1)
        start = np.maximum(arrivals[:, place], free[rows, server])
        free[rows, server] = start + service[:, place]
        waits[:, place] = start - arrivals[:, place]
    return arrivals, waits


@pytest.mark.parametrize(
    ("load", "parts"),
    [(0.5, 3), (0.7, 3), (0.7, 5), (0.7, 9), (0.7, 10), (0.85, 5), (0.85, 10), (0.85, 14), (0.85, 30)],
)
def test_it_holds_the_truth_where_requests_wait_together(load: float, parts: int) -> None:
    """In 85 % of 300 windows of a queue at least, with 200 requests a part, for attainments of 50, 90 and 99 %; in 92 % over these.

    Measured: 87 to 100 %, and 94 % on average. An interval that takes requests for independent: 5 to 70 %.
    """
    seeds, warm = 300, 800
    arrivals, waits = queue(load, seeds, warm + int(parts * 200 * 1.4))
    latency = waits + 0.01 * np.random.default_rng(1).exponential(1, waits.shape)
    opened, length = arrivals[:, warm], 200 / (load * 8)
    coverage, naive = [], []
    for share in (0.5, 0.9, 0.99):
        limit = np.quantile(latency[:, warm : warm + parts * 200], share)
        truth = (latency[:, warm : warm + parts * 200] <= limit).mean()
        for seed in range(seeds):
            place = ((arrivals[seed] - opened[seed]) // length).astype(int)
            inside = (place >= 0) & (place < parts)
            seen, place = latency[seed][inside], place[inside]
            total, kept, above = (
                np.bincount(place[chosen], minlength=parts)
                for chosen in (seen > -1, seen <= limit, seen > np.median(seen))
            )
            found = share_interval(
                [PartCount(int(n), int(k), int(m)) for n, k, m in zip(total, kept, above, strict=True)]
            )
            assert found is not None
            coverage.append(found.low <= truth <= found.high)
            n, p = total.sum(), kept.sum() / total.sum()
            naive.append(abs(p - truth) <= 1.96 * np.sqrt(truth * (1 - truth) / n))
    each = np.reshape(coverage, (3, seeds)).mean(axis=1)
    assert each.min() >= 0.85, each
    assert each.mean() >= 0.92, each
    assert np.mean(naive) < 0.7


@pytest.mark.parametrize(("groups", "each"), [(2, 13), (3, 3), (3, 7), (3, 34)])
def test_rounding_takes_no_end_past_the_share(groups: int, each: int) -> None:
    assert interval([(each, each)] * groups, above=[0] * groups).high == 1
    assert interval([(0, each)] * groups, above=[0] * groups).low == 0
