"""What the accuracy benchmark makes of errors: rows, goals, the file and the page."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _bench_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(ROOT))
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "bench"]:
        del sys.modules[name]


def test_a_row_has_the_worst_error_of_its_windows(tmp_path: Path) -> None:
    from bench.meters.measuring import TOOLS, Error
    from bench.meters.rows import append, read, rows_of
    from bench.meters.scenarios import Scenario, Window

    scenario, window = Scenario("constant", 0.1, 1), Window(5.0, 0, 5)
    errors = [
        Error(tool, scenario, window, error, warnings)
        for tool, error, warnings in (
            ("llem", 0.001, ()),
            ("llem", 0.03, ()),
            ("zeus", 0.002, ()),
            ("zeus", 0.004, ()),
            ("codecarbon", 0.01, ()),
            ("codecarbon", 0.0, ()),
        )
    ]
    (row,) = rows_of(errors)
    assert (row.errors, row.windows, row.long) == (dict(zip(TOOLS, (0.03, 0.004, 0.01), strict=True)), 2, True)
    assert row.behind == pytest.approx(0.026)
    assert not row.warned
    append(tmp_path / "rows.csv", [row])
    append(tmp_path / "rows.csv", [row])
    again = read(tmp_path / "rows.csv")
    assert [r.errors for r in again] == [pytest.approx(row.errors)] * 2


def test_windows_of_a_scenario_never_overlap_and_are_at_least_as_long_as_they_are_called() -> None:
    from bench.meters.scenarios import scenarios, windows

    assert len(scenarios(quick=False)) == 36
    for scenario in scenarios(quick=False):
        found = windows(scenario, quick=False)
        assert all(w.length_s <= w.end_s - w.begin_s <= w.length_s + scenario.period_s for w in found)
        assert all(a.end_s + scenario.period_s < b.begin_s for a, b in pairwise(found))
        assert found == windows(scenario, quick=False)


def test_the_page_takes_the_table_between_its_marks(tmp_path: Path) -> None:
    from bench.meters import page
    from bench.meters.rows import Row

    file = tmp_path / "method" / "accuracy.md"
    file.parent.mkdir()
    file.write_text(f"before\n{page.BEGIN}\nold\n{page.END}\nafter\n")
    errors = {"llem": 0.0001, "zeus": 0.02, "codecarbon": 0.03}
    page.write([Row("ramp", 0.1, 1, 5.0, 3, errors, ())], tmp_path)
    text = file.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "| 100 ms | 1 | 5 s | 50 | 0.01 % | 2.00 % | 3.00 % |" in text
    assert (tmp_path / "images" / "energy_accuracy.svg").stat().st_size > 1000
