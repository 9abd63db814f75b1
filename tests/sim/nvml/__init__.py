"""A simulated NVML: builds the shared library and writes scenarios, so that the real bindings run without a GPU."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Mapping
from pathlib import Path

from sim.compiler import compile_library

HERE = Path(__file__).parent


def build(folder: Path) -> Path:
    """Compile `libnvidia-ml.so.1` into a folder, which then goes into LD_LIBRARY_PATH. Raises where there is no C compiler.

    Beside it is an `nvidia-smi` that succeeds and says nothing: some programs look for one before they ask NVML.
    """
    library = folder / "libnvidia-ml.so.1"
    compile_library(library, [HERE / name for name in ("nvml.c", "scenario.c", "power.c")])
    command = folder / "nvidia-smi"
    command.write_text("#!/bin/sh\nexit 0\n")
    command.chmod(0o755)
    return library


def environment(library: Path, scenario: Path) -> Mapping[str, str]:
    """Variables for a process that shall see the simulated GPUs."""
    return {"LD_LIBRARY_PATH": str(library.parent), "NVML_SIM": str(scenario)}


class Truth:
    """The true consumption of a scenario's cards: the exact integral of their power, whatever counters and meters say.

    One scenario at a time in a process: a second one takes the place of the first.

    Args:
        library: as `build` made it.
        scenario: the scenario file; its first line must be `epoch NS`.
    """

    def __init__(self, library: Path, scenario: Path) -> None:
        self._library = ctypes.CDLL(str(library))
        for name in ("sim_energy_j", "sim_power_w", "sim_now_s"):
            getattr(self._library, name).restype = ctypes.c_double
        self._epoch_ns = int(scenario.read_text().split()[1])
        if not self._library.sim_load(str(scenario).encode()):
            raise ValueError(f"{scenario} is not a scenario that can be read")

    def energy_j(self, gpu: int, start_ns: int, end_ns: int) -> float:
        """Joules of a card, by its index, between two times of the monotonic clock."""
        return float(self._library.sim_energy_j(gpu, self._seconds(start_ns), self._seconds(end_ns)))

    def power_w(self, gpu: int, at_ns: int) -> float:
        """Watts at a time."""
        return float(self._library.sim_power_w(gpu, self._seconds(at_ns)))

    def _seconds(self, t_ns: int) -> ctypes.c_double:
        return ctypes.c_double((t_ns - self._epoch_ns) / 1e9)


class Load:
    """A load that a process switches on and off: `power trace IDLE_W FILE` follows what is set here.

    Args:
        file: the trace, made empty.
        epoch_ns: the scenario's second 0.
    """

    def __init__(self, file: Path, epoch_ns: int) -> None:
        self._file, self._epoch_ns = file, epoch_ns
        file.write_text("")

    def set(self, watts: float) -> int:
        """From now on the card draws so much; returns the time (monotonic ns)."""
        now_ns = time.monotonic_ns()
        with self._file.open("a") as stream:
            stream.write(f"{(now_ns - self._epoch_ns) / 1e9:.9f} {watts:g}\n")
        return now_ns
