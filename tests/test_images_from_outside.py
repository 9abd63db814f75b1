"""A backend from outside and its image, on a real Docker engine: begun from the template, built, listed, run, all by one name."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
NAME = "llem-from-outside:0.1.0"
pytestmark = [pytest.mark.docker, pytest.mark.timeout(1500)]


@dataclass(frozen=True)
class Outside:
    """A machine where the plugin `llem-from-outside` is installed.

    Attributes:
        environment: of a process that has it.
        told: what the build printed.
    """

    environment: Mapping[str, str]
    told: str

    def build(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Build the image with these options, or find all its layers here."""
        command = ["bash", str(ROOT / "images" / "local.sh"), "from_outside", "", *words]
        return subprocess.run(command, env=dict(self.environment), capture_output=True, text=True, check=False)

    def llem(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the command line."""
        command = [sys.executable, "-m", "llem", *words]
        return subprocess.run(command, env=dict(self.environment), capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Outside:
    """The plugin as `llem plugin new` writes it, installed, and its image built of nothing but this machine."""
    folder, site = tmp_path_factory.mktemp("new"), tmp_path_factory.mktemp("site")
    subprocess.run(["docker", "image", "rm", "--force", NAME], capture_output=True, check=False)
    new = [
        sys.executable,
        "-m",
        "llem",
        "plugin",
        "new",
        "from-outside",
        "--kind",
        "backend",
        "--directory",
        str(folder),
    ]
    subprocess.run(new, check=True, capture_output=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(site), str(folder / "llem-from-outside")], check=True)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(site), os.environ["PYTHONPATH"]]),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    done = Outside(environment, "").build()
    assert done.returncode == 0, (done.stdout + done.stderr)[-8000:]
    return Outside(environment, done.stdout)


def test_the_build_gives_the_image_the_name_that_the_backend_says(outside: Outside) -> None:
    assert outside.told.splitlines()[-1] == NAME


def test_it_is_listed_as_here_under_that_name(outside: Outside) -> None:
    listed = json.loads(outside.llem("images", "list", "--json").stdout)["images"]
    # What it was built as before has lost the name to it, and is listed by its id.
    (found,) = [image for image in listed if image["reference"] == NAME]
    assert (found["backend"], found["present"], found["target"]) == ("from_outside", True, "any")
    assert all(
        image["reference"] == image["id"] for image in listed if image["backend"] == "from_outside" and image != found
    )
    assert found["llem_version"] == "0.1.0"
    assert found["cuda"] is None


@pytest.mark.skipif(shutil.which("apptainer") is None, reason="Apptainer is not installed here")
def test_it_is_written_to_a_sif_file_that_runs_without_the_engine(outside: Outside, tmp_path: Path) -> None:
    """Of the layers that are here: a build that changes nothing."""
    path = tmp_path / "outside.sif"
    built = outside.build("--format", "sif", "--output", str(path))
    assert built.returncode == 0, built.stderr[-4000:]
    assert built.stdout.splitlines()[-1] == str(path)
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
    inside = ["apptainer", "exec", "--containall", str(path), "python3", "-m", "llem", "plugins", "--json"]
    found = json.loads(subprocess.run(inside, capture_output=True, text=True, check=True).stdout)["plugins"]
    assert "from_outside" in [name for plugin in found for name in plugin["provides"].get("backend", [])]


def test_a_pull_asks_for_that_name_and_says_how_to_build_it(outside: Outside) -> None:
    done = outside.llem("images", "pull", "from_outside")
    assert done.returncode == 1
    assert f"the image {NAME} is not here, and pulling it failed" in done.stderr
    assert "Build it here: llem images build from_outside." in done.stderr


def test_a_run_in_docker_takes_it_without_being_told_its_name(outside: Outside, tmp_path: Path) -> None:
    settings = {"measurement.min_window_s": 0.2, "baseline.enabled": "false", "warmup.enabled": "false"}
    words = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    model = ["--backend", "from_outside", "--model", "random:tiny-llama", "-n", "4", "--output-tokens", "8"]
    done = outside.llem("run", *model, *words, "--runner", "docker", "--no-gaps", "--output", str(tmp_path / "results"))
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = tmp_path.glob("results/*/experiments/*/result.json")
    result: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    assert result["status"] == "done"
    assert result["tokens"]["output"] == 8 * result["tokens"]["requests"]
    assert result["environment"]["study"]["runner"]["image"] == NAME
