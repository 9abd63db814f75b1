"""Readings of the meters stay with an experiment that failed, in the same table as everywhere."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from llem.results.job_directory import EVENTS, READINGS, TIMESERIES
from llem.runners.readings import keep_series

S = 10**9
DEVICE = {
    "id": "GPU-1",
    "name": "Card",
    "scope": "gpu",
    "methods": ["power"],
    "contained_in": None,
    "update_period_s": None,
    "note": None,
}


def write(folder: Path, *, readings: int = 20, opened_s: float | None = None, torn: bool = False) -> None:
    header = {"format": 1, "clock": "CLOCK_MONOTONIC", "hz": 20, "start_ns": S}
    lines: list[dict[str, object]] = [{**header, "samplers": [{"name": "nvml", "devices": [DEVICE]}]}]
    for i in range(readings):
        t_ns = S + i * S // 20
        lines.append({"k": i, "t": t_ns, "r": [[0, t_ns, None, 100.0, {}]]})
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / READINGS).write_text(text[:-7] if torn else text)
    if opened_s is not None:
        event = {"event": "phase", "name": "window", "state": "start", "t_ns": round(opened_s * S)}
        (folder / EVENTS).write_text(json.dumps(event) + "\n")


def test_readings_become_the_table_with_the_window_at_zero(tmp_path: Path) -> None:
    write(tmp_path, opened_s=1.5)
    (report,) = keep_series(tmp_path)
    assert (report.name, report.used, report.devices, report.readings) == ("nvml", True, ["GPU-1"], 20)
    assert report.achieved_hz == pytest.approx(20)
    times = pq.read_table(tmp_path / TIMESERIES)["t_s"].to_pylist()
    assert (times[0], times[10]) == (pytest.approx(-0.5), pytest.approx(0))
    assert not (tmp_path / READINGS).exists()


def test_before_the_window_times_count_from_the_first_reading(tmp_path: Path) -> None:
    write(tmp_path)
    keep_series(tmp_path)
    assert pq.read_table(tmp_path / TIMESERIES)["t_s"].to_pylist()[0] == 0


def test_a_line_that_was_cut_off_costs_itself_alone(tmp_path: Path) -> None:
    write(tmp_path, torn=True)
    assert keep_series(tmp_path)[0].readings == 19


def test_without_readings_nothing_is_made(tmp_path: Path) -> None:
    assert keep_series(tmp_path) == []
    write(tmp_path, readings=0)
    assert keep_series(tmp_path) == []
    assert [path.name for path in tmp_path.iterdir()] == [READINGS]


def test_readings_that_cannot_be_read_stay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path)
    text = (tmp_path / READINGS).read_text() + '{"k": 1, "t": 5, "r": [[9, 5, null, 1.0, {}]]}\n'
    (tmp_path / READINGS).write_text(text)
    assert keep_series(tmp_path) == []
    assert (tmp_path / READINGS).read_text() == text
    assert "is kept as it is" in capsys.readouterr().err
