"""Exports of runs under load: their sections and metrics are there, and forms of batches do not take them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from served_studies import write_served_study

from llem.errors import ResultError
from llem_exporters.aienergyscore import write_aienergyscore
from llem_exporters.latex import latex_table
from llem_exporters.ml_energy.folder import write_ml_energy
from llem_exporters.source import Source
from llem_exporters.tables import write_csv


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """Two rates, of which the higher one saturated."""
    return Source(
        write_served_study(
            tmp_path / "loads",
            [2.0, 4.0],
            slo={"ttft_s": 0.2},
            cycles=2,
            noise=0.01,
            warnings=lambda _, rate, __: {"saturated": "…"} if rate == 4 else {},
        )
    )


def test_csv_has_what_the_scenario_brought(source: Source, tmp_path: Path) -> None:
    with (tmp_path / "out.csv").open("w") as stream:
        write_csv(source, stream)
    rows = list(csv.DictReader((tmp_path / "out.csv").open()))
    assert [row["config.load.rate_rps"] for row in rows] == ["2.0", "4.0", "2.0", "4.0"]
    assert {row["config.slo.ttft_s"] for row in rows} == {"0.2"}
    assert [bool(row["metric.j_per_good_token"]) for row in rows] == [True, False, True, False], (
        "voided where saturated"
    )
    assert rows[0]["scenario_metrics.goodput_rps"] == "2.0"


def test_latex_has_energy_of_good_tokens_and_leaves_what_saturated_out(source: Source) -> None:
    lines = latex_table(source).splitlines()
    assert "energy per good token (J/token) & goodput (request/s)" in lines[3]
    assert lines[5].startswith("2 & ")
    assert lines[6].endswith(r" & -- & -- \\")
    assert any("`saturated`" in line for line in lines)


def test_forms_of_batches_take_no_load(source: Source, tmp_path: Path) -> None:
    with pytest.raises(ResultError, match="arrived by themselves, so that its energy holds pauses"):
        write_aienergyscore(source, tmp_path / "score")
    with pytest.raises(ResultError, match=r"arrived by themselves \(scenario server\)"):
        write_ml_energy(source, tmp_path / "ml")
