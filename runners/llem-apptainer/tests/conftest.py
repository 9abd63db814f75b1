"""Small images of this machine's own Python, hostile ones made of them, and `llem run`."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from llem.errors import LlemError
from llem_containers.apptainer import find, why_no_rights

sys.path.insert(0, str(Path(__file__).parent))
import rootfs
from container_runs import HOSTILE_HEAD, Ran

SETTINGS: Mapping[str, object] = {
    "dataset.name": "synthetic",
    "dataset.n": 4,
    "dataset.input_tokens": 8,
    "dataset.output_tokens": 8,
    "measurement.min_window_s": 0.2,
    "measurement.settle_s": 0,
    "warmup.enabled": "false",
    "baseline.enabled": "false",
}
"""A short experiment."""


@functools.cache
def _why_not() -> str | None:
    try:
        find()
        wrong = why_no_rights()
    except LlemError as error:
        return str(error)
    return str(wrong) if wrong is not None else None


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked `apptainer` say why they cannot run here."""
    if item.get_closest_marker("apptainer") is not None and (reason := _why_not()) is not None:
        pytest.skip(f"needs Apptainer: {reason}")


@pytest.fixture(scope="session")
def shared() -> Iterator[Path]:
    """A folder of images, which every user can read."""
    folder = Path(tempfile.mkdtemp(prefix="apptainer-images-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def bed(shared: Path) -> Path:
    """A folder with Python, llem, the runner and the testbed backend: an image as it is, and an environment of its own."""
    return rootfs.make(
        shared / "bed", ("core", "plugins/llem-hub", "runners/llem-containers", "runners/llem-apptainer")
    )


@pytest.fixture(scope="session")
def sif(bed: Path) -> Path:
    """The same as a SIF file."""
    path = bed.parent / "bed.sif"
    quick = ["--mksquashfs-args", "-comp gzip -Xcompression-level 1"]
    subprocess.run(["apptainer", "--silent", "build", *quick, str(path), str(bed)], check=True)
    return path


@pytest.fixture(scope="session")
def hostile(bed: Path) -> Callable[[str, str], Path]:
    """Takes a name and a program, returns an image that runs it in place of llem's worker."""
    made: dict[str, Path] = {}

    def make(name: str, program: str) -> Path:
        if name not in made:
            made[name] = bed.parent / name
            # Of the same files, but for the one.
            subprocess.run(["cp", "-al", str(bed), str(made[name])], check=True)
            worker = rootfs.packages_of(made[name]) / "llem" / "worker.py"
            worker.unlink()
            worker.write_text(HOSTILE_HEAD + program)
        return made[name]

    return make


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., list[str]]:
    """Takes an image and settings, returns the `llem run` of one short experiment, results in `tmp_path/results`."""

    def make(image: object, *words: str, **settings: object) -> list[str]:
        values = {**SETTINGS, **{key.replace("__", "."): value for key, value in settings.items()}}
        return [
            *(sys.executable, "-m", "llem", "run", "--backend", "testbed", "--no-gaps"),
            *("--runner", f"apptainer:{image}", "--model", "random:tiny-llama", "--output", str(tmp_path / "results")),
            *(word for key, value in values.items() for word in ("--set", f"{key}={value}")),
            *words,
        ]

    return make


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Variables of a `llem run` whose cache and temporary files are the test's own."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    found = {name: value for name, value in os.environ.items() if not name.startswith(("APPTAINER", "SINGULARITY"))}
    return {**found, "XDG_CACHE_HOME": str(tmp_path / "cache"), "TMPDIR": str(temporary)}


@pytest.fixture
def llem_run(command: Callable[..., list[str]], environ: dict[str, str], tmp_path: Path) -> Callable[..., Ran]:
    """Runs one short experiment in an image to its end. `environ` is added to the environment."""

    def run(image: object, *words: str, more: Mapping[str, str] | None = None, **settings: object) -> Ran:
        done = subprocess.run(
            command(image, *words, **settings),
            env={**environ, **(more or {})},
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
        )
        found = sorted((tmp_path / "results").glob("*/experiments/*/result.json"))
        return Ran(done.returncode, done.stderr, tmp_path / "results", [json.loads(path.read_text()) for path in found])

    return run


@pytest.fixture(scope="session")
def docker_archive() -> Callable[[Path, Path], Path]:
    """Takes a folder and a file's name, writes the folder as `docker save` writes an image of one layer."""

    def write(folder: Path, target: Path) -> Path:
        layer = target.with_suffix(".layer")
        with tarfile.open(layer, "w") as out:
            out.add(folder, ".")
        with layer.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        config = json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": {},
                "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
            }
        ).encode()
        name = f"{hashlib.sha256(config).hexdigest()}.json"
        manifest = json.dumps([{"Config": name, "RepoTags": ["x:1"], "Layers": ["layer.tar"]}]).encode()
        with tarfile.open(target, "w") as out:
            for one, content in ((name, config), ("manifest.json", manifest)):
                info = tarfile.TarInfo(one)
                info.size = len(content)
                out.addfile(info, io.BytesIO(content))
            out.add(layer, "layer.tar")
        layer.unlink()
        return target

    return write
