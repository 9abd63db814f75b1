"""A small image for tests and benchmarks: Python, llem and the testbed backend, of nothing but this machine's distribution and pip."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import docker

ROOT = Path(__file__).parents[2]
BASE = "llem-base"
PYTHON = "llem-test-python"
IMAGE = "llem-test-bed"
SOURCE = "llem.test.source"
PACKAGES = "/usr/lib/python3/dist-packages"
"""Where the image's Python finds llem."""

_PYTHON_DOCKERFILE = f"""
FROM {BASE}
RUN apt-get update -q && apt-get install -q -y --no-install-recommends python3 && rm -rf /var/lib/apt/lists/*
"""


def make() -> str:
    """Make the image, unless it is there and of these very sources, and return its name. Needs an engine, and root once."""
    source = _source()
    if _label(IMAGE) == source:
        return IMAGE
    subprocess.run(["bash", str(ROOT / "images" / "base.sh"), BASE], check=True)
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder), PYTHON, _PYTHON_DOCKERFILE)
    client = docker.from_env()
    told = client.containers.run(
        PYTHON, ["python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], remove=True, network_mode="none"
    )
    client.close()
    with tempfile.TemporaryDirectory() as folder:
        _packages(Path(folder, "packages"), told.decode().strip())
        build(Path(folder), IMAGE, f"FROM {PYTHON}\nCOPY packages {PACKAGES}\nLABEL {SOURCE}={source}\n")
    return IMAGE


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


def _source() -> str:
    """The parts that the image is made of, as one hash."""
    found = hashlib.sha256()
    files = [
        path for name in ("core/src", "tests/testbed") for path in sorted((ROOT / name).rglob("*")) if path.is_file()
    ]
    for path in [*files, ROOT / "core" / "pyproject.toml", ROOT / "constraints.txt"]:
        if "__pycache__" not in path.parts:
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


def _packages(target: Path, version: str) -> None:
    """llem, what it needs, and the testbed, for the Python of the image."""
    wheels = target.parent / "wheels"
    pip = [sys.executable, "-m", "pip", "--quiet"]
    make_wheel = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels), str(ROOT / "core")]
    subprocess.run(make_wheel, check=True)
    install = [*pip, "install", "--target", str(target), "--python-version", version, "--only-binary", ":all:"]
    subprocess.run([*install, "-c", str(ROOT / "constraints.txt"), *map(str, wheels.glob("*.whl"))], check=True)
    shutil.rmtree(wheels)
    testbed = ROOT / "tests" / "testbed"
    shutil.copy(testbed / "llem_testbed.py", target)
    shutil.copytree(testbed / "llem_testbed-1.0.dist-info", target / "llem_testbed-1.0.dist-info")
