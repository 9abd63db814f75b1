"""The readings file: what is written comes back, however it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llem.measure.series import Series, SeriesReader, Track, device_as_data, device_from, report_rate
from llem.results.models import SamplerReport
from llem.specs.sampler import Device

S = 10**9
GPU = Device(id="GPU-1", name="Card", scope="gpu", methods=frozenset({"counter", "power"}), update_period_s=0.1)
CORE = Device(
    id="rapl:package-0/core",
    name="RAPL",
    scope="cpu",
    methods=frozenset({"counter"}),
    contained_in="rapl:package-0",
    note="a note",
)
HEADER = {
    "format": 1,
    "clock": "CLOCK_MONOTONIC",
    "hz": 10.0,
    "start_ns": S,
    "samplers": [{"name": "meter", "devices": [device_as_data(GPU), device_as_data(CORE)]}],
}


def sweep(k: int | None, t_ns: int, *rows: list[Any]) -> dict[str, Any]:
    return {"k": k, "t": t_ns, "r": list(rows)}


def write(path: Path, *lines: dict[str, Any], tail: bytes = b"") -> None:
    path.write_bytes(b"".join(json.dumps(line).encode() + b"\n" for line in lines) + tail)


@pytest.mark.parametrize("device", [GPU, CORE])
def test_a_device_survives_as_plain_data(device: Device) -> None:
    assert device_from(json.loads(json.dumps(device_as_data(device)))) == device


def test_readings_go_to_the_track_of_their_device(tmp_path: Path) -> None:
    file = tmp_path / "readings.jsonl"
    rows = [[0, S, 1.5, 100.0, {"temperature_c": 40.0}], [1, S + 1, None, None, {}]]
    write(file, HEADER, sweep(0, S, *rows), {"end": "stop"})
    series = SeriesReader(file).update()
    gpu, core = series.tracks
    assert (gpu.key, core.key) == (("meter", "GPU-1"), ("meter", CORE.id))
    assert (gpu.t_ns, gpu.energy_j, gpu.power_w) == ([S], [1.5], [100.0])
    assert gpu.telemetry == [{"temperature_c": 40.0}]
    assert (core.energy_j, core.power_w) == ([None], [None])
    assert series.ended


def test_the_file_is_followed_as_it_grows(tmp_path: Path) -> None:
    file = tmp_path / "readings.jsonl"
    reader = SeriesReader(file)
    assert reader.update().tracks == []
    whole = json.dumps(sweep(0, S, [0, S, 1.0, None, {}])).encode()
    write(file, HEADER, tail=whole[:20])
    assert reader.update().tracks[0].t_ns == []
    with file.open("ab") as stream:
        stream.write(whole[20:] + b"\n")
    assert reader.update().tracks[0].t_ns == [S]
    assert reader.update().tracks[0].t_ns == [S]


@given(cut=st.integers(0, 10_000))
def test_a_file_cut_anywhere_gives_what_was_whole(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    file = tmp_path_factory.mktemp("cut") / "readings.jsonl"
    write(file, HEADER, *(sweep(i, S * (i + 1), [0, S * (i + 1), float(i), None, {}]) for i in range(20)))
    data = file.read_bytes()[:cut]
    file.write_bytes(data)
    tracks = SeriesReader(file).update().tracks
    readings = max(0, data.count(b"\n") - 1)
    assert [len(t.t_ns) for t in tracks[:1]] == ([readings] if b"\n" in data else [])


def test_broken_lines_are_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "readings.jsonl"
    write(
        file, HEADER, tail=b'{"k": 0, \n[1]\n\xff\n' + json.dumps(sweep(1, S, [0, S, 2.0, None, {}])).encode() + b"\n"
    )
    assert SeriesReader(file).update().tracks[0].energy_j == [2.0]


@given(st.lists(st.integers(0, 50), max_size=30))
def test_times_in_a_track_only_ascend(times: list[int]) -> None:
    track = Track("meter", GPU)
    for t in times:
        track.append(t, float(t), None, {})
    assert track.t_ns == sorted(set(track.t_ns))
    assert len(track.t_ns) == len(track.energy_j) == len(track.power_w) == len(track.telemetry)
    assert track.energy_j == [float(t) for t in track.t_ns]


def test_the_rate_that_was_achieved_is_reported() -> None:
    track = Track("meter", GPU)
    begun = [0, 100, 200, 380, 400]  # ms; the fourth came 80 ms late
    for ms in begun:
        track.append(ms * 10**6, 0.0, None, {})
    series = Series([track], hz=10, sweeps=[(i * S // 10, ms * 10**6) for i, ms in enumerate(begun)])
    report = report_rate(series, SamplerReport(name="meter", used=True))
    assert report.requested_hz == 10
    assert report.achieved_hz == pytest.approx(10)
    assert report.readings == 5
    assert report.longest_gap_s == pytest.approx(0.18)
    assert report.late == 1


def test_a_sampler_that_read_nothing_has_no_rate() -> None:
    report = SamplerReport(name="meter", used=False, reason="no device")
    assert report_rate(Series([Track("meter", GPU)], hz=10), report) == report
