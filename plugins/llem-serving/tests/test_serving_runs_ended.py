"""Whole experiments that end before their time: by Ctrl+C in each phase, by saturation, and with an engine that does not let go."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest
from study_run import Serve, StudyRun, codes

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]


def belonging(folder: Path) -> list[str]:
    """Command lines of the processes that know of this folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder).encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def wait_for(study: StudyRun, phase: str) -> None:
    """Until the worker has said that it is in this phase of the load."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        for job in study.jobs():
            events = job / "events.jsonl"
            if events.exists() and any(
                json.loads(line).get("what") == phase for line in events.read_text().split("\n")[:-1]
            ):
                return
        time.sleep(0.05)
    raise AssertionError(f"{phase} was never reached")


@pytest.mark.parametrize(
    ("phase", "load"),
    [
        ("ramp", {"ramp_s": 60}),
        ("window", {"ramp_s": 0.2, "duration_s": 60}),
        ("drain", {"ramp_s": 0.2, "duration_s": 1.5, "drain_s": 60}),
    ],
)
@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_in_any_phase_leaves_nothing_running(
    tmp_path: Path, phase: str, load: dict[str, float], times: int
) -> None:
    # Requests that never end keep the drain open, and ignore being cancelled as well.
    study = StudyRun(tmp_path, {"load": load, "loadbed": {"deaf_every": 5}})
    started = study.start()
    wait_for(study, phase)
    for _ in range(times):
        started.send_signal(signal.SIGINT)
        time.sleep(0.5)
    _, said = started.communicate(timeout=60)
    assert started.returncode == 130, said
    assert belonging(tmp_path) == []
    (result,) = study.ran(said).results
    assert result["status"] == "failed"
    assert result["failure"]["type"] == "Interrupted"
    if times == 1:
        # The worker ended by itself, in the time that it has for that, and was not killed.
        (job,) = study.jobs()
        events = [json.loads(line) for line in (job / "events.jsonl").read_text().splitlines()]
        assert [one["type"] for one in events if one["event"] == "failure"] == ["Interrupted"]


def test_requests_that_never_end_hold_nothing_up_past_the_drain(serve: Serve) -> None:
    ran = serve(load={"drain_s": 0.5, "duration_s": 1.5}, loadbed={"deaf_every": 4})
    (result,), (rows,) = ran.results, ran.requests
    assert result["status"] == "done", result["failure"]
    assert {"requests_lost", "cancellation_ignored"} <= codes(result)
    metrics = result["scenario_metrics"]
    assert metrics["unanswered_requests"] == sum(row["finish"] == "unanswered" for row in rows) > 0
    close = next(phase for phase in result["phases"] if phase["name"] == "close")
    # Drain and cancelling are over after 1.5 s; a request that goes on would hold it open for ever.
    assert close["end_ns"] - close["start_ns"] < 30e9


def test_a_run_that_saturates_ends_early_and_says_how_many_wait(serve: Serve) -> None:
    ran = serve(
        loadbed={"max_batch": 1, "base_s": 0.005, "request_s": 0.005},
        load={"rate_rps": 40, "steady_s": 300, "duration_s": 30, "parts": 30, "drain_s": 0.5},
    )
    (result,) = ran.results
    assert result["status"] == "done", result["failure"]
    (said,) = (one["message"] for one in result["warnings"] if one["code"] == "saturated")
    assert "were waiting or under way" in said
    assert "of the 30 s of load.duration_s" in said
    assert result["energy"]["window_s"] < 5
    assert result["energy"]["headline"]["energy_j"] > 0
    assert result["tokens"]["output"] > 0
