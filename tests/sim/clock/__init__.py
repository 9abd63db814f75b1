"""Clocks that tests can move: a library for LD_PRELOAD, built on demand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sim.compiler import compile_library

HERE = Path(__file__).parent


def build(folder: Path) -> Path:
    """Compile the library into a folder. Raises where there is no C compiler."""
    library = folder / "libclock.so"
    compile_library(library, [HERE / "clock.c"], "-fvisibility=default")
    return library


def environment(library: Path, steps: Path) -> Mapping[str, str]:
    """Variables for a process whose clocks follow the file `steps` (see clock.c)."""
    return {"LD_PRELOAD": str(library), "CLOCK_SIM": str(steps)}
