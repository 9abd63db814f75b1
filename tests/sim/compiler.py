"""Compiles a shared library of the simulators."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

FLAGS = ("-O2", "-Wall", "-Wextra", "-fPIC", "-shared", "-fvisibility=hidden")


def compile_library(library: Path, sources: Iterable[Path], *flags: str) -> None:
    """Compile C sources to a shared library. Raises RuntimeError where there is no C compiler."""
    try:
        subprocess.run(["cc", *FLAGS, *flags, "-o", str(library), *map(str, sources), "-lm"], check=True)
    except FileNotFoundError as error:
        raise RuntimeError("the simulated meters need a C compiler: apt-get install gcc libc6-dev") from error
