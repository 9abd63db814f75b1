"""A whole study of the scenario `server`, run by the command line on a backend that answers by a clock."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

LOADBED = Path(__file__).parent / "loadbed"
STUDY: Mapping[str, Any] = {
    "name": "served",
    "model": "random:tiny-llama",
    "backend": "loadbed",
    "dataset": {"name": "synthetic", "n": 20, "input_tokens": 8, "output_tokens": 20},
    "measurement": {"scenario": "server", "sample_hz": 50, "settle_s": 0, "samplers": ["loadbed"]},
    "baseline": {"enabled": False},
    "warmup": {"enabled": False},
    "load": {"rate_rps": 20, "ramp_s": 0.5, "steady_s": 0, "duration_s": 3, "drain_s": 5},
}


@dataclass(frozen=True)
class Ran:
    """Results by position, and their requests."""

    results: list[dict[str, Any]]
    requests: list[list[dict[str, Any]]]
    said: str


Serve = Callable[..., Ran]


@dataclass(frozen=True)
class StudyRun:
    """A study in a folder of its own.

    Attributes:
        folder: everything of it is in there.
        sections: of the study, over those of `STUDY`.
    """

    folder: Path
    sections: Mapping[str, Any]

    def start(self) -> subprocess.Popen[str]:
        """Begin to run it."""
        study = dict(STUDY)
        for key, value in self.sections.items():
            under = STUDY.get(key)
            study[key] = {**under, **value} if isinstance(under, dict) and isinstance(value, dict) else value
        (self.folder / "s.yaml").write_text(json.dumps(study))
        path = os.pathsep.join([str(LOADBED), os.environ.get("PYTHONPATH", "")])
        command = [sys.executable, "-m", "llem", "run", str(self.folder / "s.yaml"), "--no-gaps"]
        return subprocess.Popen(
            [*command, "--output", str(self.folder / "out"), "--skip-preflight", "load"],
            env={**os.environ, "PYTHONPATH": path, "LOADBED_POWER": str(self.folder / "power")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def jobs(self) -> list[Path]:
        """The folders of its experiments, those that there are by now."""
        return sorted((self.folder / "out").glob("*/experiments/*"))

    def ran(self, said: str) -> Ran:
        """Its results."""
        results = [json.loads((job / "result.json").read_text()) for job in self.jobs()]
        tables = [job / "requests.parquet" for job in self.jobs()]
        rows = [pq.read_table(path).to_pylist() if path.exists() else [] for path in tables]
        return Ran(results, rows, said)


def codes(result: Mapping[str, Any]) -> set[str]:
    """The warnings of a result."""
    return {warning["code"] for warning in result["warnings"]}
