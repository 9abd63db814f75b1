"""Every study of examples/ runs for real: at one value of each axis, on a moment's work. Plugins there: the tier install."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

pytestmark = pytest.mark.process

ENGINES_APART = {"prefix_reuse.yaml"}
"""Examples over engines that no environment of this tier has: the tests of their plugins run each engine's part."""

EXAMPLES = sorted(
    path for path in (Path(__file__).parent.parent / "examples").glob("*.yaml") if path.name not in ENGINES_APART
)
SHORT = {
    "dataset.n": 2,
    "dataset.output_tokens": 4,
    "measurement.min_window_s": 0.5,
    "measurement.settle_s": 0,
    "warmup.enabled": "false",
    "baseline.enabled": "false",
    "execution.cycles": 1,
}
SHORT_LOAD = {"load.ramp_s": 0, "load.steady_s": 0, "load.duration_s": 6}
SHORT_VLLM = {"vllm.enforce_eager": "true"}  # or it compiles for a minute, for eight tokens


def _in_images(text: str) -> bool:
    return "docker" in str(yaml.safe_load(text).get("runners"))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(text, id=path.name, marks=pytest.mark.docker if _in_images(text) else pytest.mark.model)
        for path in EXAMPLES
        if (text := path.read_text(encoding="utf-8"))
    ],
)
@pytest.mark.timeout(1200)
def test_it_runs(text: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    document: dict[str, Any] = yaml.safe_load(text)
    axes: dict[str, list[Any]] = document["sweep"]
    document["sweep"] = {key: values if key == "backend" else values[:1] for key, values in axes.items()}
    backends = axes.get("backend") or [document["backend"]]
    if _in_images(text):
        cpu_image: Callable[[str], str] = request.getfixturevalue("cpu_image")
        document["runners"] = {backend: f"docker:{cpu_image(backend)}" for backend in backends}
    study = tmp_path / "study.yaml"
    study.write_text(yaml.safe_dump(document), encoding="utf-8")
    command = [sys.executable, "-m", "llem", "run", str(study), "--no-gaps", "--output", str(tmp_path / "results")]
    short = {**SHORT, **(SHORT_LOAD if "load" in document else {}), **(SHORT_VLLM if "vllm" in backends else {})}
    command += [word for key, value in short.items() for word in ("--set", f"{key}={value}")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = {path.parent: json.loads(path.read_text()) for path in tmp_path.glob("results/*/experiments/*/result.json")}
    assert sorted(result["config"]["backend"] for result in found.values()) == sorted(backends)
    for job, result in found.items():
        rows = pq.read_table(job / "requests.parquet").to_pylist()
        assert {row["output_tokens"] for row in rows if row.get("error") is None} == {4}
        # Under load tokens and requests count where each falls into the window.
        given = sum(row.get("window_tokens", row["output_tokens"]) for row in rows)
        assert result["tokens"]["output"] == given
        if result["config"]["measurement"]["scenario"] != "server":
            assert given == 4 * result["tokens"]["requests"]
        assert result["throughput"]["tokens_per_s"] > 0
