"""Parts of the Docker runner that need no engine: settings, rules, what is taken, what is said."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from llem.config.compose import Composer
from llem.config.experiment import ExperimentConfig
from llem.config.layers import load_study
from llem.errors import ConfigError
from llem.plan.runners import choose_runners
from llem.plugins import Registry
from llem.specs.kinds import BACKENDS, RUNNERS, SCENARIOS
from llem_containers import cuda, tokens
from llem_containers.errors import DiskFull, GpuRefused, ImageUnfit, PullFailed
from llem_containers.mounts import HOME, HUB, PACKAGES, Places, places_of
from llem_containers.sizes import size_of
from llem_containers.variables import passed_on
from llem_docker import owner
from llem_docker.checks import alive
from llem_docker.container import Inside, creation
from llem_docker.daemon import Image
from llem_docker.ending import ending_of
from llem_docker.errors import (
    ContainerRefused,
    ToolkitMissing,
    pull_error,
    start_error,
)
from llem_docker.options import DockerOptions
from llem_hub.availability import hub_token, is_cached


def experiment(**sections: Any) -> ExperimentConfig:
    document = {
        "backend": "testbed",
        "model": {"source": "random:tiny-llama"},
        "dataset": {"name": "synthetic", "input_tokens": 4},
    }
    return Composer(Registry()[BACKENDS], Registry()[SCENARIOS]).compose({**document, **sections})


@pytest.mark.parametrize(
    ("text", "size"), [("512m", 2**29), ("8g", 2**33), ("8GiB", 2**33), ("1.5k", 1536), ("100", 100), ("2 tb", 2**41)]
)
def test_sizes_are_read_as_docker_writes_them(text: str, size: int) -> None:
    assert size_of(text) == size


def docker_options(**values: object) -> DockerOptions:
    return DockerOptions.model_validate(values)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("memroy", "8g", "Extra inputs are not permitted"),
        ("memory", "much", "a size of 6 MiB or more, such as 512m or 8g"),
        ("memory", "1m", "a size of 6 MiB or more"),
        ("shm", "much", "a size of 1 MiB or more"),
        ("pids", 0, "greater than or equal to 1"),
        ("cpus", float("nan"), "finite number"),
        ("pull", "always", "'missing' or 'never'"),
        ("network", "a b", "should match pattern"),
    ],
)
def test_an_option_that_cannot_be_is_refused(key: str, value: object, says: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(says)):
        docker_options(**{key: value})


def test_options_are_neutral_by_default_and_sizes_are_bytes_where_they_are_used() -> None:
    default = docker_options()
    assert (default.memory_bytes, default.cpus, default.shm_bytes, default.output_bytes) == (None, None, 2**33, 2**33)
    given = docker_options(memory="2g", cpus=1.5, output="50m")
    assert (given.memory_bytes, given.cpus, given.output_bytes) == (2**31, 1.5, 50 * 2**20)


def test_options_are_part_of_the_record_with_where_they_came_from() -> None:
    document = {"model": "random:tiny-llama", "backend": "testbed", "runners": {"testbed": "docker:img"}}
    environ = {"LLEM_RUNNER_OPTIONS_DOCKER_MEMORY": "2g"}
    registry = Registry()
    study = load_study(None, document=document, backends=registry[BACKENDS], runners=registry[RUNNERS], environ=environ)
    assert study.config.runner_options["docker"] == {"memory": "2g"}
    assert study.origins["runner_options.docker.memory"].kind == "environment"
    (choice,) = choose_runners(study, ["testbed"], registry, None).values()
    assert choice.options == docker_options(memory="2g")


@pytest.mark.parametrize("name", ["LLEM_DOCKER_MEMORY", "LLEM_DOCKER_MEMROY"])
def test_a_variable_of_former_versions_is_refused_with_the_one_that_sets_the_option(name: str) -> None:
    registry = Registry()
    with pytest.raises(ConfigError, match=f"{name} is unknown: LLEM_RUNNER_OPTIONS_DOCKER_MEMORY sets that option"):
        load_study(
            None,
            document={"model": "random:tiny-llama", "backend": "testbed"},
            backends=registry[BACKENDS],
            runners=registry[RUNNERS],
            environ={name: "8g"},
        )


@pytest.mark.parametrize(
    ("image", "driver", "forward", "level", "rule"),
    [
        ((12, 4), (12, 4), False, "ok", "backward"),
        ((11, 8), (13, 0), False, "ok", "backward"),
        ((12, 8), (12, 2), False, "warning", "minor-version"),
        ((13, 0), (12, 8), True, "warning", "forward"),
        ((13, 0), (12, 8), False, "error", "no rule"),
    ],
)
def test_cuda_runs_by_nvidias_rules(
    image: tuple[int, int], driver: tuple[int, int], forward: bool, level: str, rule: str
) -> None:
    verdict = cuda.judge(image, driver, forward_package=forward)
    assert verdict.level == level
    assert verdict.rule.startswith(rule)
    assert (verdict.remedy is None) == (level == "ok")


@pytest.mark.parametrize(
    ("text", "version"), [("13.0", (13, 0)), ("12.8.90", (12, 8)), ("", None), (None, None), ("cpu", None)]
)
def test_cuda_versions_are_read(text: str | None, version: tuple[int, int] | None) -> None:
    assert cuda.parse(text) == version


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('could not select device driver "" with capabilities: [[gpu]]', ToolkitMissing),
        (
            "error running hook #0: exit status 1, stderr: nvidia-container-cli: device error: unknown device",
            GpuRefused,
        ),
        ('exec: "python3": executable file not found in $PATH: unknown', ImageUnfit),
        ("write /var/lib/docker/tmp/x: no space left on device", DiskFull),
        ("something that nobody has seen", ContainerRefused),
    ],
)
def test_the_engines_refusals_are_told_apart(text: str, kind: type[Exception]) -> None:
    error = start_error(text, "image:1")
    assert type(error) is kind
    assert error.remedy


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("pull access denied for x, repository does not exist or may require 'docker login'", "docker login"),
        ("manifest unknown", "Check name and tag"),
        ("dial tcp: lookup ghcr.io: no such host", "network of the engine"),
        ("toomanyrequests: You have reached your pull rate limit", "docker login"),
    ],
)
def test_a_failed_pull_says_what_to_do_about_its_cause(text: str, word: str) -> None:
    error = pull_error(text, "image:1")
    assert type(error) is PullFailed
    assert text[:20] in str(error)
    assert word in str(error)
    assert "llem images build BACKEND --target cpu" in str(error)


def test_an_image_of_llems_own_that_is_not_to_be_had_is_told_how_to_be_built() -> None:
    error = pull_error("manifest unknown", "ghcr.io/llenergymeasure/vllm:0.1.0-cpu", Registry())
    assert "Build it here: llem images build vllm --target cpu, or --target cuda" in str(error)


@pytest.mark.parametrize(
    ("state", "limit", "killed", "code", "by", "error"),
    [
        ({"ExitCode": 137, "OOMKilled": True}, 2**30, 1, 137, None, "OutOfMemory"),
        ({"ExitCode": 137, "OOMKilled": False}, None, 2, 137, None, "OutOfMemory"),
        ({"ExitCode": 137, "OOMKilled": False}, None, 0, None, "SIGKILL", None),
        ({"ExitCode": 1, "OOMKilled": True}, 2**30, 1, 1, None, "OutOfMemory"),
        ({"ExitCode": 139}, None, 0, None, "SIGSEGV", None),
        ({"ExitCode": 7}, None, 3, 7, None, None),
        ({"ExitCode": 0}, None, 3, 0, None, None),
        (None, None, None, None, None, "EngineGone"),
    ],
)
def test_an_exit_is_told_by_what_engine_and_kernel_know(
    state: Any, limit: int | None, killed: int | None, code: int | None, by: str | None, error: str | None
) -> None:
    found = ending_of(state, limit=limit, killed_here=killed, asked=False)
    assert (found.code, found.signal, found.error) == (code, by, error)


def test_what_llem_killed_itself_is_not_out_of_memory() -> None:
    found = ending_of({"ExitCode": 137, "OOMKilled": True}, limit=2**30, killed_here=1, asked=True)
    assert (found.signal, found.error) == ("SIGKILL", None)


def test_variables_of_engines_go_inside_but_no_secret_and_no_path_of_this_machine() -> None:
    found = passed_on(
        {
            "VLLM_CPU_KVCACHE_SPACE": "4",
            "OMP_NUM_THREADS": "8",
            "VLLM_API_KEY": "k",
            "VLLM_CACHE_ROOT": "/home/u",
            "HF_TOKEN": "t",
            "PATH": "/bin",
        }
    )
    assert found == {"VLLM_CPU_KVCACHE_SPACE": "4", "OMP_NUM_THREADS": "8"}


def test_a_container_is_created_without_powers() -> None:
    image = Image(reference="i", id="sha256:1", digest=None, environment={"PYTHONPATH": "/opt"}, labels={})
    inside = Inside(
        image=image,
        job=Path("/j"),
        scratch=Path("/s"),
        places=Places(packages=["p"]),
        options=docker_options(memory="1g"),
        user="1000:1000",
        network="none",
        gpus=["GPU-1"],
    )
    options = creation(inside, {"HF_TOKEN": "t", "http_proxy": "http://u:p@h"})
    assert options["cap_drop"] == ["ALL"]
    assert options["security_opt"] == ["no-new-privileges:true"]
    assert options["privileged"] is False
    assert options["user"] == "1000:1000"
    assert options["init"] is True
    assert options["shm_size"] == 8 * 2**30
    assert (options["mem_limit"], options["memswap_limit"], options["pids_limit"]) == (2**30, 2**30, 4096)
    assert options["device_requests"][0]["DeviceIDs"] == ["GPU-1"]
    assert options["environment"]["PYTHONPATH"] == f"{PACKAGES}:/opt"
    assert not {"HF_TOKEN", "http_proxy"} & options["environment"].keys()
    assert options["use_config_proxy"] is False


def test_a_model_of_the_hub_needs_the_network_until_it_is_whole_in_the_cache(tmp_path: Path) -> None:
    config = experiment(model={"source": "org/name"})
    environment = {"HF_HUB_CACHE": str(tmp_path / "hub")}
    assert places_of(config, str(tmp_path), environment).fetches
    model = tmp_path / "hub" / "models--org--name"
    snapshot = model / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (model / "refs").mkdir()
    (model / "blobs").mkdir()
    (model / "refs" / "main").write_text("abc")
    (snapshot / "config.json").write_text("{}")
    assert not is_cached("org/name", None, tmp_path / "hub")
    (model / "blobs" / "1").write_text("w")
    (snapshot / "model.safetensors").symlink_to("../../blobs/1")
    assert is_cached("org/name", None, tmp_path / "hub")
    found = places_of(config, str(tmp_path), environment)
    assert (found.fetches, found.hub) == (False, tmp_path / "hub")
    (model / "blobs" / "2.incomplete").write_text("")
    assert not is_cached("org/name", None, tmp_path / "hub")


def test_local_files_appear_under_the_path_that_the_experiment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    study = tmp_path / "study"
    study.mkdir()
    for name in ("a.jsonl", "study/b.jsonl"):
        (tmp_path / name).write_text('{"prompt": "x"}\n')

    def shown(path: str) -> Places:
        return places_of(experiment(dataset={"name": "jsonl", "path": path}), str(study), {})

    assert shown("b.jsonl").read_only == {str(study / "b.jsonl"): str(study / "b.jsonl")}
    up = shown("../a.jsonl")
    assert up.read_only == {str(tmp_path / "a.jsonl"): str(tmp_path / "a.jsonl")}
    assert up.empty == [str(study)]
    assert shown("~/a.jsonl").read_only == {str(tmp_path / "a.jsonl"): f"{HOME}/a.jsonl"}
    assert not shown("b.jsonl").fetches


def test_recorded_arrivals_of_a_load_appear_inside(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text("{}\n")
    under_load = experiment(
        backend="openai",
        openai={"base_url": "http://127.0.0.1:9/v1"},
        measurement={"scenario": "server"},
        load={"arrival": "trace", "trace": "t.jsonl"},
    )
    assert places_of(under_load, str(tmp_path), {}).read_only == {str(tmp_path / "t.jsonl"): str(tmp_path / "t.jsonl")}


def test_a_folder_whose_links_lead_out_of_it_brings_what_they_lead_to(tmp_path: Path) -> None:
    blobs, data = tmp_path / "blobs", tmp_path / "data"
    blobs.mkdir()
    data.mkdir()
    (blobs / "1").write_text('{"prompt": "x"}\n')
    (data / "x.jsonl").symlink_to("../blobs/1")
    found = places_of(experiment(dataset={"name": "hub", "path": "./data"}), str(tmp_path), {})
    assert found.read_only == {str(data): str(data), str(blobs): str(blobs)}


def test_a_token_is_found_where_the_hubs_library_finds_it_and_its_file_is_the_owners_alone(tmp_path: Path) -> None:
    assert hub_token({"HF_HOME": str(tmp_path)}) is None
    (tmp_path / "token").write_text("from the file\n")
    assert hub_token({"HF_HOME": str(tmp_path)}) == "from the file"
    assert hub_token({"HF_HOME": str(tmp_path), "HF_TOKEN": "from the variable"}) == "from the variable"
    with tokens.TokenFile("t") as path:
        assert path.read_text() == "t"
        assert path.stat().st_mode & 0o777 == 0o400
    assert not path.exists()
    assert not path.parent.exists()


def test_a_container_of_a_living_llem_is_told_from_one_of_a_dead() -> None:
    mine = owner.labels("study", Path("/job"), "a" * 64, "testbed")
    assert not owner.is_gone(mine)
    boot, _, rest = mine[owner.OWNER].partition(":")
    pid, _, started = rest.partition(":")
    assert owner.is_gone({owner.OWNER: f"{boot}:{pid}:{int(started) + 1}"})
    assert owner.is_gone({owner.OWNER: f"another boot:{rest}"})
    assert owner.is_gone({owner.OWNER: f"{boot}:{2**22 + os.getpid()}:1"})


@pytest.mark.process
def test_registering_imports_no_sdk() -> None:
    import subprocess

    code = "import sys, llem_docker.plugin as p; p.llem_runners(); p.llem_preflight_checks(); sys.exit('docker' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("fetches", [False, True])
def test_the_hubs_cache_can_be_written_only_where_something_has_to_be_fetched(fetches: bool, tmp_path: Path) -> None:
    inside = Inside(
        image=Image(reference="i", id="sha256:0", digest=None, environment={}, labels={}),
        job=tmp_path,
        scratch=tmp_path,
        places=Places(hub=tmp_path / "hub", fetches=fetches),
        options=docker_options(),
        user="1:1",
        network="none",
    )
    (mount,) = [m for m in creation(inside, {})["mounts"] if m["Target"] == HUB]
    assert mount["ReadOnly"] is not fetches


@pytest.mark.parametrize(
    ("states", "told"),
    [
        (["exited", "created", "dead"], "0 of them running"),
        (["running", "paused", "exited"], "1 of them running, 1 paused, which still hold what they held of a GPU"),
        (["restarting"], "0 of them running, 1 being restarted"),
    ],
)
def test_a_container_that_is_paused_is_told_as_one_that_holds_its_gpu(states: list[str], told: str) -> None:
    assert alive(states) == told
