"""A configuration that ran, as a study that runs it again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from llem_testbed import TestbedConfig

from llem.config.reading import read_yaml
from llem.errors import ResultError
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


def test_what_holds_no_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultError):
        ready_study(tmp_path, "again", {})
