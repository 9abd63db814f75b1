"""A server that `openai.pid` names: its processes are the experiment's own, and where it is not what it should be that is told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llem.errors import ModelError
from llem_openai.listening import free_port, listeners
from llem_openai.server import NamedServer

sys.path.insert(0, str(Path(__file__).parent))
from asking import ask, engine_on

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]

PROGRAM = str(Path(__file__).parent / "server_program.py")
TESTMETER = Path(__file__).parents[3] / "tests" / "testmeter"

LOAD = {
    "measurement.scenario": "server",
    "load.rate_rps": 10,
    "load.ramp_s": 0.2,
    "load.steady_s": 0,
    "load.duration_s": 1,
}


class Program:
    """A server in a session of its own, as a user starts one."""

    def __init__(self, *options: str) -> None:
        self.port = free_port()
        self.process = subprocess.Popen(
            [sys.executable, PROGRAM, str(self.port), *options], stdout=subprocess.PIPE, start_new_session=True
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline().startswith(b"serving at")

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def end(self) -> None:
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process.kill()
        self.process.wait()


@pytest.fixture
def program() -> Iterator[Program]:
    one = Program()
    yield one
    one.end()


def test_it_is_asked_named_to_the_core_and_goes_on(program: Program) -> None:
    with engine_on(program.address, {"pid": program.process.pid}) as (engine, report):
        assert ask(engine).output_tokens == 8
        assert report.processes == (program.process.pid,)
        assert report.elsewhere is None
        assert "named by openai.pid" in report.effective["server_runs_on"]
    assert program.process.poll() is None


def test_a_pid_that_is_not_there_is_told(program: Program) -> None:
    with pytest.raises(ModelError, match="there is no process 4194303"), engine_on(program.address, {"pid": 2**22 - 1}):
        pass


def test_a_process_that_does_not_listen_there_is_told(program: Program) -> None:
    with (
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other,
        pytest.raises(ModelError, match=rf"process {other.pid} \(.+\) does not listen on port {program.port}"),
        engine_on(program.address, {"pid": other.pid}),
    ):
        pass


def test_a_parent_of_the_one_that_listens_is_taken(program: Program) -> None:
    assert listeners((program.process.pid,), program.port) == {program.process.pid}
    assert NamedServer(os.getpid(), program.port).processes()


def test_a_server_elsewhere_has_no_pid_here(program: Program) -> None:
    with (
        pytest.raises(ModelError, match=r"openai\.pid is a server on this machine, and 192\.0\.2\.7 is another one"),
        engine_on("http://192.0.2.7:8000/v1", {"pid": program.process.pid}),
    ):
        pass


def test_one_that_ends_in_the_run_is_told_by_its_pid(program: Program) -> None:
    with engine_on(program.address, {"pid": program.process.pid}) as (engine, _):
        program.process.kill()
        program.process.wait()
        for asked in (engine.memory, lambda: ask(engine)):
            with pytest.raises(ModelError, match=rf"process {program.process.pid} .* has ended"):
                asked()


def ask_for_long(ask_once: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        ask_once()
        time.sleep(0.1)


def test_a_child_that_serves_and_ends_is_told_though_the_process_that_was_named_runs() -> None:
    port = free_port()
    script = f"{sys.executable} {PROGRAM} {port} --die 2 & sleep 600"
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True) as shell:
        try:
            assert shell.stdout is not None
            assert shell.stdout.readline().startswith(b"serving at")
            with engine_on(f"http://127.0.0.1:{port}/v1", {"pid": shell.pid}) as (engine, _):
                assert ask(engine).output_tokens == 8
                told = rf"nothing of it has listened on port {port} for 2 s, though process {shell.pid} "
                with pytest.raises(ModelError, match=told):
                    ask_for_long(engine.memory)
        finally:
            os.killpg(shell.pid, signal.SIGKILL)


def command(address: str, output: Path, **settings: object) -> list[str]:
    values = {
        "openai.base_url": address,
        "dataset.n": 4,
        "dataset.output_tokens": 8,
        "measurement.min_window_s": 0.5,
        "measurement.settle_s": 0,
        "measurement.samplers": '["testmeter"]',
        "warmup.enabled": "false",
        "baseline.enabled": "false",
        **settings,
    }
    words = [sys.executable, "-m", "llem", "run", "--model", "small", "--backend", "openai", "--no-gaps"]
    return [*words, "--output", str(output), *(w for k, v in values.items() for w in ("--set", f"{k}={v}"))]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTMETER), os.environ["PYTHONPATH"]])}


def result_in(output: Path) -> dict[str, Any]:
    (file,) = output.glob("*/experiments/*/result.json")
    result: dict[str, Any] = json.loads(file.read_text())
    return result


def test_what_it_computes_is_the_experiment_s_own_and_no_other_load(tmp_path: Path) -> None:
    burning = Program("--burn", "llem-burning")
    try:
        pid = {"openai.pid": burning.process.pid}
        for name, given in (("named", pid), ("under load", {**pid, **LOAD}), ("unnamed", {})):
            subprocess.run(
                command(burning.address, tmp_path / name, **given), env=environment(), capture_output=True, check=True
            )
    finally:
        burning.end()
    named, loaded, unnamed = (result_in(tmp_path / name) for name in ("named", "under load", "unnamed"))
    for result in (named, loaded, unnamed):
        assert result["energy"]["headline"]["mean_w"] == pytest.approx(50, rel=0.01)
    assert "llem-burning" in unnamed["other_load"]["busiest_s"]
    for result in (named, loaded):
        assert "llem-burning" not in result["other_load"]["busiest_s"]
        assert result["other_load"]["own_cpu_s"] > 0


def test_a_run_in_which_it_ends_is_failed_and_names_it(program: Program, tmp_path: Path) -> None:
    words = command(program.address, tmp_path, **{"openai.pid": program.process.pid, "measurement.min_window_s": 120})
    with subprocess.Popen(words, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as study:
        while study.poll() is None and not is_in_its_window(tmp_path):
            time.sleep(0.05)
        program.process.kill()
        program.process.wait()
        assert study.wait(100) == 1
    failure = result_in(tmp_path)["failure"]
    assert failure["phase"] == "window"
    assert f"process {program.process.pid} (" in failure["message"]


def is_in_its_window(output: Path) -> bool:
    files = list(output.glob("*/experiments/*/events.jsonl"))
    lines = [
        json.loads(line) for file in files for line in file.read_text().splitlines(keepends=True) if line.endswith("\n")
    ]
    return any(
        (line.get("event"), line.get("name"), line.get("state")) == ("phase", "window", "start") for line in lines
    )
