"""GPUs in containers, on a real engine: without a toolkit, and with a hook that passes the simulated driver in as NVIDIA's does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import docker
import pytest

pytestmark = pytest.mark.docker

CARDS = """
driver 550.54
cuda 12040
gpu GPU-11111111-1111-1111-1111-111111111111 NVIDIA Test A
power constant 100
gpu GPU-22222222-2222-2222-2222-222222222222 NVIDIA Test B
power constant 200
"""
FIRST, SECOND = "GPU-11111111-1111-1111-1111-111111111111", "GPU-22222222-2222-2222-2222-222222222222"
SCENARIO = "/etc/nvml-scenario"

HOOK = """#!{python}
# As NVIDIA's hook does: told of a container on stdin, it puts the driver's library and tools into the root file system.
import json, os, shutil, sys
state = json.load(sys.stdin)
config = json.load(open(os.path.join(state["bundle"], "config.json")))
root = os.path.join(state["bundle"], config["root"]["path"])
variables = dict(entry.split("=", 1) for entry in config["process"]["env"])
wanted = [uuid for uuid in variables.get("NVIDIA_VISIBLE_DEVICES", "").split(",") if uuid]
here = {folder!r}
if os.path.exists(here + "/instead"):
    wanted = open(here + "/instead").read().split()
lines = open(here + "/scenario").read().split("gpu ")
shown = lines[0] + "".join("gpu " + block for block in lines[1:] if block.split()[0] in wanted)
open(root + "{scenario}", "w").write(shown)
shutil.copy(here + "/libnvidia-ml.so.1", root + "/usr/lib/{multiarch}/libnvidia-ml.so.1")
listed = "".join(f"GPU {{i}}: NVIDIA Test (UUID: {{uuid}})\\n" for i, uuid in enumerate(wanted))
with open(root + "/usr/bin/nvidia-smi", "w") as out:
    out.write("#!/bin/sh\\ncat <<'EOF'\\n" + listed + "EOF\\n")
