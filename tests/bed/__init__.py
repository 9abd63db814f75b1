"""A small image for tests and benchmarks: Python, llem and the testbed backend, of nothing but this machine's distribution and pip."""

from __future__ import annotations

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
PACKAGES = "/usr/lib/python3/dist-packages"
"""Where the image's Python finds llem."""

_PYTHON_DOCKERFILE = f"""
FROM {BASE}
RUN apt-get update -q && apt-get install -q -y --no-install-recommends python3 && rm -rf /var/lib/apt/lists/*
"""


def make() -> str:
    """Make the image and return its name; layers that are there already are used. Needs an engine, and root once."""
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
        build(Path(folder), IMAGE, f"FROM {PYTHON}\nCOPY packages {PACKAGES}\n")
    return IMAGE


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
