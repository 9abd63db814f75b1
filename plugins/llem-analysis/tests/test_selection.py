"""Configurations of a study as the end of `llem run` lists them: a page of them, with counts of all, and registered metrics."""

from __future__ import annotations

from pathlib import Path

import pytest

from llem.results.rows import study_rows
from llem.results.table import StudyTable
from llem.results.text import number
from llem_analysis.configurations import summarise
from llem_analysis.selection import Selection, select
from llem_analysis.shown_metrics import ShownMetric
from llem_analysis.study_table import study_table


@pytest.fixture
def study(six_batch_sizes: Path) -> Path:
    return six_batch_sizes


def sizes(selection: Selection) -> list[int]:
    return [c.point["testbed.batch_size"] for c in selection.configurations]


def test_without_wishes_all_are_there_as_they_ran(study: Path) -> None:
    found = select(StudyTable(study))
    assert sizes(found) == [4, 1, 16, 2, 8, 32]
    assert (found.total, found.experiments, found.hidden) == (6, 12, 0)
    assert found.statuses == {"done": 10, "failed": 2}
    assert found.warnings == {"thermal_throttle": 2}
    assert [c.document() for c in found.configurations] == [c.document() for c in summarise(study_rows(study))]


def test_a_page_says_what_it_leaves_out(study: Path) -> None:
    found = select(StudyTable(study), first=[f"{size:064d}" for size in (16, 8, 4)], limit=2)
    assert sizes(found) == [16, 8]
    assert (found.total, found.hidden, found.experiments) == (6, 4, 12)
    assert found.statuses["failed"] == 2, "counts are of all, not of the page"
    whole = found.configurations[0].figures["tokens_per_s"]
    assert whole.values == (161.0, 162.0)
    assert sizes(select(StudyTable(study), first=[f"{8:064d}"])) == [8, 4, 1, 16, 2, 32], "the others come as they ran"


def test_a_registered_metric_has_its_column_where_a_configuration_has_it(study: Path) -> None:
    shown = [
        ShownMetric("rate", "throughput.tokens_per_s", "rate of tokens, token/s", energy=False),
        ShownMetric("spent", "energy.headline.energy_j", "energy spent, J", energy=True),
        ShownMetric("unknown", "scenario_metrics.unknown", "never told", energy=False),
    ]
    found = select(StudyTable(study), metrics=shown, limit=3)
    assert [c.figures["rate"].mean for c in found.configurations] == [
        c.figures["tokens_per_s"].mean for c in found.configurations
    ]
    assert "rate" in found.configurations[0].document()["figures"]
    header, _, *lines = study_table(found.configurations, shown).splitlines()
    assert "rate of tokens, token/s" in header
    assert "energy spent, J" in header
    assert "never told" not in header
    place = header.index("energy spent, J")
    for line, one in zip(lines, found.configurations, strict=True):
        cell = line[place : place + len("energy spent, J")].strip()
        assert cell.startswith("~") == (one.method == "estimate")
        assert number(one.figures["spent"].mean, one.figures["spent"].sd) in cell.lstrip("~")
