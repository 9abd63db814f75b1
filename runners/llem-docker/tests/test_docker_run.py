"""An experiment in a container: what it may and may not do, what comes back, and that nothing is left."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

pytestmark = pytest.mark.docker

TELL = """
status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
told = {
    "user": [os.getuid(), os.getgid()],
    "capabilities": [status[key].strip() for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")],
    "no_new_privs": status["NoNewPrivs"].strip(),
    "interfaces": sorted(os.listdir("/sys/class/net")),
    "shm": os.statvfs("/dev/shm").f_blocks * os.statvfs("/dev/shm").f_frsize,
    "first": open("/proc/1/comm").read().strip(),
    "environment": dict(os.environ),
    "mounts": [line.split()[1] for line in open("/proc/mounts")],
    "arguments": open("/proc/self/cmdline").read().split("\\0"),
}
print("TOLD " + json.dumps(told), flush=True)
"""


def told(log: str) -> dict[str, Any]:
    line = next(line for line in log.splitlines() if line.startswith("TOLD "))
    found: dict[str, Any] = json.loads(line.removeprefix("TOLD "))
    return found


def test_an_experiment_in_a_container_is_done_and_leaves_only_its_results(
    bed: str, llem_run: Callable[..., Any], containers: Callable[[], list[Any]]
) -> None:
    ran = llem_run(bed)
    assert ran.code == 0, ran.stderr
    assert ran.result["status"] == "done"
    assert ran.result["tokens"]["output"] % 32 == 0
    assert {path.name for path in ran.job.iterdir()} == {
        *("experiment.json", "result.json", "requests.parquet", "events.jsonl", "worker.log"),
        *(["timeseries.parquet"] if (ran.job / "timeseries.parquet").exists() else []),
    }
    assert "testbed closed" in ran.log
    assert {path.stat().st_uid for path in ran.folder.rglob("*")} == {os.getuid()}
    assert containers() == []


def test_the_result_says_in_which_container_and_where_meters_were_read(bed: str, llem_run: Callable[..., Any]) -> None:
    environment = llem_run(bed).result["environment"]
    client = docker.from_env()
    runner = environment["study"]["runner"]
    assert (runner["name"], runner["image"]) == ("docker", bed)
    assert runner["image_id"] == client.images.get(bed).id
    assert runner["network"] == "none"
    assert runner["shm_bytes"] == 8 * 2**30
    assert "inside the container" in runner["meters_read"]
    assert environment["machine"]["container"]["kind"] == "docker"
    client.close()


def test_an_idle_baseline_is_measured_once_for_all_containers_of_a_study(
    bed: str, llem_run: Callable[..., Any]
) -> None:
    ran = llem_run(
        bed,
        execution__cycles=2,
        measurement__cpu_tdp_w=1,  # whatever else the machine does is below what counts as a contradiction
        baseline__enabled="true",
        baseline__duration_s=2,
        measurement__sample_hz=5,  # too few readings to call the machine unsteady, whatever else it does
        baseline__resident_s=0,
    )
    first, second = ran.results
    assert first["baseline"]["source"] == "measured"
    # One that was taken beside other load on this machine is kept for nobody.
    disturbed = any(warning["code"] == "baseline_doubtful" for warning in first["warnings"])
    assert second["baseline"]["source"] == ("measured" if disturbed else "cached")


def test_checks_that_were_left_out_stand_in_the_result(bed: str, llem_run: Callable[..., Any]) -> None:
    ran = llem_run(bed, "--skip-preflight", "toolkit", "--skip-preflight", "shm")
    assert ran.result["environment"]["study"]["preflight_skipped"] == ["shm", "toolkit"]


def test_the_events_of_a_container_drive_the_same_progress(bed: str, llem_run: Callable[..., Any]) -> None:
    ran = llem_run(bed, measurement__min_window_s=2)
    for phase in ("load", "window"):
        assert f": {phase}" in ran.stderr
    phases = [json.loads(line) for line in (ran.job / "events.jsonl").read_text().splitlines()]
    assert {"phase", "progress"} <= {event["event"] for event in phases}


def test_a_container_has_no_powers_and_only_what_it_needs(
    hostile: Callable[[str, str], str], llem_run: Callable[..., Any]
) -> None:
    ran = llem_run(
        hostile("tell", TELL), environ={"LLEM_RUNNER_OPTIONS_DOCKER_SHM": "1g", "VLLM_CPU_KVCACHE_SPACE": "1"}
    )
    found = told(ran.log)
    assert found["user"] == [os.getuid(), os.getgid()]
    assert {int(value, 16) for value in found["capabilities"]} == {0}
    assert found["no_new_privs"] == "1"
    assert found["interfaces"] == ["lo"]
    assert found["shm"] == 2**30
    assert found["first"] in {"docker-init", "tini"}
    assert found["environment"]["VLLM_CPU_KVCACHE_SPACE"] == "1"
    assert found["environment"]["LLEM_CONFIG_PATH"].endswith("/experiment.json")
    assert found["environment"]["HF_HUB_OFFLINE"] == "1"
    assert not [place for place in found["mounts"] if "docker.sock" in place]


@pytest.fixture
def another_users_folder() -> Iterator[Path]:
    """Outside of pytest's own, which are root's alone: `results` in it belongs to another user."""
    place = Path(tempfile.mkdtemp(prefix="another-user-"))
    place.chmod(0o755)
    for name in ("first", "results"):
        (place / name).mkdir()
    os.chown(place / "results", 4242, 4243)
    yield place
    shutil.rmtree(place)


def test_a_container_runs_as_whoever_runs_llem(
    bed: str, tmp_path: Path, command: Callable[..., list[str]], another_users_folder: Path
) -> None:
    """Once as root, so that all is imported that the other user may not read; then as a user of the engine's group."""
    place = another_users_folder
    words = command(bed)[3:]
    program = f"""
import os
from llem.cli import main
words = {words!r}
words = [word.replace({str(tmp_path / "results")!r}, {str(place / "results")!r}) for word in words]
first = [word.replace({str(place / "results")!r}, {str(place / "first")!r}) for word in words]
assert main(first) == 0
os.setgroups([{Path("/var/run/docker.sock").stat().st_gid}])
os.setgid(4243)
os.setuid(4242)
raise SystemExit(main(words))
"""
    environment = {**os.environ, "HOME": str(place / "results"), "TMPDIR": "/tmp"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=place, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = list((place / "results").glob("study-*"))
    assert len(found) == 1
    assert {(path.stat().st_uid, path.stat().st_gid) for path in found[0].rglob("*")} == {(4242, 4243)}


def test_a_token_reaches_the_worker_as_a_file_and_is_seen_nowhere(
    hostile: Callable[[str, str], str], llem_run: Callable[..., Any], tmp_path: Path
) -> None:
    token = "hf_" + "q7Zk" * 9
    program = (
        TELL
        + """
path = os.environ["HF_TOKEN_PATH"]
token = open(path).read()
print("TOKEN", len(token), token[::-1], oct(os.stat(path).st_mode & 0o777), flush=True)
print("leaked: " + token, flush=True)
(job / "events.jsonl").write_text(json.dumps({"t_ns": 1, "event": "message", "level": "info", "text": token}) + "\\n")
result["warnings"] = [{"code": "leak", "message": token}]
(job / "result.json").write_text(json.dumps(result))
open("/llem/job/go", "w").close()
while not pathlib.Path("/llem/job/went").exists():
    time.sleep(0.05)
"""
    )
    image = hostile("token", program)
    seen: list[str] = []

    import threading

    def look() -> None:
        client = docker.from_env()
        for _ in range(600):
            for container in client.containers.list(filters={"label": "llem.owner"}):
                job = Path(container.labels.get("llem.job", "/nowhere"), "container")
                if (job / "go").exists():
                    listed = subprocess.run(
                        ["docker", "top", container.id, "-ef"], capture_output=True, text=True, check=True
                    )
                    seen.append(json.dumps(container.attrs) + listed.stdout)
                    (job / "went").touch()
                    client.close()
                    return
            threading.Event().wait(0.1)

    watcher = threading.Thread(target=look)
    watcher.start()
    ran = llem_run(image, environ={"HF_TOKEN": token, "LLEM_RUNNER_OPTIONS_DOCKER_NETWORK": "host"})
    watcher.join()
    assert f"TOKEN {len(token)} {token[::-1]} 0o400" in ran.log
    assert len(seen) == 1
    assert token not in seen[0]
    assert token not in json.dumps(told(ran.log))
    for path in ran.folder.rglob("*"):
        if path.is_file():
            assert token.encode() not in path.read_bytes(), path
    assert token not in ran.stderr
    assert not list(Path("/dev/shm").glob("llem-*"))


def test_models_and_datasets_of_this_machine_are_seen_under_their_own_paths_and_cannot_be_written(
    hostile: Callable[[str, str], str], llem_run: Callable[..., Any], tmp_path: Path
) -> None:
    prompts = tmp_path / "data" / "prompts.jsonl"
    prompts.parent.mkdir()
    prompts.write_text("".join(json.dumps({"prompt": f"say {i}"}) + "\n" for i in range(8)))
    program = f"""
print("READ", len(open({str(prompts)!r}).read()), flush=True)
try:
    open({str(prompts)!r}, "a").write("x")
except OSError as error:
    print("WRITE", error.strerror, flush=True)
"""
    ran = llem_run(
        hostile("reader", program), dataset__name="jsonl", dataset__path=str(prompts), dataset__input_tokens="null"
    )
    assert f"READ {prompts.stat().st_size}" in ran.log
    assert "WRITE Read-only file system" in ran.log
