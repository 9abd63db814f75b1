"""The check of recorded arrivals: what is wrong with a trace is told before anything runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llem.config.compose import Composer
from llem.plugin_api import BACKENDS, SCENARIOS, Finding, PreflightContext, default_registry
from llem_serving.preflight import check_traces

LOAD = {"arrival": "trace", "ramp_s": 1.0, "duration_s": 2.0, "drain_s": 1.0}
OWN = {"name": "trace", "path": "t.jsonl", "n": 40}
OTHER = {"name": "synthetic", "input_tokens": 3, "n": 4}


def found(folder: Path, *sections: tuple[dict[str, Any], dict[str, Any]]) -> list[Finding]:
    registry = default_registry()
    composer = Composer(registry[BACKENDS], registry[SCENARIOS])
    experiments = [
        composer.compose(
            {
                "model": "random:tiny-llama",
                "backend": "openai",
                "openai": {"base_url": "http://127.0.0.1:9/v1"},
                "measurement": {"scenario": "server"},
                "dataset": dataset,
                "load": load,
            }
        )
        for load, dataset in sections
    ]
    return list(check_traces(PreflightContext(registry=registry, experiments=experiments, base_dir=folder)))


@pytest.fixture
def traced(tmp_path: Path) -> Path:
    """A trace of ten requests in a second, for five seconds."""
    rows = [json.dumps({"timestamp": 100 * n, "input_length": 3, "output_length": 2}) for n in range(50)]
    (tmp_path / "t.jsonl").write_text("\n".join(rows))
    return tmp_path


def test_a_trace_that_fits_is_told_with_what_arrives(traced: Path) -> None:
    (own,) = found(traced, (LOAD, OWN))
    assert (own.level, own.remedy) == ("ok", None)
    assert "20 of its 50 requests arrive in the window of 2 s, with their own prompts" in own.message
    (other,) = found(traced, ({**LOAD, "trace": "t.jsonl", "time_scale": 0.5}, OTHER))
    assert "30 of its 50 requests arrive" in other.message
    assert "prompts of the dataset" in other.message


@pytest.mark.parametrize(
    ("load", "dataset", "said", "remedy"),
    [
        (LOAD, OTHER, "neither the load nor the dataset", "load.trace"),
        ({**LOAD, "trace": "gone.csv"}, OTHER, "cannot be read", "Give the path"),
        (LOAD, {**OWN, "n": 39}, "40 rows of the trace t.jsonl arrive", "Set it to 40"),
    ],
)
def test_what_is_wrong_is_an_error(
    traced: Path, load: dict[str, Any], dataset: dict[str, Any], said: str, remedy: str
) -> None:
    (finding,) = found(traced, (load, dataset))
    assert finding.level == "error"
    assert said in finding.message
    assert remedy in (finding.remedy or "")


def test_one_thing_is_told_once_and_other_loads_are_left_alone(traced: Path) -> None:
    fast = {**LOAD, "time_scale": 0.75}
    assert len(found(traced, (LOAD, OTHER), (LOAD, OTHER), ({"rate_rps": 3.0}, OTHER))) == 1
    good, bad = found(traced, (LOAD, OWN), (fast, OWN))
    assert good.level == "ok"
    assert "50 rows" in bad.message
