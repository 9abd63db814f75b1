"""An experiment that the side of a Slurm node starts in an image: by this runner."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from llem.config.compose import Composer
from llem.config.identity import config_hash
from llem.plugins import Registry
from llem.results.job_directory import JobDocument
from llem.results.store import read_result
from llem.specs import kinds
from llem_containers.errors import ImageMissing
from llem_slurm.shared_files import Tasks
from llem_slurm.worker_start import start

pytestmark = [pytest.mark.apptainer, pytest.mark.timeout(600)]


@pytest.fixture
def document(tmp_path: Path) -> JobDocument:
    """A short experiment, written to `tmp_path/job`."""
    registry = Registry()
    told: dict[str, Any] = {
        "backend": "testbed",
        "model": "random:tiny-llama",
        "dataset": {"name": "synthetic", "n": 4, "input_tokens": 8, "output_tokens": 8},
        "measurement": {"min_window_s": 0.2, "settle_s": 0},
        "warmup": {"enabled": False},
        "baseline": {"enabled": False},
    }
    config = Composer(registry[kinds.BACKENDS], registry[kinds.SCENARIOS]).compose(told)
    found = JobDocument(config=config.document(), config_hash=config_hash(config), base_dir=str(tmp_path))
    (tmp_path / "job").mkdir()
    found.write(tmp_path / "job")
    return found


def _tasks(image: Path) -> Tasks:
    return Tasks(tasks=(), requeues=0, exclusive=False, image=str(image))


def test_a_node_runs_an_image_by_the_runner_of_apptainer(
    sif: Path, document: JobDocument, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    job = tmp_path / "job"
    ended = start(job, document, _tasks(sif), {"LLEM_NODE": "n7"}, str(tmp_path / "scratch")).wait(240)
    assert ended is not None
    assert ended.code == 0, (ended, (job / "worker.log").read_text())
    result = read_result(job)
    assert result.status == "done"
    runner = result.environment["study"]["runner"]
    assert (runner["image"], runner["network"]) == (str(sif), "none")
    assert runner["image_digest"] == f"sha256:{hashlib.sha256(sif.read_bytes()).hexdigest()}"
    assert result.environment["node"] == "n7"


def test_an_image_that_a_node_does_not_see_is_told_by_its_own_name(document: JobDocument, tmp_path: Path) -> None:
    with pytest.raises(ImageMissing, match="cannot be read"):
        start(tmp_path / "job", document, _tasks(tmp_path / "none.sif"), {}, str(tmp_path / "scratch"))
