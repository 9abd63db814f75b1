"""Small images for tests and benchmarks, of nothing but this machine's distribution and pip: Python, llem and the testbed backend,
and on top of that what runs the scenario `server`."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import docker

ROOT = Path(__file__).parents[2]
BASE = "llem-base"
PYTHON = "llem-test-python"
IMAGE = "llem-test-bed"
SERVING = "llem-test-serving"
SOURCE = "llem.test.source"
PACKAGES = "/usr/lib/python3/dist-packages"
"""Where the image's Python finds llem."""

TESTBED = ROOT / "tests" / "testbed"
LOADBED = ROOT / "plugins" / "llem-serving" / "tests" / "loadbed"
_PARTS = ("core/src", "core/pyproject.toml", "tests/testbed", "constraints.txt")
_SERVING_PARTS = (
    *(f"plugins/{name}/{part}" for name in ("llem-analysis", "llem-serving") for part in ("src", "pyproject.toml")),
    "plugins/llem-serving/tests/loadbed",
)

_PYTHON_DOCKERFILE = f"""
FROM {BASE}
RUN apt-get update -q && apt-get install -q -y --no-install-recommends python3 && rm -rf /var/lib/apt/lists/*
"""


def make() -> str:
    """Make the image, unless it is there and of these very sources, and return its name. Needs an engine, and root once."""
    source = _source(*_PARTS)
    if _label(IMAGE) == source:
        return IMAGE
    subprocess.run(["bash", str(ROOT / "images" / "base.sh"), BASE], check=True)
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder), PYTHON, _PYTHON_DOCKERFILE)
    _lay(IMAGE, PYTHON, source, ["core"], [], TESTBED)
    return IMAGE


def make_serving() -> str:
    """The same image with llem-serving and the backend `loadbed` in it, likewise."""
    below = make()
    source = _source(*_PARTS, *_SERVING_PARTS)
    if _label(SERVING) != source:
        # Of what they need a worker imports nothing but numpy; llem is there, and no index shall be asked for another.
        _lay(SERVING, below, source, ["plugins/llem-analysis", "plugins/llem-serving"], ["--no-deps", "numpy"], LOADBED)
    return SERVING


def _lay(image: str, below: str, source: str, members: Sequence[str], more: Sequence[str], backend: Path) -> None:
    """Build an image: distributions of this repository and a test's backend on top of another image."""
    client = docker.from_env()
    command = ["python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    told = client.containers.run(below, command, remove=True, network_mode="none")
    client.close()
    with tempfile.TemporaryDirectory() as folder:
        _packages(Path(folder, "packages"), told.decode().strip(), members, more)
        shutil.copytree(
            backend, Path(folder, "packages"), dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
        )
        build(Path(folder), image, f"FROM {below}\nCOPY packages {PACKAGES}\nLABEL {SOURCE}={source}\n")


def unpack(folder: Path) -> Path:
    """The packages of the image, copied into a folder of this machine."""
    client = docker.from_env()
    container = client.containers.create(make())
    try:
        pieces, _ = container.get_archive(PACKAGES)
        command = ["tar", "-x", "-C", str(folder)]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as tar:
            assert tar.stdin is not None
            for piece in pieces:
                tar.stdin.write(piece)
    finally:
        container.remove()
        client.close()
    return folder / Path(PACKAGES).name


def _source(*parts: str) -> str:
    """The parts that an image is made of, as one hash."""
    found = hashlib.sha256()
    for part in (ROOT / one for one in parts):
        for path in sorted(part.rglob("*")) if part.is_dir() else [part]:
            if path.is_file() and "__pycache__" not in path.parts:
                found.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def _label(image: str) -> str | None:
    client = docker.from_env()
    try:
        label: str | None = client.images.get(image).labels.get(SOURCE)
    except docker.errors.ImageNotFound:
        return None
    finally:
        client.close()
    return label


def build(context: Path, tag: str, dockerfile: str) -> str:
    """Build an image of a folder and the text of a Dockerfile; returns the tag."""
    (context / "Dockerfile").write_text(dockerfile)
    client = docker.from_env()
    client.images.build(path=str(context), tag=tag, network_mode="host", rm=True)
    client.close()
    return tag


def _packages(target: Path, version: str, members: Sequence[str], more: Sequence[str]) -> None:
    """Distributions of this repository and what they need, for the Python of the image; `more` are further words of pip."""
    wheels = target.parent / "wheels"
    pip = [sys.executable, "-m", "pip", "--quiet"]
    make_wheels = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels)]
    subprocess.run([*make_wheels, *(str(ROOT / member) for member in members)], check=True)
    install = [*pip, "install", "--target", str(target), "--python-version", version, "--only-binary", ":all:", *more]
    subprocess.run([*install, "-c", str(ROOT / "constraints.txt"), *map(str, wheels.glob("*.whl"))], check=True)
    shutil.rmtree(wheels)
