"""A simulated NVML: builds the shared library and writes scenarios, so that the real bindings run without a GPU."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).parent


def build(folder: Path) -> Path:
    """Compile `libnvidia-ml.so.1` into a folder, which then goes into LD_LIBRARY_PATH. Raises where there is no C compiler."""
    library = folder / "libnvidia-ml.so.1"
    sources = [str(HERE / name) for name in ("nvml.c", "scenario.c", "power.c")]
    flags = ["-O2", "-Wall", "-Wextra", "-fPIC", "-shared", "-fvisibility=hidden"]
    subprocess.run(["cc", *flags, "-o", str(library), *sources, "-lm"], check=True)
    return library


def environment(library: Path, scenario: Path) -> Mapping[str, str]:
    """Variables for a process that shall see the simulated GPUs."""
    return {"LD_LIBRARY_PATH": str(library.parent), "NVML_SIM": str(scenario)}
