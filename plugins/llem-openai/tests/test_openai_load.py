"""Requests that arrive while others are under way: whatever a server does to one of them is that one's, and the run goes on."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))
from replay import STREAMS, Behaviour, Replay, replaying

pytestmark = [pytest.mark.process, pytest.mark.timeout(240)]

TESTMETER = Path(__file__).parents[3] / "tests" / "testmeter"
SEEN_FROM = 8
"""Probe and warm-up go well; what is wrong begins with this request."""


def whole(replay: Replay) -> None:
    replay.begin("text/event-stream")
    replay.send(STREAMS["tgi"])


def refused(replay: Replay) -> None:
    replay.document(500, {"error": {"message": "no room for you"}})


def garbage(replay: Replay) -> None:
    replay.begin("text/event-stream")
    replay.send(b"data: {not json\n\n")


def no_http(replay: Replay) -> None:
    replay.wfile.write(b"\x00\x01\x02\x03 nothing of the kind\r\n\r\n")
    replay.close_connection = True


def reset(replay: Replay) -> None:
    replay.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    replay.connection.close()


def stalls(replay: Replay) -> None:
    replay.begin("text/event-stream")
    replay.send(STREAMS["tgi"][:200])
    time.sleep(4)


FAULTS: Mapping[str, tuple[Callable[[Replay], None], str]] = {
    "500": (refused, "no room for you"),
    "garbage": (garbage, "no JSON"),
    "no http": (no_http, "does not speak HTTP"),
    "reset": (reset, "does not answer"),
    "stall": (stalls, "nothing of it came for 1 s"),
}


def serve(base: str, folder: Path, **sections: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The result of one load, and its requests."""
    study = {
        "name": "load",
        "model": "small",
        "backend": "openai",
        "openai": {"base_url": f"{base}/it/v1", "timeout_s": 1, "connect_timeout_s": 1},
        "dataset": {"n": 10, "output_tokens": 8, "chat_template": True},
        "measurement": {"scenario": "server", "settle_s": 0, "samplers": ["testmeter"]},
        "baseline": {"enabled": False},
        "warmup": {"enabled": False},
        "load": {"rate_rps": 20, "ramp_s": 0.5, "steady_s": 0, "duration_s": 2, "drain_s": 5},
        **sections,
    }
    (folder / "s.yaml").write_text(yaml.safe_dump(study))
    path = os.pathsep.join([str(TESTMETER), os.environ["PYTHONPATH"]])
    command = [
        sys.executable,
        "-m",
        "llem",
        "run",
        str(folder / "s.yaml"),
        "--no-gaps",
        "--output",
        str(folder / "out"),
    ]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False)
    (file,) = (folder / "out").glob("*/experiments/*/result.json")
    result: dict[str, Any] = json.loads(file.read_text())
    assert result["status"] == "done", f"{result['failure']} {done.stdout}{done.stderr}"
    return result, pq.read_table(file.parent / "requests.parquet").to_pylist()


