"""The cost of conclusions from a large study: `llem analyze` and `llem report` as whole commands, their time and their memory."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from bench.report import Figure

LOOK_S = 0.02
"""Pause between two looks at a command's memory."""


def analysed(shapes: Sequence[str], size: int, runs: int, output: Path) -> dict[str, Figure]:
    """Figures of studies of so many results: of each shape, and of the shape that takes most."""
    figures: dict[str, Figure] = {}
    for shape in shapes:
        folder = _made(shape, size, output)
        llem = str(Path(sys.executable).with_name("llem"))
        commands = {
            "analyze": [llem, "analyze", str(folder)],
            "report": [llem, "report", str(folder), "-o", str(output / "report.html")],
        }
        for name, command in commands.items():
            seconds = [timed(command) for _ in range(runs)]
            figures[f"{name}_{size}_{shape}_s"] = Figure.of(seconds, "s")
            figures[f"{name}_{size}_{shape}_mb"] = Figure.of([peak_mb(command)], "MiB")
        shutil.rmtree(folder)
    for name in ("analyze", "report"):
        for unit in ("s", "mb"):
            of_shapes = [figures[f"{name}_{size}_{shape}_{unit}"] for shape in shapes]
            figures[f"{name}_{size}_{unit}"] = max(of_shapes, key=lambda figure: figure.value)
    return figures


def _made(shape: str, size: int, output: Path) -> Path:
    command = [sys.executable, "-m", "bench.scaling.shapes", shape, str(size), str(output / shape)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    if found["results"] < size * 0.9:
        raise ValueError(f"the study {shape} has {found['results']} results, not about {size}")
    return Path(found["folder"])


def timed(command: Sequence[str]) -> float:
    """Seconds that a command takes as a whole process. Raises CalledProcessError where it fails."""
    begin = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    return time.perf_counter() - begin


def peak_mb(command: Sequence[str]) -> float:
    """The most memory that a command and its children hold at one time, in MiB; pages that they share count once."""
    highest = 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        whole = psutil.Process(process.pid)
        while process.poll() is None:
            highest = max(highest, _held(whole))
            time.sleep(LOOK_S)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return highest / 2**20


def _held(process: psutil.Process) -> int:
    """Bytes of proportional set size of a process and its children now."""
    found = 0
    try:
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for one in family:
        try:
            text = Path(f"/proc/{one.pid}/smaps_rollup").read_text()
        except OSError:
            continue  # it has ended
        found += sum(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:"))
    return found
