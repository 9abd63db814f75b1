"""Faults of a container are told by their true cause, and the study goes on."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

pytestmark = pytest.mark.docker

EAT = """
chunks = []
while True:
    chunks.append(b"x" * 2**22)
"""


def test_a_container_that_takes_too_much_memory_is_told_from_one_that_is_killed(
    hostile: Callable[[str, str], str], llem_run: Callable[..., Any]
) -> None:
    ran = llem_run(hostile("eat", EAT), environ={"LLEM_RUNNER_OPTIONS_DOCKER_MEMORY": "200m"})
    assert ran.code == 1
    failure = ran.result["failure"]
    assert (failure["type"], failure["exit_code"]) == ("OutOfMemory", 137)
    assert "its limit of 200 MiB (runner_options.docker.memory)" in failure["message"]


def test_a_worker_that_is_killed_from_outside_is_not_out_of_memory(bed: str, llem_run: Callable[..., Any]) -> None:
    failure = llem_run(bed, testbed__fail="kill").result["failure"]
    assert (failure["type"], failure["signal"]) == ("Crash", "SIGKILL")
    assert "out of memory" not in failure["message"].lower()


def test_a_child_that_the_kernel_ends_for_memory_is_told_though_the_worker_lives(
    hostile: Callable[[str, str], str], llem_run: Callable[..., Any]
) -> None:
    program = f"""
code = subprocess.run([sys.executable, "-c", {EAT!r}]).returncode
result.update(status="failed", failure={{"type": "EngineDead", "message": f"the engine ended with {{code}}"}})
(job / "result.json").write_text(json.dumps(result))
sys.exit(1)
"""
    ran = llem_run(hostile("eating-child", program), environ={"LLEM_RUNNER_OPTIONS_DOCKER_MEMORY": "200m"})
    failure = ran.result["failure"]
    assert failure["type"] == "OutOfMemory"
    assert "The worker said: the engine ended with -9" in failure["message"]


@pytest.mark.parametrize(
    ("how", "kind", "code", "by"),
    [("exit", "Crash", 7, None), ("segfault", "Crash", None, "SIGSEGV"), ("silent_exit", "Crash", 0, None)],
)
def test_an_end_without_a_result_tells_code_or_signal(
    bed: str, llem_run: Callable[..., Any], how: str, kind: str, code: int | None, by: str | None
) -> None:
    failure = llem_run(bed, testbed__fail=how).result["failure"]
    assert (failure["type"], failure["exit_code"], failure["signal"]) == (kind, code, by)


def test_an_error_of_the_engine_inside_comes_back_as_the_worker_told_it(bed: str, llem_run: Callable[..., Any]) -> None:
    ran = llem_run(bed, testbed__fail="raise")
    assert ran.result["failure"]["type"] == "RuntimeError"
    assert "told to raise" in ran.result["failure"]["message"]


@pytest.mark.parametrize("how", ["hang", "orphan"])
def test_a_timeout_ends_the_container_with_all_that_is_in_it(
    bed: str, llem_run: Callable[..., Any], containers: Callable[[], list[Any]], how: str
) -> None:
    ran = llem_run(bed, testbed__fail=how, limits__timeout_s=6)
    assert ran.result["failure"]["type"] == "Timeout"
    assert "limits.timeout_s" in ran.result["failure"]["message"]
    assert containers() == []
    mounted = [line for line in Path("/proc/mounts").read_text().splitlines() if str(ran.folder) in line]
    assert mounted == []


def test_a_missing_image_that_is_not_to_be_pulled_stops_the_study_before_it_starts(
    llem_run: Callable[..., Any],
) -> None:
    ran = llem_run("llem-no-such:image", environ={"LLEM_RUNNER_OPTIONS_DOCKER_PULL": "never"})
    assert ran.code == 3
    assert "the image llem-no-such:image is not here" in ran.stderr
    assert "llem images build" in ran.stderr


def test_a_pull_that_fails_is_no_missing_toolkit(llem_run: Callable[..., Any]) -> None:
    ran = llem_run("127.0.0.1:1/llem/none:1")
    assert ran.code == 3
    assert "pulling it failed" in ran.stderr
    assert "connection refused" in ran.stderr
    assert "toolkit" not in ran.stderr


def test_an_image_that_goes_away_before_its_experiment_fails_that_one_with_its_cause(
    llem_run: Callable[..., Any],
) -> None:
    ran = llem_run(
        "127.0.0.1:1/llem/none:1",
        *(
            word
            for check in ("image", "image-version", "toolkit", "gpu-inside", "cuda", "shm")
            for word in ("--skip-preflight", check)
        ),
        execution__cycles=2,
    )
    assert ran.code == 1
    assert [result["failure"]["type"] for result in ran.results] == ["PullFailed", "PullFailed"]


def test_an_image_without_llem_is_refused_with_what_to_add(llem_run: Callable[..., Any], bed: str) -> None:
    ran = llem_run("llem-test-python")
    assert ran.code == 3
    assert "has no llem for its python3" in ran.stderr


def test_an_image_without_python_is_refused(llem_run: Callable[..., Any], bed: str) -> None:
    ran = llem_run("llem-base")
    assert ran.code == 3
    assert "no python3 on its PATH" in ran.stderr


def test_an_image_without_the_backend_is_refused(bed: str, llem_run: Callable[..., Any], tmp_path: Path) -> None:
    client = docker.from_env()
    (tmp_path / "Dockerfile").write_text(f"FROM {bed}\nRUN rm -r /usr/lib/python3/dist-packages/llem_testbed*\n")
    client.images.build(path=str(tmp_path), tag="llem-test-no-backend", network_mode="none", rm=True)
    client.close()
    ran = llem_run("llem-test-no-backend")
    assert ran.code == 3
    assert "has no backend `testbed`" in ran.stderr


def test_a_container_that_writes_too_much_is_ended(
    hostile: Callable[[str, str], str], llem_run: Callable[..., Any]
) -> None:
    program = """
