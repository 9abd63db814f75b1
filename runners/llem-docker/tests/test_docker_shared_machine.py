"""A container beside other load: its own share is told from the machine's, as of a process here, and the result says so."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llem.measure.other_load import DOUBTFUL_FROM
from llem.study.machine_lock import MachineLock

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

METERED = {"measurement.cpu_tdp_w": 100, "measurement.samplers": '["estimate"]'}
"""A figure of the whole machine, whatever meters it has."""

BUSY = """
import sys, time
with open(sys.argv[1], "w", buffering=1) as log:
    while True:
        for _ in range(100_000):
            pass
        print(time.monotonic_ns(), time.process_time(), file=log)
"""


@pytest.fixture
def busy_loop(tmp_path: Path) -> Iterator[Callable[[int, int], float]]:
    """A process of this machine that burns what it gets; gives the CPU seconds that it used between two instants."""
    log = tmp_path / "burnt"
    running = subprocess.Popen([sys.executable, "-c", BUSY, str(log)])

    def burnt(start_ns: int, end_ns: int) -> float:
        told = [tuple(map(float, line.split())) for line in log.read_text().splitlines() if line.count(" ") == 1]
        inside = [used for t_ns, used in told if start_ns <= t_ns <= end_ns]
        return inside[-1] - inside[0] if len(inside) > 1 else 0.0

    yield burnt
    running.kill()
    running.wait()


@pytest.mark.parametrize("limit", [{}, {"runner_options.docker.cpus": 1}], ids=["all CPUs", "one CPU's worth"])
def test_a_busy_loop_beside_the_container_is_told_from_the_experiment(
    bed: str, llem_run: Callable[..., Any], busy_loop: Callable[[int, int], float], limit: dict[str, object]
) -> None:
    result = llem_run(bed, **limit, **METERED, **{"measurement.min_window_s": 4, "testbed.token_s": 0.01}).result
    assert result["status"] == "done", result["failure"]
    (window,) = (phase for phase in result["phases"] if phase["name"] == "window")
    load, seconds = result["other_load"], result["energy"]["window_s"]
    assert load["reason"] is None
    assert load["cores"] == os.cpu_count(), "the machine's, whatever the container may use"
    burnt_s = busy_loop(window["start_ns"], window["end_ns"])
    if burnt_s / load["cores"] / seconds < 2 * load["resolution_share"] + DOUBTFUL_FROM:
        pytest.fail(f"the busy loop got {burnt_s:.3g} CPU seconds only: nothing is shown")
    assert load["window_cpu_s"] >= 0.9 * burnt_s - 0.05
    assert load["own_cpu_s"] < load["window_cpu_s"] + burnt_s, "an engine that sleeps takes next to nothing"
    (warning,) = (w for w in result["warnings"] if w["code"] == "other_load")
    assert f"{load['window_share']:.1%}" in warning["message"]
    assert result["energy"]["headline"]["unreliable"]


def test_another_llem_on_this_machine_is_told_in_the_container_s_result(bed: str, llem_run: Callable[..., Any]) -> None:
    other = MachineLock("another-study")
    other.share()
    try:
        result = llem_run(bed, "--allow-shared", **METERED).result
    finally:
        other.release()
    (warning,) = (w for w in result["warnings"] if w["code"] == "machine_shared")
    assert "another llem that shares the machine" in warning["message"]