os.chmod(root + "/usr/bin/nvidia-smi", 0o755)
"""


@pytest.fixture
def toolkit(tmp_path: Path, nvml_library: Path) -> Path:
    """A folder with the hook, the simulated library and the cards."""
    folder = tmp_path / "toolkit"
    folder.mkdir()
    shutil.copy(nvml_library, folder)
    (folder / "scenario").write_text(CARDS)
    multiarch = f"{os.uname().machine}-linux-gnu"
    hook = folder / "nvidia-container-runtime-hook"
    hook.write_text(HOOK.format(python=sys.executable, folder=str(folder), scenario=SCENARIO, multiarch=multiarch))
    hook.chmod(0o755)
    return folder


@pytest.fixture
def gpu_image(second_engine: Any, bed: str) -> Callable[[str], str]:
    """Builds, on the second engine, the test image with the place of the scenario in it, and a label about CUDA."""

    def build(cuda: str) -> str:
        import io

        client = docker.DockerClient(base_url=second_engine.address)
        tag = f"llem-test-gpu-{cuda}"
        text = f"FROM {bed}\nENV NVML_SIM={SCENARIO}\nLABEL llem.cuda={cuda}\n"
        client.images.build(fileobj=io.BytesIO(text.encode()), tag=tag, rm=True)
        client.close()
        return tag

    return build


@pytest.fixture
def run_with_gpus(
    second_engine: Any, llem_run: Callable[..., Any], simulated_gpus: Callable[[str], Mapping[str, str]]
) -> Callable[..., Any]:
    """`llem run` on a machine that has the cards, with the second engine."""

    def run(image: str, *words: str, environ: Mapping[str, str] | None = None, **settings: object) -> Any:
        variables = {**simulated_gpus(CARDS), "DOCKER_HOST": second_engine.address, **(environ or {})}
        return llem_run(image, *words, environ=variables, **settings)

    return run


def test_without_a_toolkit_the_engines_own_refusal_is_told_with_the_remedy(
    second_engine: Any, gpu_image: Callable[[str], str], run_with_gpus: Callable[..., Any]
) -> None:
    second_engine.start()
    ran = run_with_gpus(gpu_image("12.4"))
    assert ran.code == 3
    assert "toolkit: " in ran.stderr or "preflight toolkit" in ran.stderr
    assert "could not select device driver" in ran.stderr
    assert "nvidia-ctk runtime configure" in ran.stderr
    skipped = run_with_gpus(gpu_image("12.4"), "--skip-preflight", "toolkit")
    assert skipped.code == 1
    assert skipped.result["failure"]["type"] == "ToolkitMissing"


def test_a_container_sees_the_cards_of_its_experiment_and_meters_them(
    second_engine: Any, toolkit: Path, gpu_image: Callable[[str], str], run_with_gpus: Callable[..., Any]
) -> None:
    second_engine.start(toolkit)
    ran = run_with_gpus(
        gpu_image("12.4"),
        environ={"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"},
        measurement__min_window_s=2,
    )
    assert ran.code == 0, ran.stderr
    assert ran.result["environment"]["study"]["runner"]["gpus"] == [SECOND]
    devices = {
        device["device"]: device["mean_w"] for device in ran.result["energy"]["devices"] if device["scope"] == "gpu"
    }
    assert devices == {SECOND: pytest.approx(200, rel=0.02)}


def test_a_card_that_is_not_inside_is_named(
    second_engine: Any, toolkit: Path, gpu_image: Callable[[str], str], run_with_gpus: Callable[..., Any]
) -> None:
    (toolkit / "instead").write_text(FIRST)
    second_engine.start(toolkit)
    ran = run_with_gpus(gpu_image("12.4"))
    assert ran.code == 3
    assert f"{SECOND} is not visible inside" in ran.stderr
    assert f"(UUID: {FIRST})" in ran.stderr


def test_a_card_that_another_experiment_uses_must_not_be_inside(
    second_engine: Any, toolkit: Path, gpu_image: Callable[[str], str], run_with_gpus: Callable[..., Any]
) -> None:
    (toolkit / "instead").write_text(f"{FIRST} {SECOND}")
    second_engine.start(toolkit)
    ran = run_with_gpus(gpu_image("12.4"), environ={"CUDA_VISIBLE_DEVICES": FIRST})
    assert ran.code == 3
    assert f"sees {SECOND} too" in ran.stderr


@pytest.mark.parametrize(
    ("cuda", "code", "says"),
    [("13.0", 3, "no rule allows it"), ("12.8", 0, "minor-version compatibility"), ("11.8", 0, None)],
)
def test_cuda_of_the_image_is_held_against_the_driver(
    second_engine: Any,
    toolkit: Path,
    gpu_image: Callable[[str], str],
    run_with_gpus: Callable[..., Any],
    cuda: str,
    code: int,
    says: str | None,
) -> None:
    second_engine.start(toolkit)
    ran = run_with_gpus(gpu_image(cuda))
    assert ran.code == code, ran.stderr
    if says is not None:
        assert f"is built for CUDA {cuda}, the driver 550.54 supports up to CUDA 12.4; {says}" in ran.stderr.replace(
            "\n", " "
        )
    recorded = json.dumps(ran.results[0]["environment"]["study"].get("preflight_warnings", [])) if ran.results else ""
    assert ("minor-version" in recorded) == (cuda == "12.8")


def test_a_toolkit_that_fails_is_no_missing_toolkit(
    second_engine: Any, toolkit: Path, gpu_image: Callable[[str], str], run_with_gpus: Callable[..., Any]
) -> None:
    hook = toolkit / "nvidia-container-runtime-hook"
    hook.write_text(
        "#!/bin/sh\necho 'nvidia-container-cli: initialization error: nvml error: driver not loaded' >&2\nexit 1\n"
    )
    second_engine.start(toolkit)
    ran = run_with_gpus(gpu_image("12.4"))
    assert ran.code == 3
    assert "could not pass the GPUs in" in ran.stderr
    assert "driver not loaded" in ran.stderr
    assert "nvidia-ctk runtime configure" not in ran.stderr


def test_the_machines_doctor_names_the_state_of_engine_and_toolkit(second_engine: Any, toolkit: Path) -> None:
    second_engine.start(toolkit)
    environment = {**os.environ, "DOCKER_HOST": second_engine.address}
    done = subprocess.run(
        [sys.executable, "-m", "llem", "doctor"], env=environment, capture_output=True, text=True, check=False
    )
    assert f"Docker engine {_version(second_engine)} at {second_engine.address}" in done.stdout


def _version(engine: Any) -> str:
    client = docker.DockerClient(base_url=engine.address)
    version = str(client.version()["Version"])
    client.close()
    return version
