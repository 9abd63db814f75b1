"""The metrics that analyses are made over are registered like anybody's, and every table holds them."""

from __future__ import annotations

from llem.plugins import Registry
from llem.results.columns import fixed_columns
from llem.specs.kinds import METRICS
from llem_analysis.metric_names import MAIN, METRIC_SPECS


def test_every_metric_is_registered_by_the_hook_and_is_a_column_of_every_table() -> None:
    columns = {column.name for column in fixed_columns()}
    registry = Registry()
    own = {
        name: spec
        for name, spec in registry[METRICS].items()
        if registry.provider(METRICS, name).distribution == "llem-analysis"
    }
    assert set(MAIN) <= own.keys()
    for name, spec in own.items():
        assert (spec.name, spec.value, spec.scale) == (name, None, "log")
        assert spec.of == (spec.column,)
        assert spec.column in columns
        assert spec.energy == spec.column.startswith("energy.")
        assert METRIC_SPECS[name] == spec
