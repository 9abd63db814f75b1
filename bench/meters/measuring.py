"""Runs the three tools side by side on one scenario, and holds what they say against the truth."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from bench.meters import rivals
from bench.meters.scenarios import Scenario, Window, windows

HERE = Path(__file__).parent
TOOLS = ("llem", "zeus", "codecarbon")
WARM_S = 4.0
"""A tool that learns the counter's period, as llem does, needs some ticks; so does a card that has just been found."""


@dataclass(frozen=True)
class Measured:
    """One window by one tool.

    Attributes:
        own_error: how far its figure is from the truth between its own edges, as a share of it; 1 where it has none.
        asked_error: the same between the instants that were asked for.
        true_j: the true energy between those.
        late_ms: how late it was called at the two instants, because the machine was busy.
        moved_ms: how far its own edges lie from the two instants; None where it states none.
        warnings: codes of what it warned about.
    """

    tool: str
    scenario: Scenario
    window: Window
    own_error: float
    asked_error: float
    true_j: float
    late_ms: tuple[float, float]
    moved_ms: tuple[float, float] | None
    warnings: Sequence[str] = ()


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
        self._times: list[tuple[int, int]] = []
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
        self._times = [(start_ns + round(w.begin_s * 1e9), start_ns + round(w.end_s * 1e9)) for w in self._windows]
        for process in self._tools.values():
            assert process.stdin is not None
            process.stdin.write(json.dumps(self._times) + "\n")
            process.stdin.flush()

    def measured(self) -> list[Measured]:
        """Wait for the figures, and compare them."""
        told = {tool: [self._read(tool) for _ in self._windows] for tool in TOOLS}
        from sim.nvml import Truth

        truth = Truth(self._library, self._file)

        def true_j(begin_ns: int, end_ns: int) -> float:
            return sum(truth.energy_j(gpu, begin_ns, end_ns) for gpu in range(self.scenario.gpus))

        found = []
        for tool, answers in told.items():
            for window, asked, answer in zip(self._windows, self._times, answers, strict=True):
                # Where a tool does not say to which instants its figure belongs, those count that suit it best.
                spans = [span for span in product(*answer["own"]) if span[1] > span[0]]
                own = [error_of(answer["own_j"], true_j(*span)) for span in spans]
                asked_j = true_j(*asked)
                states = all(earliest == latest for earliest, latest in answer["own"])
                found.append(
                    Measured(
                        tool=tool,
                        scenario=self.scenario,
                        window=window,
                        own_error=min(own, default=1.0),
                        asked_error=error_of(answer["asked_j"], asked_j),
                        true_j=asked_j,
                        late_ms=_apart_ms([call[0] for call in answer["calls"]], asked),
                        moved_ms=_apart_ms([edge[0] for edge in answer["own"]], asked) if states else None,
                        warnings=answer["warnings"],
                    )
                )
        return found

    def _read(self, tool: str) -> dict[str, Any]:
        process = self._tools[tool]
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"{tool} ended:\n{(self._folder / tool / 'log').read_text()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def error_of(told_j: float | None, true_j: float) -> float:
    """Distance from the truth as a share of it; 1, as for a figure of 0 J, where nothing was told."""
    return 1.0 if told_j is None else abs(told_j - true_j) / true_j


def _apart_ms(times: Sequence[int], asked: Sequence[int]) -> tuple[float, float]:
    first, last = ((t - due) / 1e6 for t, due in zip(times, asked, strict=True))
    return first, last
