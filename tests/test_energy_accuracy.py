"""The accuracy benchmark's account of errors: rows, goals, the file and the page."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent


def measured(length_s: float = 5.0, **errors: list[float]) -> list[Any]:
    """Windows of 1 kJ by each tool, off by these shares between the instants asked for; a tenth between own edges."""
    from bench.meters.measuring import Measured
    from bench.meters.scenarios import Scenario, Window

    scenario, window = Scenario("constant", 0.1, 1), Window(length_s, 0, length_s)
    return [
        Measured(tool, scenario, window, error / 10, error, 1000.0, (0.1, 0.2), (3.0, 9.0) if tool == "llem" else None)
        for tool, found in errors.items()
        for error in found
    ]


def test_a_row_has_the_worst_error_by_own_edges_and_the_median_by_those_asked_for(tmp_path: Path) -> None:
    from bench.meters.rows import append, read, rows_of

    (row,) = rows_of(measured(llem=[0.001, 0.3, 0.002], zeus=[0.002, 0.004, 0.006], codecarbon=[0.01, 0.0, 0.05]))
    assert (row.windows, row.long, row.warned) == (3, True, False)
    assert row.own == pytest.approx({"llem": 0.03, "zeus": 0.0006, "codecarbon": 0.005})
    assert row.asked == pytest.approx({"llem": 0.002, "zeus": 0.004, "codecarbon": 0.01})
    assert row.asked_worst["llem"] == 0.3
    assert row.excess == pytest.approx(-0.001)  # of -0.001, +0.3 and -0.004, each against the better one of that window
    assert (row.late_ms, row.moved_ms) == (0.2, 9.0)
    append(tmp_path / "rows.csv", [row])
    append(tmp_path / "rows.csv", [row])
    again = read(tmp_path / "rows.csv")
    assert [r.asked for r in again] == [pytest.approx(row.asked)] * 2
    assert [(r.excess, r.warned, r.long) for r in again] == [(pytest.approx(row.excess), False, True)] * 2


@pytest.mark.parametrize(
    ("ours", "behind"),
    [
        ([0.00109] * 20, False),  # below what is told
        ([0.0015] * 20, True),
        ([0.0015] * 12 + [0.0001] * 8, False),  # within its own interval
        ([0.0001] * 20, False),
    ],
)
def test_a_row_is_behind_where_the_median_excess_is_beyond_resolution_and_interval(
    ours: list[float], behind: bool
) -> None:
    from bench.meters.rows import rows_of

    (row,) = rows_of(measured(llem=ours, zeus=[0.001] * 20, codecarbon=[0.2] * 20))
    assert row.behind is behind


def test_a_row_at_the_bound_is_told_and_not_compared() -> None:
    from bench.meters.rows import bound_of, rows_of
    from bench.meters.scenarios import Scenario

    scenario = Scenario("constant", 0.1, 1)
    bound = bound_of(scenario, 1000.0)
    assert bound == pytest.approx(2 * 300 * 0.00005 / 1000)
    assert bound_of(Scenario("square 5 s", 0.1, 1), 1000.0) > bound
    (row,) = rows_of(measured(llem=[bound] * 9, zeus=[bound / 2] * 9, codecarbon=[0.0] * 9))
    assert (row.at_bound, row.behind) == (True, False)
    (row,) = rows_of(measured(llem=[bound] * 9, zeus=[bound / 2] * 9, codecarbon=[0.1] * 9))
    assert not row.at_bound


def test_the_interval_of_an_excess_is_that_of_its_order_statistics() -> None:
    from bench.meters.rows import median_half_width

    assert median_half_width([float(i) for i in range(1, 21)]) == (15 - 6) / 2
    assert median_half_width([1.0] * 6) == 0
    assert median_half_width([1.0] * 5) == float("inf")


def test_no_figure_is_as_wrong_as_none_of_the_energy() -> None:
    from bench.meters.measuring import error_of

    assert (error_of(None, 5.0), error_of(0.0, 5.0), error_of(4.0, 5.0)) == (1.0, 1.0, pytest.approx(0.2))


@pytest.mark.parametrize("quick", [True, False])
def test_each_row_has_twenty_windows_whose_edges_are_apart_and_no_tracker_is_lacking(quick: bool) -> None:
    from bench.meters.scenarios import APART_S, QUICK_WINDOWS_S, WINDOWS_S, scenarios, windows

    trackers = int(re.findall(r"TRACKERS = (\d+)", (ROOT / "bench" / "meters" / "with_codecarbon.py").read_text())[0])
    assert len(scenarios(quick)) == (3 if quick else 36)
    for scenario in scenarios(quick):
        found = windows(scenario, quick)
        assert Counter(w.length_s for w in found) == dict.fromkeys(QUICK_WINDOWS_S if quick else WINDOWS_S, 20)
        assert all(w.length_s <= w.end_s - w.begin_s <= w.length_s + scenario.period_s for w in found)
        edges = sorted(edge for w in found for edge in (w.begin_s, w.end_s))
        assert all(b - a >= APART_S for a, b in pairwise(edges))
        assert max(sum(w.begin_s <= t <= w.end_s for w in found) for t in edges) <= trackers
        assert list(found) == list(windows(scenario, quick))


def test_the_page_takes_the_table_between_its_marks(tmp_path: Path) -> None:
    from bench.meters import page
    from bench.meters.rows import rows_of

    file = tmp_path / "method" / "accuracy.md"
    file.parent.mkdir()
    file.write_text(f"before\n{page.BEGIN}\nold\n{page.END}\nafter\n")
    rows = rows_of(measured(llem=[0.001] * 20, zeus=[0.02] * 20, codecarbon=[0.03] * 20))
    page.write(rows, tmp_path)
    text = file.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    cells = "0.01 % | 0.20 % | 0.30 % | 0.10 % (0.10 %) | 2.00 % (2.00 %) | 3.00 % (3.00 %) | 0.00 %"
    assert f"| 100 ms | 1 | 5 s | 50 | {cells} |" in text
    assert "ahead of the better of the other two on 1 rows and behind on 0;" in text
    assert (tmp_path / "images" / "energy_accuracy.svg").stat().st_size > 1000
