"""A server that `openai.serve` starts: it answers, it is the experiment's own, and nothing of it is left."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydantic import ValidationError

from llem.errors import ModelError
from llem.specs.check import PreflightContext
from llem_openai.config import OpenaiConfig
from llem_openai.listeners import GONE_S, Listeners
from llem_openai.listening import anybody_listens, free_port, listeners
from llem_openai.preflight import check_server
from llem_openai.started_server import LOG, StartedServer
from llem_plugin_kit.processes import is_alive

sys.path.insert(0, str(Path(__file__).parent))
from asking import ask, engine_on
from openai_server import KEY, Behaviour, serving

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]

PROGRAM = str(Path(__file__).parent / "server_program.py")
TESTMETER = Path(__file__).parents[3] / "tests" / "testmeter"
PATIENCE_S = 30.0


def command(*options: str) -> list[str]:
    return [sys.executable, PROGRAM, "{port}", *options]


def address() -> str:
    return f"http://127.0.0.1:{free_port()}/v1"


def eventually(holds: Callable[[], bool]) -> bool:
    """True as soon as it holds; False where it never does."""
    end = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def is_gone(pid: int) -> bool:
    return not is_alive(pid)


def test_it_is_waited_for_and_ends_with_all_its_children(tmp_path: Path) -> None:
    with engine_on(address(), {"serve": command("--after", "0.5", "--child")}, job_dir=tmp_path) as (engine, report):
        assert ask(engine).output_tokens == 8
        log = (tmp_path / LOG).read_text()
        child, server = int(log.split()[1]), int(log.split()[-1])
        assert not is_gone(child)
        assert report.elsewhere is None
        assert report.devices
        assert report.processes == ()
        assert report.effective["serve"][1] == PROGRAM
    assert is_gone(server)
    assert is_gone(child)


def test_one_that_takes_no_sigterm_is_killed(tmp_path: Path) -> None:
    with engine_on(address(), {"serve": command("--stubborn")}, job_dir=tmp_path):
        server = int((tmp_path / LOG).read_text().split()[-1])
    assert is_gone(server)


def test_one_that_ends_before_it_answers_is_told_with_code_and_log(tmp_path: Path) -> None:
    with (
        pytest.raises(ModelError, match=r"ended before it answered, with exit code 7\. .*the weights are not there"),
        engine_on(address(), {"serve": command("--fail")}, job_dir=tmp_path),
    ):
        pass


def test_one_that_does_not_answer_in_time_is_told_and_ended(tmp_path: Path) -> None:
    before = set(psutil.Process().children(recursive=True))
    options = {"serve": command("--after", "600"), "serve_timeout_s": 0.5}
    with pytest.raises(ModelError, match=r"has not answered for 0\.5 s"), engine_on(address(), options):
        pass
    assert set(psutil.Process().children(recursive=True)) == before


def test_a_program_that_is_not_there_is_told_before_anything_starts() -> None:
    with (
        pytest.raises(ModelError, match="no program /no/such/server"),
        engine_on(address(), {"serve": "/no/such/server -x"}),
    ):
        pass


def test_a_port_that_is_taken_is_left_to_whoever_has_it() -> None:
    with serving(Behaviour()) as taken:
        with engine_on(taken, {"serve": command()}) as (engine, report):
            assert report.effective["server"] != taken
            assert ask(engine).output_tokens == 8
        port = taken.split(":")[-1].removesuffix("/v1")
        with (
            pytest.raises(ModelError, match=rf"somebody listens on port {port} already"),
            engine_on(taken, {"serve": [sys.executable, PROGRAM, port]}),
        ):
            pass


def test_an_answer_of_somebody_else_on_its_port_is_not_taken_for_its_own(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        server = StartedServer([sys.executable, "-c", "import time; time.sleep(600)"], port, tmp_path, tmp_path)
        try:
            with pytest.raises(ModelError, match=f"another server answers on port {port}"):
                server.await_ready(lambda: True, 5.0, lambda _: None)
        finally:
            server.close()


def test_one_that_ends_in_the_run_ends_the_experiment_and_not_with_a_riddle(tmp_path: Path) -> None:
    with engine_on(address(), {"serve": command("--die", "1.5")}, job_dir=tmp_path) as (engine, _):
        server = int((tmp_path / LOG).read_text().split()[-1])
        assert eventually(lambda: is_gone(server))
        with pytest.raises(ModelError, match="ended in the run, with exit code 3"):
            engine.memory()
        with pytest.raises(ModelError, match="ended in the run, with exit code 3"):
            ask(engine)


def test_it_does_not_outlive_a_worker_that_is_killed(tmp_path: Path) -> None:
    code = (
        f"import sys, time\nsys.path.insert(0, {str(Path(__file__).parent)!r})\nfrom pathlib import Path\n"
        f"from asking import engine_on\nwith engine_on({address()!r}, {{'serve': {command()!r}}}, job_dir=Path({str(tmp_path)!r})):\n"
        "    print('loaded', flush=True)\n    time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"loaded\n"
        server = int((tmp_path / LOG).read_text().split()[-1])
        assert not is_gone(server)
        worker.send_signal(signal.SIGKILL)
    assert eventually(lambda: is_gone(server))


def llem_run(output: Path, *, expect: int = 0, **settings: object) -> tuple[dict[str, Any], Path]:
    """One short experiment by `llem run`: its result and its folder."""
    values: dict[str, object] = {
        "dataset.n": 4,
        "dataset.output_tokens": 8,
        "measurement.min_window_s": 2,
        "measurement.settle_s": 0,
        "measurement.samplers": '["testmeter"]',
        "warmup.enabled": "false",
        "baseline.enabled": "false",
        **{key.replace("__", "."): value for key, value in settings.items()},
    }
    path = os.pathsep.join([str(TESTMETER), os.environ["PYTHONPATH"]])
    words = [sys.executable, "-m", "llem", "run", "--model", "small", "--backend", "openai", "--no-gaps"]
    words += ["--output", str(output), *(w for k, v in values.items() for w in ("--set", f"{k}={v}"))]
    environment = {**os.environ, "PYTHONPATH": path, "OPENAI_API_KEY": KEY}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == expect, done.stdout + done.stderr
    (file,) = output.glob("*/experiments/*/result.json")
    return json.loads(file.read_text()), file.parent


def test_what_it_computes_is_the_experiment_s_own_and_this_machine_s_energy_is_the_work_s(tmp_path: Path) -> None:
    burning = json.dumps(command("--burn", "llem-heating"))
    result, folder = llem_run(tmp_path, openai__serve=burning, openai__base_url=address())
    assert result["energy"]["headline"]["mean_w"] == pytest.approx(50, rel=0.01)
    assert result["other_load"]["own_cpu_s"] > 0
    assert "llem-heating" not in result["other_load"]["busiest_s"]
    assert "started by openai.serve" in result["model"]["effective"]["server_runs_on"]
    assert is_gone(int((folder / LOG).read_text().split()[-1]))


def test_a_load_ends_with_its_server_and_not_with_its_window(tmp_path: Path) -> None:
    load = {"measurement__scenario": "server", "load__rate_rps": 20, "load__ramp_s": 0.5, "load__steady_s": 0}
    begun = time.monotonic()
    result, folder = llem_run(
        tmp_path,
        expect=1,
        openai__serve=json.dumps(command("--die", "8")),
        openai__base_url=address(),
        load__duration_s=600,
        **load,
    )
    assert time.monotonic() - begun < 100
    failure = result["failure"]
    assert (failure["type"], failure["phase"]) == ("ModelError", "window")
    assert "the server that openai.serve started ended in the run, with exit code 3." in failure["message"]
    assert "Its log ends with: serving at" in failure["message"]
    assert failure["log_tail"]
    assert (folder / "worker.log").read_text().count("the server's log ends with") == 1


@pytest.mark.parametrize("how", ["dies", "is killed"])
def test_a_load_ends_with_its_server_where_the_command_that_started_it_goes_on(tmp_path: Path, how: str) -> None:
    load = {"measurement__scenario": "server", "load__rate_rps": 20, "load__ramp_s": 0.5, "load__steady_s": 0}
    server = shlex.join([sys.executable, PROGRAM, "{port}", "--die", "8"])
    end = "sleep 600" if how == "dies" else "sleep 8; kill -9 $!; sleep 600"
    begun = time.monotonic()
    result, folder = llem_run(
        tmp_path,
        expect=1,
        openai__serve=json.dumps(["sh", "-c", f"{server} & {end}"]),
        openai__base_url=address(),
        load__duration_s=600,
        **load,
    )
    assert time.monotonic() - begun < 100
    failure = result["failure"]
    assert (failure["type"], failure["phase"]) == ("ModelError", "window")
    assert re.search(
        r"ended in the run: nothing of it has listened on port \d+ for 2 s, though the command runs\.",
        failure["message"],
    )
    assert "Its log ends with: serving at" in failure["message"]
    assert is_gone(int((folder / LOG).read_text().split()[-1]))


def test_a_server_that_makes_room_for_another_of_its_group_has_not_ended(tmp_path: Path) -> None:
    port = free_port()
    one, other = ([sys.executable, PROGRAM, str(port), "--die", die] for die in ("1.5", "600"))
    script = f"{shlex.join(one)}; {shlex.join(other)}; true"
    server = StartedServer(["sh", "-c", script], port, tmp_path, tmp_path)
    try:
        server.await_ready(lambda: anybody_listens(port), 30.0, lambda _: None)
        (first,) = listeners(server.processes(), port) or ()
        assert eventually(lambda: is_gone(first))
        end = time.monotonic() + 2 * GONE_S
        while time.monotonic() < end:
            server.check()
            time.sleep(0.05)
        (second,) = listeners(server.processes(), port) or ()
        os.kill(next(iter(server.processes())), signal.SIGSTOP)  # the shell would end with it
        os.kill(second, signal.SIGKILL)
        with pytest.raises(ModelError, match="nothing of it has listened"):
            eventually(lambda: server.check() is not None)
    finally:
        server.close()


def test_one_in_a_network_of_its_own_is_told_by_who_listens_for_it_here() -> None:
    with subprocess.Popen(["unshare", "-rn", "sleep", "600"], stderr=subprocess.DEVNULL) as container:
        try:
            own = Path("/proc/self/ns/net").readlink()
            if not eventually(
                lambda: container.poll() is not None or Path(f"/proc/{container.pid}/ns/net").readlink() != own
            ):
                pytest.fail("no network of its own")
            if container.poll() is not None:
                pytest.skip("no namespaces here")
            with socket.create_server(("127.0.0.1", 0)) as forwarder:
                port = forwarder.getsockname()[1]
                found = Listeners(lambda: (container.pid,), port)
                assert (found.are_missing, found.are_gone()) == (False, False)
            assert not found.are_gone()
            assert eventually(found.are_gone)
            # Where nobody listens here from the beginning, the kernel forwards, and nothing can be told.
            unknown = Listeners(lambda: (container.pid,), port)
            end = time.monotonic() + GONE_S + 1
            while time.monotonic() < end:
                assert (unknown.are_missing, unknown.are_gone()) == (False, False)
                time.sleep(0.1)
        finally:
            container.kill()


def test_a_key_that_its_log_repeats_is_hidden_there(tmp_path: Path) -> None:
    code = (
        "import os, runpy, sys; print(os.environ['OPENAI_API_KEY'], flush=True); sys.argv[:] = sys.argv[1:]; "
        f"runpy.run_path({PROGRAM!r}, run_name='__main__')"
    )
    serve = json.dumps([sys.executable, "-c", code, "program", "{port}"])
    _, folder = llem_run(tmp_path, openai__serve=serve, openai__base_url=address(), measurement__min_window_s=0.2)
    log = (folder / LOG).read_text()
    assert "serving at" in log
    assert KEY not in log


@pytest.mark.parametrize(
    "section",
    [
        {"serve": ""},
        {"serve": []},
        {"serve": "vllm 'serve"},
        {"serve": "vllm serve", "pid": 5},
        {"serve": "vllm serve", "same_machine": False},
        {"pid": 5, "same_machine": False},
        {"pid": 1},
        {"serve": "vllm serve --api-key sk-1"},
        {"serve": ["env", "HF_TOKEN=hf_1", "vllm"]},
        {"serve": "vllm serve --api-key=sk-1"},
    ],
)
def test_a_command_that_cannot_be_or_holds_a_secret_is_refused(section: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        OpenaiConfig.model_validate(section)


def test_preflight_sees_to_the_command_and_asks_no_server(tmp_path: Path) -> None:
    from llem.config.compose import Composer
    from llem.plugins import default_registry
    from llem.specs.kinds import BACKENDS, SCENARIOS

    def found(**options: object) -> list[tuple[str, str]]:
        document = {"model": "small", "backend": "openai", "openai": options}
        config = Composer(default_registry()[BACKENDS], default_registry()[SCENARIOS]).compose(document)
        context = PreflightContext(
            registry=default_registry(), experiments=[config], runners={"openai": "local"}, base_dir=tmp_path
        )
        return [(finding.level, finding.message) for finding in check_server(context)]

    assert [level for level, _ in found(serve=command(), base_url=address())] == ["ok"]
    assert found(serve="/no/such/server", base_url=address())[0][0] == "error"
    ((level, text),) = found(serve=command(), base_url="http://192.0.2.7:8000/v1")
    assert level == "error"
    assert "is another one" in text
    ((level, text),) = found(pid=2**22 - 1, base_url=address())
    assert level == "error"
    assert "no process" in text
