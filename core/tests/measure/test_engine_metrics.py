"""An engine's own counts stand in the result, over the measured window alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.process

Make = Callable[..., Any]


def test_only_what_happened_in_the_window_counts(make_job: Make) -> None:
    job = make_job()
    assert job.run() == 0
    assert job.result.tokens is not None
    assert job.result.engine_metrics == {"answered": job.result.tokens.requests}


def test_a_failed_experiment_has_none(make_job: Make) -> None:
    job = make_job(testbed={"fail": "raise"})
    job.run()
    assert job.result.engine_metrics == {}
