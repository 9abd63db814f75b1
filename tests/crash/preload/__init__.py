"""A library for LD_PRELOAD that kills a process at one of its file operations, or notes what reaches the disk (see crash.c)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sim.compiler import compile_library

SOURCE = Path(__file__).with_name("crash.c")


def build(folder: Path) -> Path:
    """Compile the library into a folder. Raises RuntimeError where there is no C compiler."""
    library = folder / "libcrash.so"
    compile_library(library, [SOURCE], "-fvisibility=default")
    return library


def environment(
    library: Path, under: Path, *, order: Path | None = None, record: Path | None = None
) -> Mapping[str, str]:
    """Variables for a process, and all that it starts.

    Args:
        under: the folder whose file operations count.
        order: the file that may name a process to be killed.
        record: an empty folder for what was done and what reached the disk.
    """
    given = {"LD_PRELOAD": library, "CRASH_UNDER": under, "CRASH_ORDER": order, "CRASH_RECORD": record}
    return {name: str(value) for name, value in given.items() if value is not None}
