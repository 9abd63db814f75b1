"""A whole experiment on simulated GPUs that a test can disturb while its measured window is open; and whether there is
a real GPU for the tests that need one."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for the simulators in tests/sim
from small_workload import SETTINGS


@functools.cache
def _why_no_gpu() -> str | None:
    try:
        import torch
    except ImportError as error:
        return f"torch cannot be imported: {error}"
    return None if torch.cuda.is_available() else "torch sees no CUDA device on this machine"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked `gpu` say why they cannot run here."""
    if item.get_closest_marker("gpu") is not None and (reason := _why_no_gpu()) is not None:
        pytest.skip(f"needs an NVIDIA GPU: {reason}")


@dataclass
class Running:
    """An experiment whose window is open.

    Attributes:
        directory: its job directory.
    """

    directory: Path
    _faults: Path

    def begin_faults(self) -> None:
        """From now on the scenario's faults happen."""
        temporary = self._faults.with_suffix(".new")
        temporary.write_text(str(time.monotonic_ns()))
        temporary.replace(self._faults)

    def process(self, module: str) -> psutil.Process:
        """The process of this experiment that runs a module."""
        for process in psutil.process_iter():
            try:
                words = process.cmdline()
            except psutil.Error:
                continue
            if words[1:3] == ["-m", module] and str(self.directory) in words:
                return process
        pytest.fail(f"no process runs {module} for this experiment")


@dataclass
class Outcome:
    """The end of an experiment: its result, its folder, what the terminal said."""

    result: Mapping[str, Any]
    directory: Path
    text: str

    @property
    def codes(self) -> set[str]:
        """Codes of its warnings."""
        return {warning["code"] for warning in self.result["warnings"]}

    def warning(self, code: str) -> str:
        """The message of a warning that is there once."""
        (message,) = [w["message"] for w in self.result["warnings"] if w["code"] == code]
        return str(message)


Disturb = Callable[[Running], None]
Experiment = Callable[..., Outcome]


@pytest.fixture
def experiment(simulated_gpus: Callable[[str], Mapping[str, str]], tmp_path: Path) -> Experiment:
    """Runs one experiment of the testbed on a scenario, and disturbs it once its window is open.

    Called with the scenario, what to do in the window (by default the scenario's faults begin), further variables of the
    environment, and settings as `section__key=value`.
    """

    def run(
        scenario: str,
        disturb: Disturb = Running.begin_faults,
        environment: Mapping[str, str] | None = None,
        **settings: object,
    ) -> Outcome:
        faults, output = tmp_path / "faults", tmp_path / "out"
        variables = {**simulated_gpus(f"faults {faults}\n{scenario}"), **(environment or {})}
        command = [sys.executable, "-m", "llem", "run", "--model", "random:tiny-llama", "--backend", "testbed"]
        command += ["--no-gaps", "--output", str(output)]
        for key, value in {**SETTINGS, **{k.replace("__", "."): v for k, v in settings.items()}}.items():
            command += ["--set", f"{key}={value}"]
        log = tmp_path / "terminal.txt"
        with log.open("w") as said:
            process = subprocess.Popen(command, env=variables, stdout=said, stderr=subprocess.STDOUT)
        try:
            directory = _await_window(process, output)
            if directory is not None:
                time.sleep(0.5)
                disturb(Running(directory, faults))
            process.wait(120)
        finally:
            process.kill()
            process.wait()
        results = list(output.glob("*/experiments/*/result.json"))
        assert len(results) == 1, log.read_text()
        return Outcome(json.loads(results[0].read_text()), results[0].parent, log.read_text())

    return run


def _await_window(process: subprocess.Popen[bytes], output: Path) -> Path | None:
    """The job directory once its window is open; None where llem ends before."""
    deadline = time.monotonic() + 60
    while process.poll() is None:
        assert time.monotonic() < deadline, "the window did not open"
        for events in output.glob("*/experiments/*/events.jsonl"):
            for line in events.read_text().splitlines():
                event = json.loads(line) if line.endswith("}") else {}
                if event.get("name") == "window" and event.get("state") == "start":
                    return events.parent
        time.sleep(0.02)
    return None


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A wheel of each distribution of this repository, by its import name."""
    folder, root = tmp_path_factory.mktemp("wheels"), Path(__file__).parent.parent
    for member in [root / "core", *sorted((root / "plugins").iterdir()), *sorted((root / "runners").iterdir())]:
        command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(member)]
        subprocess.run(command, check=True, capture_output=True)
    return {path.name.split("-")[0]: path for path in folder.glob("*.whl")}


@pytest.fixture(scope="session")
def clock_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library for LD_PRELOAD that moves clocks (see tests/sim/clock)."""
    from sim import clock

    return clock.build(tmp_path_factory.mktemp("clock"))


@pytest.fixture
def tenant() -> Any:
    """Another tenant's process."""
    process = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)"], env={"PATH": os.environ["PATH"]}, start_new_session=True
    )
    yield process
    process.kill()
    process.wait()
