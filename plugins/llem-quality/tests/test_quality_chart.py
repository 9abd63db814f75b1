"""The chart of energy against accuracy, from a study whose truth is known."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llem.plugins import default_registry
from llem_analysis.loading import load_rows
from llem_quality.chart import NAME, draw
from llem_report.export import rendered
from llem_report.gather import gather
from llem_report.registered_charts import charts

WriteDesign = Callable[..., Path]
JOULES = {"float32": 4.0, "int8": 2.0, "int4": 1.0}


def points(spec: dict[str, Any], mark: str) -> list[list[dict[str, Any]]]:
    return [layer["data"]["values"] for layer in spec["layer"] if layer["mark"]["type"] == mark]


def test_each_configuration_is_a_point_with_the_interval_of_its_accuracy(write_design: WriteDesign) -> None:
    folder = write_design(
        [{"pytorch.dtype": name} for name in JOULES], energy=lambda p: JOULES[p["pytorch.dtype"]], cycles=3, noise=0.01
    )
    accuracy = {"float32": 0.8, "int8": 0.5}
    known = {
        row["config_hash"]: {"accuracy": value, "accuracy_low": value - 0.1, "accuracy_high": value + 0.1}
        for row in load_rows(folder)
        if (value := accuracy.get(row["point.pytorch.dtype"])) is not None
    }
    (folder / "quality.json").write_text(json.dumps({"schema": 1, "configurations": known}))
    drawn = draw(gather(folder))
    assert drawn.spec is not None
    ((first, second),) = points(drawn.spec, "point")
    assert (first["x"], second["x"]) == (0.8, 0.5)
    assert (first["x_low"], first["x_high"]) == pytest.approx((0.7, 0.9))
    assert first["y"] == pytest.approx(4.0 * 125, rel=0.02)
    assert first["y_low"] < first["y"] < first["y_high"]
    assert [len(one) for one in points(drawn.spec, "rule")] == [2, 2]
    assert "1 configuration left out" in drawn.caption
    assert rendered(drawn, "svg").startswith(b"<svg")


def test_a_study_without_accuracy_says_why_there_is_no_chart(write_design: WriteDesign) -> None:
    drawn = draw(gather(write_design([{"pytorch.dtype": "float32"}], energy=lambda _: 1.0)))
    assert drawn.spec is None
    assert drawn.why_not == "No configuration has both energy and an accuracy above 0."


def test_the_chart_is_of_quality_runs_alone() -> None:
    (own,) = [one for one in charts(default_registry()).values() if one.name == NAME]
    assert own.scenario == "quality"
