"""`llem plugin new` writes a distribution that works at once: it installs, its own tests pass, and llem takes it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from plain_environment import plain_environment

pytestmark = pytest.mark.process

KINDS = {"backend": "a-backend", "runner": "a-runner", "sampler": "a-sampler", "check": "a-check"}
PROVIDED = {
    "backend": {"backend": ["a_backend"]},
    "runner": {"runner": ["a_runner"]},
    "sampler": {"energy sampler": ["a-sampler"]},
    "check": {"preflight check": ["a-check"]},
}


def llem(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "llem", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload,no-any-return]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Mapping[str, str]]:
    """The folder with one new distribution of each kind, and the environment of a process that has them installed."""
    folder, site = tmp_path_factory.mktemp("new"), tmp_path_factory.mktemp("site")
    for kind, name in KINDS.items():
        done = llem("plugin", "new", name, "--kind", kind, "--directory", str(folder))
        assert done.returncode == 0, done.stderr
        assert "pytest" in done.stdout
    options = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(site)]
    done = subprocess.run([*command, *map(str, folder.iterdir())], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    environment = plain_environment()
    path = os.pathsep.join([str(site), os.environ["PYTHONPATH"]])
    return folder, {**environment, "PYTHONPATH": path, "XDG_CONFIG_HOME": str(site / "no-config")}


@pytest.mark.parametrize("kind", KINDS)
def test_its_own_tests_pass(made: tuple[Path, Mapping[str, str]], kind: str) -> None:
    folder, environment = made
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        command, cwd=folder / f"llem-{KINDS[kind]}", env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout


def test_llem_lists_each_with_what_it_provides(made: tuple[Path, Mapping[str, str]]) -> None:
    listed = json.loads(llem("plugins", "--json", env=made[1]).stdout)["plugins"]
    found = {p["distribution"]: (p["provides"], p["set_aside"]) for p in listed}
    for kind, name in KINDS.items():
        assert found[f"llem-{name}"] == (PROVIDED[kind], None)


def test_what_is_written_is_formatted_and_typed(made: tuple[Path, Mapping[str, str]]) -> None:
    folder = made[0]
    sources = [str(path) for path in sorted(folder.glob("*/src"))]
    for command in (
        ["ruff", "format", "--line-length=120", "--check", "--isolated", str(folder)],
        ["mypy", "--strict", *sources],
    ):
        done = subprocess.run([sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_backend_brings_the_recipe_of_an_image_under_the_name_that_it_says(
    made: tuple[Path, Mapping[str, str]], tmp_path: Path
) -> None:
    folder, environment = made
    dockerfile = folder / "llem-a-backend" / "src" / "llem_a_backend" / "image" / "Dockerfile"
    assert "${BASE}" in dockerfile.read_text()
    listed = json.loads(llem("images", "list", "--json", env=environment).stdout)["images"]
    assert ("a_backend", "llem-a-backend:0.1.0") in [(image["backend"], image["reference"]) for image in listed]
    done = llem("images", "build", "a_backend", "--context", str(tmp_path / "context"), env=environment)
    assert done.returncode == 0, done.stderr
    context = tmp_path / "context"
    assert (context / "Dockerfile").read_text().startswith(dockerfile.read_text())
    wheels = [path.name for path in (context / "llem").iterdir()]
    assert any(name.startswith("llem_a_backend-0.1.0-") for name in wheels), wheels


def test_it_is_whole(made: tuple[Path, Mapping[str, str]]) -> None:
    folder = made[0] / "llem-a-sampler"
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} >= {
        ".github/workflows/ci.yml",
        ".gitignore",
        "LICENSE",
        "README.md",
        "pyproject.toml",
        "src/llem_a_sampler/__init__.py",
        "src/llem_a_sampler/plugin.py",
        "src/llem_a_sampler/py.typed",
        "src/llem_a_sampler/sampler.py",
        "tests/test_a_sampler.py",
    }
    workflow = (folder / ".github/workflows/ci.yml").read_text()
    assert "${{ matrix.python }}" in workflow
    assert "$" not in (folder / "src/llem_a_sampler/sampler.py").read_text()
    assert (folder / "LICENSE").read_text() == (Path(__file__).parents[3] / "LICENSE").read_text()


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("My Engine", "backend", "Such as my-engine"),
        ("9lives", "check", "Such as my-meter"),
        ("a--b", "check", "Such as a-b"),
        ("x" * 60, "check", "at most 40"),
        ("", "check", "Such as my-meter"),
        ("../up", "check", "Such as up"),
        ("model", "backend", "a key of every study"),
        ("testbed", "backend", "a backend `testbed` already"),
        ("nvml", "sampler", "an energy sampler `nvml` already"),
        ("slurm", "runner", "llem-slurm"),
        ("llem-pytorch", "sampler", "llem-pytorch already"),
    ],
)
def test_a_name_that_cannot_be_is_refused_with_a_way_out(name: str, kind: str, said: str, tmp_path: Path) -> None:
    done = llem("plugin", "new", "--kind", kind, "--directory", str(tmp_path), "--", name)
    assert done.returncode == 2
    assert said in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten_and_nothing_is_left_half(tmp_path: Path) -> None:
    (tmp_path / "llem-mine").mkdir()
    assert llem("plugin", "new", "mine", "--kind", "check", "--directory", str(tmp_path)).returncode == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    done = llem("plugin", "new", "mine", "--kind", "sampler", "--directory", str(tmp_path))
    assert done.returncode == 2
    assert "nothing of it is overwritten" in done.stderr
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["llem-mine"]


def test_help_teaches() -> None:
    text = llem("plugin", "new", "--help").stdout
    assert "Examples:" in text
    assert "--kind" in text
    assert "llem plugin new my-engine --kind backend" in text
