"""Every benchmark runs in its quick form and writes what it should. Its timings decide nothing here."""

from __future__ import annotations

import importlib.util
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NAMES = sorted(
    p.stem for p in (ROOT / "bench").glob("*.py") if p.stem not in {"__init__", "__main__", "report", "studies"}
)

BY_HAND = {"serving_crosscheck"}
"""They want an interpreter that no tier sets up: vLLM's client beside its server. Their results are kept all the same."""


@pytest.mark.bench
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", sorted({*NAMES} - BY_HAND))
def test_a_benchmark_writes_its_figures(name: str, tmp_path: Path) -> None:
    if name == "throughput_vllm" and importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed here: make bench-vllm sets it up, and runs this benchmark")
    file = tmp_path / "figures.json"
    command = [sys.executable, "-m", f"bench.{name}", "--quick", "--json", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    data = json.loads(file.read_text())
    assert data["name"] == name
    assert data["machine"]["cpu"]
    assert data["figures"]
    for key, figure in data["figures"].items():
        assert math.isfinite(figure["value"]), key
        assert figure["value"] >= 0, key
        assert figure["n"] >= 1, key
        assert figure["unit"], key


def test_every_benchmark_has_kept_results() -> None:
    for name in NAMES:
        kept = json.loads((ROOT / "bench" / "results" / f"{name}.json").read_text())
        assert kept["name"] == name
        assert kept["machine"]["packages"]["llem"] != "not installed"
