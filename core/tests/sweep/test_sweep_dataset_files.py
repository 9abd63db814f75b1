"""Files of prompts in a study that does not say how many it takes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from llem.config.layers import load_study
from llem.plugins import Registry
from llem.specs.backend import BackendSpec
from llem.specs.kinds import SCENARIOS
from llem.sweep import Sweep


@pytest.fixture
def sizes(tmp_path: Path, backends: Mapping[str, BackendSpec]) -> Any:
    """Number of prompts and identity of each point of a study in the test's folder."""
    (tmp_path / "three.jsonl").write_text('{"_provenance": "me"}\n' + '{"prompt": "a"}\n' * 3 + "\n")
    (tmp_path / "hundred.jsonl").write_text('{"prompt": "a"}\n' * 100)
    (tmp_path / "empty.jsonl").write_text("\n")

    def of(base_dir: Path | None = tmp_path, **study: Any) -> list[tuple[int, str]]:
        document = {"model": "random:tiny-llama", "backend": "alpha", **study}
        loaded = load_study(document=document, environ={"XDG_CONFIG_HOME": str(tmp_path)}, backends=backends)
        sweep = Sweep(loaded.config, backends, Registry(entry_points=[])[SCENARIOS], loaded.locate, base_dir)
        return [(point.config.dataset.n, point.config_hash) for point in sweep]

    return of


def test_all_are_taken_where_the_study_does_not_say_how_many(sizes: Any) -> None:
    swept = sizes(sweep={"dataset": ["three.jsonl", "hundred.jsonl", {"name": "jsonl", "path": "three.jsonl", "n": 2}]})
    assert [n for n, _ in swept] == [3, 100, 2]
    assert [n for n, _ in sizes(dataset="three.jsonl", sweep={"dataset.n": [1, 2]})] == [1, 2]


def test_their_number_is_part_of_the_identity_as_if_it_were_written(sizes: Any) -> None:
    assert sizes(dataset="three.jsonl") == sizes(dataset={"name": "jsonl", "path": "three.jsonl", "n": 3})
    # 100 was the number before, and is the default of every other dataset.
    assert sizes(dataset="hundred.jsonl") == sizes(base_dir=None, dataset="hundred.jsonl")


@pytest.mark.parametrize("file", ["gone.jsonl", "empty.jsonl"])
def test_a_file_that_cannot_be_counted_is_left_to_those_who_read_it(sizes: Any, file: str) -> None:
    assert [n for n, _ in sizes(dataset=file)] == [100]
