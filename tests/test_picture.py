"""The picture of a study that the README shows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[1]
STUDY = """\
name: drawn
model: random:tiny-llama
backend: testbed
dataset: {name: synthetic, n: 2, input_tokens: 4, output_tokens: 4}
sweep: {testbed.batch_size: [1, 2]}
measurement: {min_window_s: 0.5, settle_s: 0, samplers: [estimate]}
baseline: {enabled: false}
warmup: {enabled: false}
execution: {experiment_gap_s: 0}
"""


def draw(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "docs.picture", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_study_s_picture_names_its_configurations_and_both_figures(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    run = [sys.executable, "-m", "llem", "run", "study.yaml", "--quiet", "--output", "results"]
    subprocess.run(run, cwd=tmp_path, check=True, capture_output=True)
    picture = tmp_path / "picture.svg"
    done = draw(next((tmp_path / "results").iterdir()), picture)
    assert done.returncode == 0, done.stderr
    text = picture.read_text()
    for words in (
        "batch_size 1",
        "batch_size 2",
        "output tokens per second",
        "joules per output token (cpu, estimate)",
    ):
        assert words in text
    first = text
    draw(next((tmp_path / "results").iterdir()), picture)
    assert picture.read_text() == first, "the same study gives the same file"
