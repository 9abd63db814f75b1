"""Runs the three tools side by side on one scenario, and holds what they say against the truth."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from bench.meters import rivals
from bench.meters.scenarios import Scenario, Window, windows

HERE = Path(__file__).parent
TOOLS = ("llem", "zeus", "codecarbon")
WARM_S = 4.0
"""A tool that learns the counter's period, as llem does, needs some ticks; so does a card that has just been found."""


@dataclass(frozen=True)
class Error:
    """How far one figure of one tool is from the truth, as a share of it, and what the tool warned about."""

    tool: str
    scenario: Scenario
    window: Window
    error: float
    warnings: Sequence[str] = field(default=())


class Run:
    """One scenario under way. Use as a context: leaving it ends the processes.

    Args:
        scenario: what is simulated.
        library: the simulated NVML.
        folder: an empty folder.
        quick: fewer windows.
    """

    def __init__(self, scenario: Scenario, library: Path, folder: Path, quick: bool) -> None:
        self.scenario, self._folder = scenario, folder
        self._windows = windows(scenario, quick)
        self._library = library
        self._file = folder / "scenario.txt"
        self._file.write_text(scenario.text(time.monotonic_ns()))
        self._stack = ExitStack()
        self._tools: dict[str, subprocess.Popen[str]] = {}

    def __enter__(self) -> Run:
        pythons = {"llem": Path(sys.executable), **dict.fromkeys(TOOLS[1:], rivals.python())}
        for tool in TOOLS:
            home = self._folder / tool
            home.mkdir()
            environment = {
                name: value for name, value in os.environ.items() if not name.startswith(("CUDA_", "CODECARBON"))
            }
            environment |= {"LD_LIBRARY_PATH": str(self._library.parent), "NVML_SIM": str(self._file)}
            # CodeCarbon takes a machine without `nvidia-smi` for one without GPUs. No tool shall read a user's settings.
            environment |= {"PATH": f"{self._library.parent}{os.pathsep}{os.environ['PATH']}", "HOME": str(home)}
            self._tools[tool] = process = subprocess.Popen(
                [str(pythons[tool]), str(HERE / f"with_{tool}.py"), str(home)],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stack.enter_context((home / "log").open("w")),
                text=True,
            )
            self._stack.callback(process.wait)
            self._stack.callback(process.kill)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def await_ready(self) -> None:
        """Wait until every tool could measure."""
        for tool, process in self._tools.items():
            assert process.stdout is not None
            if process.stdout.readline().strip() != "ready":
                raise RuntimeError(f"{tool} does not start:\n{(self._folder / tool / 'log').read_text()}")

    def begin(self, start_ns: int) -> None:
        """Have every tool measure the same windows, the first of them at this time."""
        times = [[start_ns + round(w.begin_s * 1e9), start_ns + round(w.end_s * 1e9)] for w in self._windows]
        for process in self._tools.values():
            assert process.stdin is not None
            process.stdin.write(json.dumps(times) + "\n")
            process.stdin.flush()

    def errors(self) -> list[Error]:
        """Wait for the figures, and compare them."""
        told = {tool: [self._read(tool) for _ in self._windows] for tool in TOOLS}
        from sim.nvml import Truth

        truth = Truth(self._library, self._file)

        def true_j(begin_ns: int, end_ns: int) -> float:
            return sum(truth.energy_j(gpu, begin_ns, end_ns) for gpu in range(self.scenario.gpus))

        found = []
        for tool, answers in told.items():
            for window, answer in zip(self._windows, answers, strict=True):
                # Where a tool does not say to which instants its figure belongs, those count that suit it best.
                spans = [true_j(begin, end) for begin, end in product(answer["begin"], answer["end"])]
                error = min(abs(answer["energy_j"] - joules) / joules for joules in spans)
                found.append(Error(tool, self.scenario, window, error, answer["warnings"]))
        return found

    def _read(self, tool: str) -> dict[str, object]:
        process = self._tools[tool]
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"{tool} ended:\n{(self._folder / tool / 'log').read_text()}")
        answer: dict[str, object] = json.loads(line)
        return answer
