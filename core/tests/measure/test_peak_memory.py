"""`peak_memory_mb` is the allocator's peak of the window alone, shown with the host's allocator in a device's place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.process

Make = Callable[..., Any]


def test_neither_loading_nor_warm_up_counts_into_the_windows_peak(make_job: Make) -> None:
    # Model and batch take 20 MiB each; loading took 200 MiB more for a moment, and the first batch 100.
    job = make_job(testbed={"allocate_mb": 20}, warmup={"enabled": True, "min_prompts": 2})
    assert job.run() == 0, (job.directory / "worker.log").read_text()
    memory = job.result.memory
    assert memory.peak_memory_source == "allocator"
    assert memory.model_memory_mb == pytest.approx(20, abs=8)
    assert memory.peak_memory_mb == pytest.approx(40, abs=8)


def test_without_an_account_there_is_no_figure_and_no_source(make_job: Make) -> None:
    job = make_job()
    assert job.run() == 0
    memory = job.result.memory
    assert (memory.peak_memory_mb, memory.peak_memory_source, memory.model_memory_mb) == (None, None, None)