def test_each_fault_is_the_error_of_its_request_and_ends_nothing_else(tmp_path: Path) -> None:
    numbers: Iterator[int] = itertools.count()
    faults = list(FAULTS.values())

    def handle(replay: Replay, _: Mapping[str, Any]) -> None:
        number = next(numbers)
        wrong = number >= SEEN_FROM and number % 4 == 0
        (faults[number // 4 % len(faults)][0] if wrong else whole)(replay)

    with replaying(Behaviour(handle={"it": handle})) as base:
        result, rows = serve(base, tmp_path)
    errors = [row["error"] for row in rows if row["error"] is not None]
    for name, (_, said) in FAULTS.items():
        assert any(said in error for error in errors), f"{name}: {errors}"
    answered = [row for row in rows if row["finish"] == "length"]
    assert len(answered) > len(errors) > 0
    assert result["scenario_metrics"]["failed_requests"] == sum(bool(row["error"]) and row["inside"] for row in rows)
    assert all(row["output_tokens"] == 8 for row in answered)


def test_answers_end_by_themselves_unless_the_study_says_how_long_they_are(tmp_path: Path) -> None:
    def handle(replay: Replay, _: Mapping[str, Any]) -> None:
        whole(replay)

    for length, fixed in ((None, False), ("fixed", True)):
        behaviour = Behaviour(handle={"it": handle})
        (folder := tmp_path / str(length)).mkdir()
        with replaying(behaviour) as base:
            given = {"decoding": {"length": length}} if length is not None else {}
            result, _ = serve(
                base, folder, load={"rate_rps": 10, "ramp_s": 0, "steady_s": 0, "duration_s": 1, "drain_s": 5}, **given
            )
        assert result["work"] == ("fixed_length" if fixed else "natural_length")
        assert [body.get("ignore_eos", False) for _, body in behaviour.asked][1:] == [fixed] * (
            len(behaviour.asked) - 1
        )


def test_thinking_and_cached_tokens_are_told_of_a_load_too(tmp_path: Path) -> None:
    def handle(replay: Replay, _: Mapping[str, Any]) -> None:
        replay.begin("text/event-stream")
        replay.send(
            STREAMS["deepseek"]
            .replace(b'"cached_tokens":0', b'"cached_tokens":3')
            .replace(b'"cached_tokens": 0', b'"cached_tokens": 3')
        )

    patient = {"timeout_s": 60, "connect_timeout_s": 60}
    load = {"rate_rps": 20, "ramp_s": 0.2, "steady_s": 0, "duration_s": 1, "drain_s": 60}
    with replaying(Behaviour(handle={"it": handle})) as base:
        result, rows = serve(base, tmp_path, openai={"base_url": f"{base}/it/v1", **patient}, load=load)
    told = result["engine_metrics"]
    assert told["thinking_tokens"] % 5 == 0
    assert told["thinking_tokens"] >= 5
    assert told["thinking_pieces"] == told["thinking_tokens"] == 5 / 8 * told["pieces"]
    # One that arrives as the last of the window are answered is given up with the load.
    assert {(row["finish"], row["output_tokens"]) for row in rows if row["inside"]} == {("length", 8)}
    assert {row["finish"] for row in rows if not row["inside"]} <= {"length", None}


def senders_below(pid: int) -> list[psutil.Process]:
    """Processes that send, of those that a process has started."""
    found = []
    with contextlib.suppress(psutil.Error):
        for one in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if any(word.endswith("sender_process.py") for word in one.cmdline()):
                    found.append(one)
    return found


def test_a_load_whose_sender_is_killed_loses_what_that_had_sends_nothing_twice_and_says_so(tmp_path: Path) -> None:
    prompts: Counter[str] = Counter()
    killed: list[psutil.Process] = []

    def handle(replay: Replay, body: Mapping[str, Any]) -> None:
        prompts[str(body.get("messages") or body["prompt"])] += 1
        if prompts.total() == 30:  # in the window
            for sender in senders_below(os.getpid()):
                sender.kill()
                killed.append(sender)
        whole(replay)

    dataset = {"n": 400, "output_tokens": 8, "chat_template": True}
    with replaying(Behaviour(handle={"it": handle})) as base:
        result, rows = serve(base, tmp_path, dataset=dataset)
    assert len(killed) == 1
    told = {warning["code"]: warning["message"] for warning in result["warnings"]}
    lost = [row for row in rows if row["error"] is not None]
    assert lost
    assert all("the process that sends requests died, by SIGKILL" in row["error"] for row in lost)
    assert f"by SIGKILL: {len(lost)} requests that it had" in told["sender_died"]
    assert "requests_lost" in told
    assert sum(row["finish"] == "length" for row in rows) > 20 + len(lost)  # those that came later left without it
    assert max(prompts.values()) == 1
    assert not any(one.is_running() for one in killed)
    assert not senders_below(os.getpid())
