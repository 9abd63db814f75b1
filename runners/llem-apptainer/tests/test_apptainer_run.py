"""An experiment in a container: what it may and may not do, what comes back, and that nothing is left."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.apptainer, pytest.mark.timeout(600)]

TELL = """
status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
home = pathlib.Path.home()
(home / "x").touch()
told = {
    "user": [os.getuid(), os.getgid()],
    "capabilities": [status[key].strip() for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")],
    "no_new_privs": status["NoNewPrivs"].strip(),
    "interfaces": [line.split(":")[0].strip() for line in open("/proc/net/dev").read().splitlines()[2:]],
    "processes": sorted(int(name) for name in os.listdir("/proc") if name.isdecimal()),
    "home": [str(home), os.listdir(home)],
    "environment": dict(os.environ),
    "mounts": [line.split()[1] for line in open("/proc/mounts")],
    "seen": os.path.exists(SEEN),
}
print("TOLD " + json.dumps(told), flush=True)
"""


def told(log: str) -> dict[str, Any]:
    line = next(line for line in log.splitlines() if line.startswith("TOLD "))
    found: dict[str, Any] = json.loads(line.removeprefix("TOLD "))
    return found


def test_an_experiment_in_a_sif_file_is_done_leaves_only_its_results_and_names_the_image_by_its_digest(
    sif: Path, llem_run: Callable[..., Any], environ: dict[str, str]
) -> None:
    ran = llem_run(sif)
    assert ran.code == 0, ran.stderr
    assert ran.result["status"] == "done"
    assert {path.name for path in ran.job.iterdir()} == {
        *("experiment.json", "result.json", "requests.parquet", "events.jsonl", "worker.log"),
        *(["timeseries.parquet"] if (ran.job / "timeseries.parquet").exists() else []),
    }
    assert "testbed closed" in ran.log
    assert list(Path(environ["TMPDIR"]).iterdir()) == []
    environment = ran.result["environment"]
    runner = environment["study"]["runner"]
    assert (runner["name"], runner["image"], runner["network"]) == ("apptainer", str(sif), "none")
    assert runner["image_digest"] == f"sha256:{hashlib.sha256(sif.read_bytes()).hexdigest()}"
    assert runner["apptainer_version"][0].isdecimal()
    assert environment["machine"]["container"]["kind"] == "apptainer"
    phases = [json.loads(line) for line in (ran.job / "events.jsonl").read_text().splitlines()]
    assert "phase" in {event["event"] for event in phases}


def test_an_archive_of_docker_save_becomes_a_sif_file_once(
    bed: Path, llem_run: Callable[..., Any], docker_archive: Callable[[Path, Path], Path], tmp_path: Path
) -> None:
    archive = docker_archive(bed, tmp_path / "bed.tar")
    ran = llem_run(archive)
    assert ran.code == 0, ran.stderr
    assert "making a SIF file" in ran.stderr
    runner = ran.result["environment"]["study"]["runner"]
    made = Path(runner["image_file"])
    assert made.parent == tmp_path / "cache" / "llem" / "apptainer"
    assert runner["image_digest"] == f"sha256:{hashlib.sha256(made.read_bytes()).hexdigest()}"
    again = llem_run(archive, "--set", "runner_options.apptainer.pull=never")
    assert again.code == 0, again.stderr
    assert "making a SIF file" not in again.stderr
    assert not list(made.parent.glob("*.partial"))


def test_a_container_has_no_powers_and_only_what_it_needs(
    hostile: Callable[[str, str], Path], llem_run: Callable[..., Any], tmp_path: Path
) -> None:
    secret = tmp_path / "seen"
    secret.touch()
    ran = llem_run(
        hostile("tell", f"SEEN = {str(secret)!r}\n{TELL}"),
        more={
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "OMP_PLACES": "a $HOME `id` \"b\" 'c'",
            "APPTAINER_BIND": str(tmp_path),
            "APPTAINERENV_FROM_OUTSIDE": "1",
        },
    )
    found = told(ran.log)
    assert found["user"] == [os.getuid(), os.getgid()]
    assert {int(value, 16) for value in found["capabilities"]} == {0}
    assert found["no_new_privs"] == "1"
    assert found["interfaces"] == ["lo"]
    assert found["processes"][0] == 1
    assert len(found["processes"]) < 5
    assert found["home"] == ["/llem/scratch/home", ["x"]]
    assert found["environment"]["VLLM_CPU_KVCACHE_SPACE"] == "1"
    assert found["environment"]["OMP_PLACES"] == "a $HOME `id` \"b\" 'c'"
    assert found["environment"]["LLEM_CONFIG_PATH"] == "/llem/job/experiment.json"
    assert found["environment"]["HF_HUB_OFFLINE"] == "1"
    assert "FROM_OUTSIDE" not in found["environment"]
    assert not found["seen"]


@pytest.mark.parametrize("below", ["/tmp", "/var/tmp", "~"])
def test_files_of_an_experiment_are_seen_where_they_are_here_whatever_their_names(
    sif: Path, llem_run: Callable[..., Any], below: str
) -> None:
    folder = Path(tempfile.mkdtemp(prefix="a b,c-", dir=Path(below).expanduser()))
    try:
        prompts = folder / "my prompts.jsonl"
        prompts.write_text("".join(json.dumps({"prompt": f"say {n}"}) + "\n" for n in range(4)))
        ran = llem_run(sif, dataset__name="jsonl", dataset__path=prompts)
    finally:
        shutil.rmtree(folder)
    assert ran.code == 0, ran.stderr + ran.log
    assert ran.result["status"] == "done"


def test_a_file_that_a_container_cannot_be_shown_is_a_failure_that_says_where_to_put_it(
    sif: Path, llem_run: Callable[..., Any]
) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", dir="/dev/shm") as file:
        file.write('{"prompt": "x"}\n' * 4)
        file.flush()
        failure = llem_run(sif, dataset__name="jsonl", dataset__path=file.name).result["failure"]
    assert failure["type"] == "ContainerRefused"
    assert "cannot be shown in a container: /dev is the container's own there" in failure["message"]


def test_an_idle_baseline_is_measured_once_for_all_containers_of_a_study(
    sif: Path, llem_run: Callable[..., Any]
) -> None:
    ran = llem_run(
        sif,
        execution__cycles=2,
        measurement__cpu_tdp_w=1,
        baseline__enabled="true",
        baseline__duration_s=2,
        measurement__sample_hz=5,
        baseline__resident_s=0,
    )
    first, second = ran.results
    assert first["baseline"]["source"] == "measured"
    disturbed = any(warning["code"] == "baseline_doubtful" for warning in first["warnings"])
    assert second["baseline"]["source"] == ("measured" if disturbed else "cached")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: folder / "not-here.sif", ("cannot be read", "a SIF file, a folder")),
        (lambda folder: _written(folder / "junk.sif"), ("neither a SIF file nor an archive",)),
        (
            lambda folder: _written(folder / "junk.tar", bytes(257) + b"ustar" + bytes(600)),
            ("no SIF file can be made",),
        ),
        (lambda folder: _folder(folder / "empty"), ("has no python3 on its PATH",)),
        (lambda _: "docker://127.0.0.1:1/nobody/here", ("no SIF file can be made", "apptainer pull FILE.sif")),
    ],
)
def test_an_image_that_cannot_be_run_is_told_before_anything_starts(
    make: Callable[[Path], object], words: tuple[str, ...], llem_run: Callable[..., Any], tmp_path: Path
) -> None:
    ran = llem_run(make(tmp_path))
    assert ran.code not in (0, 1), ran.stderr
    for word in words:
        assert word in ran.stderr
    assert ran.results == []


def _written(path: Path, content: bytes = b"hello") -> Path:
    path.write_bytes(content)
    return path


def _folder(path: Path) -> Path:
    for name in ("dev", "etc", "proc", "sys", "tmp", "usr/bin", "bin"):
        (path / name).mkdir(parents=True)
    return path


def test_an_image_of_another_llem_is_told_before_anything_starts(
    hostile: Callable[[str, str], Path], llem_run: Callable[..., Any]
) -> None:
    image = hostile("old", "")
    for metadata in image.rglob("llem-*.dist-info/METADATA"):
        text = metadata.read_text()
        metadata.unlink()
        metadata.write_text(text.replace("Version: ", "Version: 9."))
    ran = llem_run(image)
    assert "figures are those of 9." in ran.stderr


def test_a_container_that_takes_too_much_memory_is_told_from_one_that_is_killed(
    hostile: Callable[[str, str], Path], llem_run: Callable[..., Any]
) -> None:
    ran = llem_run(
        hostile("eat", "chunks = []\nwhile True: chunks.append(b'x' * 2**22)\n"),
        "--set",
        "runner_options.apptainer.memory=200m",
    )
    if "cannot limit a container's memory" in ran.stderr:
        assert os.getuid() != 0 or not os.access("/sys/fs/cgroup", os.W_OK), ran.stderr
        pytest.skip("there are no control groups for this user, and preflight says so")
    failure = ran.result["failure"]
    assert (failure["type"], failure["signal"]) == ("OutOfMemory", "SIGKILL")
    assert "200 MiB (runner_options.apptainer.memory)" in failure["message"]


@pytest.mark.parametrize(
    ("how", "code", "by"),
    [("exit", 7, None), ("segfault", None, "SIGSEGV"), ("kill", None, "SIGKILL"), ("silent_exit", 0, None)],
)
def test_an_end_without_a_result_tells_code_or_signal(
    sif: Path, llem_run: Callable[..., Any], how: str, code: int | None, by: str | None
) -> None:
    failure = llem_run(sif, testbed__fail=how).result["failure"]
    assert (failure["type"], failure["exit_code"], failure["signal"]) == ("Crash", code, by)
    assert "out of memory" not in failure["message"].lower()


def test_a_container_that_writes_too_much_is_ended(
    hostile: Callable[[str, str], Path], llem_run: Callable[..., Any]
) -> None:
    program = (
        "out = open('/tmp/big', 'wb')\nfor _ in range(200): out.write(bytes(2**20)); out.flush()\ntime.sleep(300)\n"
    )
    ran = llem_run(hostile("write", program), "--set", "runner_options.apptainer.output=50m")
    failure = ran.result["failure"]
    assert failure["type"] == "OutputTooLarge"
    assert "more than 50 MiB (runner_options.apptainer.output)" in failure["message"]


def test_what_a_container_left_is_taken_only_where_it_is_what_it_should_be(
    hostile: Callable[[str, str], Path], llem_run: Callable[..., Any]
) -> None:
    program = """
print("a\\x1b[2Jb", flush=True)
(job / "requests.parquet").symlink_to("/etc/passwd")
(job / "worker.log").symlink_to("/etc/passwd")
result["identity"]["config_hash"] = "other"
(job / "result.json").write_text(json.dumps(result))
"""
    ran = llem_run(hostile("lie", program))
    failure = ran.result["failure"]
    assert "result.json is of another experiment" in failure["message"]
    assert "requests.parquet is a symbolic link" in failure["message"]
    assert not (ran.job / "requests.parquet").exists()
    assert "ab" in ran.log


def test_apptainers_own_refusal_is_the_cause_where_preflight_was_skipped(
    llem_run: Callable[..., Any], tmp_path: Path
) -> None:
    failure = llem_run(_folder(tmp_path / "empty"), "--skip-preflight", "apptainer-image").result["failure"]
    assert failure["type"] == "ImageUnfit"
    assert "has no python3 on its PATH" in failure["message"]


def test_a_token_is_a_file_inside_where_there_is_a_network_and_comes_back_in_nothing(
    hostile: Callable[[str, str], Path], llem_run: Callable[..., Any]
) -> None:
    before = set(Path("/dev/shm").glob("llem-*"))
    program = """
print("the token is", open(os.environ["HF_TOKEN_PATH"]).read(), "HF_TOKEN" in os.environ, flush=True)
print(len(open("/proc/net/dev").read().splitlines()), "lines", flush=True)
"""
    more = {"HF_TOKEN": "hf_verysecretindeed"}
    ran = llem_run(hostile("token", program), "--set", "runner_options.apptainer.network=host", more=more)
    assert "the token is *** False" in ran.log
    assert "hf_verysecretindeed" not in ran.stderr + json.dumps(ran.results)
    assert set(Path("/dev/shm").glob("llem-*")) <= before
