"""A secret that a study was given stays in the study's own files: no result, manifest, log or line on the terminal has it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.process

STUDY = """
name: secret
model: random:tiny-llama
backend: testbed
dataset: {name: synthetic, n: 1, input_tokens: 4, output_tokens: 4}
measurement: {min_window_s: 0, settle_s: 0}
baseline: {enabled: false}
warmup: {enabled: false}
sweep:
  model.tokenizer: ["https://me:pass-word-2@example.org/t"]
  testbed.fail: [no, raise, kill]
"""


@pytest.mark.parametrize("address", ["https://me:pass-word-2@example.org/t", "https:/me:pass-word-2@example.org/t"])
@pytest.mark.parametrize("key", ["model", "model.tokenizer", "dataset.path"])
def test_a_password_is_in_no_message_of_what_is_refused(
    llem_here: Callable[..., Any], tmp_path: Path, key: str, address: str
) -> None:
    study = STUDY.replace("[no,", '["no",').replace("  model.tokenizer: [", f"  {key}: [")
    if key == "dataset.path":
        study = study.replace("name: synthetic", "name: jsonl").replace(", input_tokens: 4", "")
    (tmp_path / "s.yaml").write_text(study.replace("https://me:pass-word-2@example.org/t", address))
    for command in (["run"], ["run", "--dry-run"], ["run", "--dry-run", "--json"]):
        done = llem_here(*command, tmp_path / "s.yaml", "--no-gaps", "--output", tmp_path / "out")
        assert done.returncode in (2, 3), done.stderr
        assert "pass-word-2" not in done.stdout + done.stderr


def test_a_password_in_a_swept_address_is_hidden_wherever_the_study_tells_of_it(
    llem: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "s.yaml").write_text(STUDY.replace("[no,", '["no",'))
    done = llem("run", tmp_path / "s.yaml", "--no-gaps", "--skip-preflight", "models", "--output", tmp_path / "out")
    assert done.returncode == 1
    assert "pass-word-2" not in done.stdout + done.stderr
    told = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len([path for path in told if path.name == "result.json"]) == 3
    having = {path.name for path in told if b"pass-word-2" in path.read_bytes()}
    # What the user wrote, what a worker is told to do, and what a resumed study goes on from.
    assert having == {"study.yaml", "experiment.json", "study.json"}
