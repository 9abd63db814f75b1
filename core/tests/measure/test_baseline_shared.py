"""An idle baseline that was measured while somebody else held a device never serves again."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from llem.results.job_directory import EXPERIMENT

pytestmark = pytest.mark.process

Make = Callable[..., Any]


@pytest.mark.parametrize(("code", "kept"), [("gpu_shared", False), ("residual_gpu_memory", False), ("other", True)])
def test_only_an_undisturbed_baseline_is_kept(
    make_job: Make, monkeypatch: pytest.MonkeyPatch, code: str, kept: bool
) -> None:
    monkeypatch.setenv("TESTMETER_SCOPE", "gpu")  # what else runs here is not in it
    job = make_job(
        baseline={"enabled": True, "duration_s": 0.2, "resident_s": 0, "cache": True},
        document={"warnings": [{"code": code, "message": "before the start"}]},
    )
    assert json.loads((job.directory / EXPERIMENT).read_text())["warnings"]
    assert job.run() == 0, (job.directory / "worker.log").read_text()
    assert job.result.baseline.source == "measured"
    assert bool(list((job.directory.parent / "cache").rglob("*.json"))) is kept
