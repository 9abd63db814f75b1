"""Puts the test backend on the path, here and in every worker that a test starts; offers the simulated NVML."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

_ROOT = Path(__file__).parent
_TESTBED = str(_ROOT / "tests" / "testbed")
sys.path.insert(0, _TESTBED)
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [_TESTBED, os.environ.get("PYTHONPATH")]))


@pytest.fixture(scope="session")
def nvml_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The simulated libnvidia-ml.so.1, compiled."""
    sys.path.insert(0, str(_ROOT / "tests"))
    from sim import nvml

    return nvml.build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def simulated_gpus(nvml_library: Path, tmp_path: Path) -> Callable[[str], Mapping[str, str]]:
    """Takes a scenario (see tests/sim/nvml/scenario.h), returns the environment of a process that sees its GPUs."""

    def write(scenario: str) -> Mapping[str, str]:
        file = tmp_path / "scenario.txt"
        file.write_text(f"epoch {time.monotonic_ns()}\n{scenario}")
        return {**os.environ, "LD_LIBRARY_PATH": str(nvml_library.parent), "NVML_SIM": str(file)}

    return write
