"""The sampling process: samples on a schedule, answers, and ends with its worker whatever becomes of that."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llem.errors import LlemError
from llem.measure.sampling import SamplingSchedule
from llem.measure.sampling_process import SamplingProcess
from llem.measure.series import Series, SeriesReader
from llem.results.job_directory import EVENTS, READINGS
from llem_plugin_kit.processes import is_alive

pytestmark = pytest.mark.process

ESTIMATE = {"estimate": "llem.samplers.estimate:EstimateSampler"}
SETTINGS = {"cpu_tdp_w": 100.0, "devices": None}
PARENT = """
import sys, time
from pathlib import Path
from llem.measure.sampling_process import SamplingProcess
process = SamplingProcess(Path(sys.argv[1]))
process.start({"estimate": "llem.samplers.estimate:EstimateSampler"}, 50, {"cpu_tdp_w": 100.0, "devices": None})
print(process.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def process(tmp_path: Path) -> Iterator[SamplingProcess]:
    made = SamplingProcess(tmp_path)
    yield made
    made.end()


def wait_for(done: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 30
    while not done():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.01)


def read(folder: Path) -> Series:
    return SeriesReader(folder / READINGS).update()


def gone(pid: int) -> bool:
    return not is_alive(pid)


def test_it_samples_until_it_is_told_to_stop(process: SamplingProcess, tmp_path: Path) -> None:
    assert process.start(ESTIMATE, 100, SETTINGS) == {}
    wait_for(lambda: len(read(tmp_path).sweeps) >= 5, "sampling")
    process.end()
    assert not process.alive
    series = read(tmp_path)
    assert series.ended
    assert series.hz == 100
    (track,) = series.tracks
    assert track.device.id == "estimate:cpu"
    assert len(track.t_ns) >= 5
    assert track.energy_j == sorted(v for v in track.energy_j if v is not None)
    assert gone(process.pid)


def test_a_mark_is_a_reading_of_that_instant(process: SamplingProcess, tmp_path: Path) -> None:
    process.start(ESTIMATE, 0.1, SETTINGS)
    before = time.monotonic_ns()
    marked = process.mark()
    assert marked is not None
    assert before <= marked <= time.monotonic_ns()
    assert read(tmp_path).tracks[0].t_ns[-1] == marked


def test_ending_twice_is_harmless(process: SamplingProcess) -> None:
    process.start(ESTIMATE, 10, SETTINGS)
    process.end()
    process.end()
    assert process.mark() is None


def test_a_sampler_that_does_not_open_there_is_reported_and_the_rest_sample(
    process: SamplingProcess, tmp_path: Path
) -> None:
    refused = process.start({"none": "no_such_package_here:Sampler", **ESTIMATE}, 50, SETTINGS)
    assert list(refused) == ["none"]
    assert "no_such_package_here" in refused["none"]
    assert [t.sampler for t in read(tmp_path).tracks] == ["estimate"]


def test_a_folder_that_is_not_there_is_an_error_and_leaves_no_process(tmp_path: Path) -> None:
    process = SamplingProcess(tmp_path / "absent")
    with pytest.raises(LlemError, match="did not start"):
        process.start(ESTIMATE, 10, SETTINGS)
    assert not process.alive


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_it_dies_with_its_worker(tmp_path: Path, how: signal.Signals) -> None:
    worker = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    pid = int(worker.stdout.readline())
    assert not gone(pid)
    worker.send_signal(how)
    worker.wait()
    worker.stdout.close()
    wait_for(lambda: gone(pid), "the end of the sampling process")
    assert {p.name for p in tmp_path.iterdir()} == {READINGS, EVENTS}


def test_a_killed_one_is_seen_and_what_it_read_is_kept(process: SamplingProcess, tmp_path: Path) -> None:
    process.start(ESTIMATE, 100, SETTINGS)
    wait_for(lambda: len(read(tmp_path).sweeps) >= 3, "sampling")
    os.kill(process.pid, signal.SIGKILL)
    wait_for(lambda: not process.alive, "its death")
    assert process.mark() is None
    process.end()
    series = read(tmp_path)
    assert not series.ended
    assert series.tracks[0].t_ns


def test_ctrl_c_leaves_it_to_the_worker(process: SamplingProcess, tmp_path: Path) -> None:
    process.start(ESTIMATE, 100, SETTINGS)
    os.kill(process.pid, signal.SIGINT)
    seen = len(read(tmp_path).sweeps)
    wait_for(lambda: len(read(tmp_path).sweeps) > seen + 2, "sampling after SIGINT")
    assert process.alive


def test_sigterm_ends_it_in_order(process: SamplingProcess, tmp_path: Path) -> None:
    process.start(ESTIMATE, 10, SETTINGS)
    os.kill(process.pid, signal.SIGTERM)
    wait_for(lambda: not process.alive, "its end")
    assert process.how == "exit code 0"
    assert json.loads((tmp_path / READINGS).read_text().splitlines()[-1]) == {"end": "terminated"}


def test_without_an_order_it_does_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "llem.measure.sampling", str(tmp_path)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert list(tmp_path.iterdir()) == []


def test_an_order_of_another_worker_is_not_taken(tmp_path: Path) -> None:
    order = json.dumps({"worker": 1, "hz": 10, "settings": {}, "samplers": []}) + "\n"
    command = [sys.executable, "-m", "llem.measure.sampling", str(tmp_path)]
    done = subprocess.run(command, input=order, text=True, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0
    assert list(tmp_path.iterdir()) == []


@given(st.floats(0.1, 1000), st.lists(st.integers(0, 3 * 10**9), min_size=1, max_size=50))
def test_the_schedule_never_drifts_and_never_catches_up(hz: float, delays: list[int]) -> None:
    schedule, now = SamplingSchedule(0, hz), 0
    for delay in delays:
        slot = schedule.slot
        now = max(now, schedule.due_ns) + delay
        schedule.advance(now)
        assert schedule.slot > slot
        assert schedule.due_ns == round(schedule.slot * 1e9 / hz)
        assert schedule.due_ns > now - 2
        assert schedule.due_ns - now <= 1e9 / hz + 2