for i in range(1000):
    with open(f"/llem/scratch/tmp/{i}", "wb") as out:
        out.write(bytes(2**20) * 8)
    time.sleep(0.02)
time.sleep(600)
"""
    ran = llem_run(hostile("writer", program), environ={"LLEM_RUNNER_OPTIONS_DOCKER_OUTPUT": "100m"})
    failure = ran.result["failure"]
    assert failure["type"] == "OutputTooLarge"
    assert "runner_options.docker.output" in failure["message"]


def test_one_file_cannot_grow_past_the_limit(hostile: Callable[[str, str], str], llem_run: Callable[..., Any]) -> None:
    program = """
try:
    with open("/llem/job/timeseries.parquet", "wb") as out:
        for _ in range(200):
            out.write(bytes(2**20))
except OSError as error:
    print("STOPPED", error.strerror, flush=True)
"""
    ran = llem_run(hostile("grower", program), environ={"LLEM_RUNNER_OPTIONS_DOCKER_OUTPUT": "50m"})
    assert "STOPPED File too large" in ran.log


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MiB for temporary files."""
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(place)], check=True)
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_is_told_and_the_study_goes_on(
    hostile: Callable[[str, str], str], llem_run: Callable[..., Any], small_disk: Path
) -> None:
    program = """
with open("/llem/scratch/tmp/all", "wb") as out:
    while True:
        out.write(bytes(2**20))
"""
    ran = llem_run(
        hostile("filler", program),
        "--skip-preflight",
        "docker-space",
        environ={"TMPDIR": str(small_disk)},
        execution__cycles=2,
    )
    assert ran.code == 1
    assert len(ran.results) == 2
    for result in ran.results:
        assert result["failure"]["type"] == "DiskFull"
        assert f"left where {small_disk} is" in result["failure"]["message"]
        assert "No space left on device" in result["failure"]["log_tail"]
    assert list(small_disk.iterdir()) == []


def test_a_failed_experiment_does_not_keep_the_next_from_running(
    bed: str, llem_run: Callable[..., Any], tmp_path: Path
) -> None:
    study = tmp_path / "study.yaml"
    study.write_text("sweep:\n  testbed.fail: [kill, 'no', exit]\n")
    ran = llem_run(bed, str(study))
    assert ran.code == 1
    assert [result["status"] for result in ran.results] == ["failed", "done", "failed"]


def test_an_experiment_leaves_nothing_in_the_temporary_folder(
    bed: str, llem_run: Callable[..., Any], tmp_path: Path
) -> None:
    place = tmp_path / "temporary"
    place.mkdir()
    assert llem_run(bed, environ={"TMPDIR": str(place)}, execution__cycles=2).code == 0
    assert list(place.iterdir()) == []
