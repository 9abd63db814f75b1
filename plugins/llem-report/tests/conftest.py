"""Studies of any size, out of a small one."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from llem_report.models import Mean, ReportStudy


@pytest.fixture
def enlarged() -> Callable[[ReportStudy, int], ReportStudy]:
    """Takes a study and a number; as many experiments, no two alike, each a configuration of its own."""
    return _enlarged


def _enlarged(study: ReportStudy, n: int) -> ReportStudy:
    noise = random.Random(n)
    rows, configurations = [], []
    for place in range(n):
        row = dict(study.rows[place % len(study.rows)])
        settings = {"testbed.batch_size": place, "dataset.n": place % 7}
        label = ", ".join(f"{key}={value}" for key, value in settings.items())
        row |= {
            "position": place + 1,
            "configuration": place,
            "config_hash": f"{place:064x}",
            "label": label,
            "settings": settings,
            "directory": f"experiments/{place:05}-{place:012x}-c1",
        }
        row |= {
            c.key: v * noise.lognormvariate(0, 0.5) for c in study.figures_of_table if (v := row[c.key]) is not None
        }
        rows.append(row)
        figures = {c.key: Mean(v, 0.9 * v, 1.1 * v, 3) for c in study.figures_of_table if (v := row[c.key]) is not None}
        like = study.configurations[place % len(study.configurations)]
        configurations.append(
            replace(
                like, config_hash=row["config_hash"], label=label, settings=settings, config=settings, figures=figures
            )
        )
    return replace(
        study,
        rows=rows,
        configurations=configurations,
        parameters=["testbed.batch_size", "dataset.n"],
        counts={"experiments": n, "done": n},
    )
