"""A configuration that ran, as a study that runs it again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from llem_testbed import TestbedConfig

from llem.config.reading import read_yaml
from llem.errors import ResultError
from llem.hookspecs import API_VERSION
from llem.plugin_api import ScenarioSpec
from llem_analysis.ready_study import ready_study

WriteDesign = Callable[..., Path]


def test_values_at_their_default_are_left_out(write_design: WriteDesign) -> None:
    folder = write_design([{"testbed.batch_size": 8, "testbed.token_s": 0.001}])
    text = ready_study(folder / "experiments" / "00001", "again", {"testbed": TestbedConfig}, ["because\nof this"])
    assert text.startswith("# because\n# of this\nname: again\n")
    document = read_yaml(text, "again.yaml").data
    assert document["testbed"] == {"batch_size": 8}
    assert document["dataset"] == {"name": "synthetic", "n": 8, "output_tokens": 16}
    assert document["model"] == {"source": "random:tiny-llama"}


def test_the_section_of_a_backend_that_is_not_here_is_written_in_full(write_design: WriteDesign) -> None:
    folder = write_design([{"backend": "elsewhere", "elsewhere.x": 1}])
    document = read_yaml(ready_study(folder / "experiments" / "00001", "again", {}), "again.yaml").data
    assert document["backend"] == "elsewhere"
    assert document["elsewhere"] == {"x": 1}


def test_a_relative_path_that_is_there_is_written_from_the_root(write_design: WriteDesign, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    folder = write_design([{"model": "model"}, {"model": "absent"}])
    sources = [
        read_yaml(ready_study(folder / "experiments" / n, "again", {}), "again.yaml").data["model"]["source"]
        for n in ("00001", "00002")
    ]
    assert sources == [str(tmp_path / "model"), "absent"]


def test_a_path_among_the_options_of_a_backend_is_written_from_the_root(
    write_design: WriteDesign, tmp_path: Path
) -> None:
    (tmp_path / "adapter").mkdir()
    folder = write_design([{"backend": "elsewhere", "elsewhere.adapters": ["./adapter", "./absent", "adapter"]}])
    document = read_yaml(ready_study(folder / "experiments" / "00001", "again", {}), "again.yaml").data
    assert document["elsewhere"] == {"adapters": [str(tmp_path / "adapter"), "./absent", "adapter"]}


def test_where_it_ran_is_kept_unless_it_was_here(write_design: WriteDesign) -> None:
    runners = {1: {"name": "docker", "argument": "image:1"}, 2: {"name": "local", "argument": None}}
    folder = write_design(
        [{"testbed.batch_size": 1}, {"testbed.batch_size": 2}],
        each=lambda p, _: {"environment": {"study": {"runner": runners[p["testbed.batch_size"]]}}},
    )
    documents = [
        read_yaml(ready_study(folder / "experiments" / n, "again", {}), "again.yaml").data for n in ("00001", "00002")
    ]
    assert documents[0]["runners"] == {"testbed": "docker:image:1"}
    assert "runners" not in documents[1]


LOADED = ScenarioSpec(
    name="loaded",
    api_version=API_VERSION,
    summary="under load",
    generator="nowhere:Generator",
    sections={"testbed_load": TestbedConfig},
    defaults={"decoding": {"length": "natural"}},
)


def test_what_a_scenario_brings_is_part_of_the_study(write_design: WriteDesign) -> None:
    folder = write_design(
        [{"testbed_load.batch_size": 8, "testbed_load.token_s": 0.001}, {"testbed_load.batch_size": 4}],
        each=lambda p, _: {
            "sections": {
                "measurement": {"scenario": "loaded"},
                "decoding": {"length": "natural" if p["testbed_load.batch_size"] == 8 else "fixed"},
                "limits": {"timeout_s": 9},
                "elsewhere": {"x": 1},
            }
        },
    )
    documents = [
        read_yaml(
            ready_study(folder / "experiments" / n, "again", {"testbed": TestbedConfig}, scenarios={"loaded": LOADED}),
            "a",
        ).data
        for n in ("00001", "00002")
    ]
    # Values at their default are left out, by the model of the section; natural is what the scenario takes by itself.
    assert documents[0]["testbed_load"] == {"batch_size": 8}
    assert "decoding" not in documents[0]
    assert documents[1]["decoding"] == {"length": "fixed"}, "fixed is not the default here"
    assert documents[0]["elsewhere"] == {"x": 1}
    assert "limits" not in documents[0]


def test_sections_of_a_scenario_that_is_not_here_are_written_in_full(write_design: WriteDesign) -> None:
    folder = write_design(
        [{"testbed_load.batch_size": 8, "testbed_load.token_s": 0.001}],
        each=lambda *_: {"sections": {"measurement": {"scenario": "loaded"}}},
    )
    document = read_yaml(ready_study(folder / "experiments" / "00001", "again", {}), "a").data
    assert document["testbed_load"] == {"batch_size": 8, "token_s": 0.001}
    assert document["measurement"] == {"scenario": "loaded"}


def test_a_trace_is_written_from_the_root(write_design: WriteDesign, tmp_path: Path) -> None:
    (tmp_path / "arrivals.csv").write_text("")
    folder = write_design([{"load.trace": "arrivals.csv"}])
    document = read_yaml(ready_study(folder / "experiments" / "00001", "again", {}), "a").data
    assert document["load"] == {"trace": str(tmp_path / "arrivals.csv")}


def test_what_holds_no_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultError):
        ready_study(tmp_path, "again", {})
