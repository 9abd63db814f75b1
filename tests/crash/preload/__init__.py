"""A shared object for LD_PRELOAD: kills a process at one of its file operations, or notes what reaches the disk (see crash.c)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sim.compiler import compile_library

SOURCE = Path(__file__).with_name("crash.c")


def build(folder: Path) -> Path:
    """Compile it into a folder. Raises RuntimeError where there is no C compiler."""
    made = folder / "libcrash.so"
    compile_library(made, [SOURCE], "-fvisibility=default")
    return made


def environment(
    preload: Path, under: Path, *, order: Path | None = None, record: Path | None = None
) -> Mapping[str, str]:
    """Variables for a process, and all that it starts.

    Args:
        preload: what `build` made.
        under: the folder whose file operations count.
        order: the file that may name a process to be killed.
        record: an empty folder for what was done and what reached the disk.
    """
    given = {"LD_PRELOAD": preload, "CRASH_UNDER": under, "CRASH_ORDER": order, "CRASH_RECORD": record}
    return {name: str(value) for name, value in given.items() if value is not None}
