"""A worker that nothing else could end with its llem watches a pipe; its job may come by LLEM_CONFIG_PATH."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llem.config.compose import Composer
from llem.config.identity import config_hash
from llem.plugins import Registry
from llem.results.job_directory import JobDocument
from llem.specs.kinds import BACKENDS, SCENARIOS

pytestmark = pytest.mark.process


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., Path]:
    """Writes the job directory of an experiment on the testbed."""

    def write(**options: Any) -> Path:
        document = {
            "backend": "testbed",
            "model": "random:tiny-llama",
            "dataset": {"name": "synthetic", "n": 2, "input_tokens": 4, "output_tokens": 4},
            "measurement": {"min_window_s": options.pop("window_s", 0), "settle_s": 0},
            "warmup": {"enabled": False},
            "baseline": {"enabled": False},
        }
        config = Composer(Registry()[BACKENDS], Registry()[SCENARIOS]).compose(document)
        JobDocument(config=config.document(), config_hash=config_hash(config), base_dir=str(tmp_path)).write(tmp_path)
        return tmp_path

    return write


def test_a_worker_finds_its_job_by_the_path_of_its_configuration(job: Callable[..., Path]) -> None:
    folder = job()
    environment = {**os.environ, "LLEM_CONFIG_PATH": str(folder / "experiment.json")}
    done = subprocess.run(
        [sys.executable, "-m", "llem.worker"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((folder / "result.json").read_text())["status"] == "done"


def test_a_worker_without_a_job_says_how_to_name_one() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "LLEM_CONFIG_PATH"}
    done = subprocess.run(
        [sys.executable, "-m", "llem.worker"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "LLEM_CONFIG_PATH" in done.stderr


def test_a_worker_ends_when_nobody_holds_its_lifeline_any_more(job: Callable[..., Path]) -> None:
    folder = job(window_s=600)
    pipe = folder / "lifeline"
    os.mkfifo(pipe)
    held = os.open(pipe, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    environment = {**os.environ, "LLEM_LIFELINE": str(pipe)}
    command = [sys.executable, "-m", "llem.worker", str(folder)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        events = folder / "events.jsonl"
        while not (events.exists() and '"window"' in events.read_text()):
            assert process.poll() is None
        os.close(held)
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "whoever started this experiment is gone" in output
    result = json.loads((folder / "result.json").read_text())
    assert (result["status"], result["failure"]["type"]) == ("failed", "Interrupted")


def test_a_lifeline_that_is_not_there_ends_nothing(job: Callable[..., Path]) -> None:
    folder = job()
    environment = {**os.environ, "LLEM_LIFELINE": str(folder / "none")}
    command = [sys.executable, "-m", "llem.worker", str(folder)]
    assert subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0
