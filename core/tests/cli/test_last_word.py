"""No text, number or path keeps a finished measurement from being written, and what a study cannot hold is refused before it."""

from __future__ import annotations

import enum
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llem.config.experiment import DatasetConfig
from llem.datasets.jsonl import load
from llem.errors import DatasetError
from llem.results.arrow_table import rows_table
from llem.results.last_word import TEXT_WRITTEN_OUT, last_word
from llem.results.models import DatasetReport, ExperimentResult, Identity
from llem.results.rows import result_row
from llem.results.store import read_result
from llem.results.table_file import column_of
from llem.results.writable import encodable, writable

HALF = "r\udce9sultats"


class Odd:
    def __str__(self) -> str:
        raise RuntimeError("no text")


ANYTHING = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(st.characters()),
        st.binary(),
        st.just(2**70),
        st.builds(Odd),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.text(st.characters()), st.integers()), inner, max_size=4),
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(ANYTHING)
def test_anything_can_be_written(value: Any) -> None:
    text = json.dumps(writable(value), ensure_ascii=False, allow_nan=False)
    assert json.loads(text.encode()) == writable(value)


@settings(max_examples=60, deadline=None)
@given(ANYTHING, st.text(st.characters()))
def test_a_result_with_anything_in_it_is_written_and_read_back_with_its_figures(value: Any, text: str) -> None:
    result = ExperimentResult(
        status="done",
        identity=Identity(config_hash="a" * 64, study=text, point={text: value}),
        config={"x": value},
        work="fixed_length",
        scenario="offline",
        started_at="a",
        ended_at="b",
        environment={"x": [value]},
        dataset=DatasetReport(name=text, provenance=text, sha256="0", n=1),
        passes=3,
    )
    found = last_word(result)
    data = (found.model_dump_json(indent=1) + "\n").encode()
    read = ExperimentResult.model_validate_json(data)
    assert read.passes == 3
    assert rows_table([result_row(read, "experiments/a"), result_row(found, "experiments/b")]).num_rows == 2


def test_a_number_of_five_thousand_digits_can_be_written() -> None:
    assert writable([10**5000]) == ["an integer of 16,610 bits"]


class Mode(enum.IntEnum):
    """A number as engines have it among their settings."""

    FAST = 2


def test_an_engines_enum_is_a_number_and_takes_no_time() -> None:
    assert writable({"mode": Mode.FAST, "flags": [Mode.FAST, 2**64 - 1, -(2**63)]}) == {
        "mode": 2,
        "flags": [2, 2**64 - 1, -(2**63)],
    }
    assert writable(2**64) == str(2**64)
    row = {"directory": "a", "config.mode": Mode.FAST, "config.large": 2**63}
    assert rows_table([row]).column("config.mode").to_pylist() in ([2], ["2"])


def test_a_result_that_files_can_hold_stays_as_it_is(make_result: Any) -> None:
    result = make_result()
    assert last_word(result) is result


def test_what_was_changed_is_named(make_result: Any) -> None:
    result = make_result()
    result.environment = {"hostname": HALF, "load": float("nan"), "fine": 1}
    found = last_word(result)
    (warning,) = [w for w in found.warnings if w.code == TEXT_WRITTEN_OUT]
    assert "environment.hostname" in warning.message
    assert "environment.load" in warning.message
    assert "environment.fine" not in warning.message
    assert found.environment == {"hostname": "r\\udce9sultats", "load": None, "fine": 1}
    assert found.energy == result.energy


def test_an_engine_metric_that_is_no_number_costs_only_itself(make_result: Any) -> None:
    data = {**make_result().model_dump(), "engine_metrics": {"good": 1.0, "bad": float("nan")}}
    assert ExperimentResult.model_validate(data).engine_metrics == {"good": 1.0}


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), st.text(st.characters()), st.integers(), st.floats()), max_size=6))
def test_a_column_takes_what_it_can_and_loses_no_row(cells: list[Any]) -> None:
    for kind in (pa.string(), pa.int64(), pa.float64()):
        assert len(column_of(cells, kind)) == len(cells)


def test_a_column_keeps_every_value_that_fits() -> None:
    assert column_of([1.5, None, 2.5], pa.float64()).to_pylist() == [1.5, None, 2.5]
    assert column_of(["a", HALF], pa.string()).to_pylist() == ["a", "r\\udce9sultats"]
    assert column_of([1, 2**70, 3], pa.int64()).to_pylist() == [1, None, 3]


def test_a_number_beyond_its_column_is_kept_as_text() -> None:
    table = rows_table([{"directory": "a", "position": 2**70}, {"directory": "b", "position": 1}])
    assert table.column("position").to_pylist() == [str(2**70), "1"]


@pytest.mark.parametrize("text", ["\\ud83d", "a \\ud83d\\ude00 \\udc00", "\\udfff"])
def test_a_prompt_with_half_a_character_is_refused_by_file_and_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"prompt": "fine \\ud83d\\ude00"}\n{"prompt": "' + text + '"}\n')
    with pytest.raises(DatasetError, match="half of a character") as caught:
        load(DatasetConfig(name="jsonl", path=str(path), n=2), str(tmp_path))
    assert caught.value.where == f"{path}:2"


def test_whole_emojis_are_prompts(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"prompt": "fine \\ud83d\\ude00"}\n')
    assert load(DatasetConfig(name="jsonl", path=str(path), n=1), str(tmp_path)).prompts[0].text == "fine 😀"


def test_preflight_refuses_such_a_prompt_before_anything_runs(llem_here: Callable[..., Any], tmp_path: Path) -> None:
    case = tmp_path / "prompts.jsonl"
    case.write_text('{"prompt": "half \\ud83d"}\n')
    (tmp_path / "s.yaml").write_text(
        "model: random:tiny-llama\nbackend: testbed\ndataset: {path: prompts.jsonl, name: jsonl, n: 1}\n"
    )
    done = llem_here("run", "s.yaml", "--skip-preflight", "governor", "--skip-preflight", "load")
    assert done.returncode in (2, 3)
    assert "prompts.jsonl:1" in done.stderr
    assert not (tmp_path / "results").exists()


def test_a_study_in_a_folder_whose_name_is_not_utf8_is_measured_and_written(
    llem: Callable[..., Any], quick: Any, tmp_path: Path
) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/r\xe9sultats"))
    odd.mkdir()
    (odd / "s.yaml").write_text(json.dumps({**quick, "name": "odd"}))
    done = llem(
        "run",
        odd / "s.yaml",
        "--quiet",
        "--skip-preflight",
        "governor",
        "--skip-preflight",
        "load",
        "--output",
        odd,
        cwd=odd,
    )
    assert done.returncode == 0, done.stderr
    (study,) = [path for path in odd.iterdir() if path.is_dir()]
    (job,) = (study / "experiments").iterdir()
    assert read_result(job).status == "done"
    renamed = Path(shutil.move(study, Path(os.fsdecode(os.fsencode(study) + b"\xe9"))))
    for path in (renamed / "experiments").iterdir():
        shutil.rmtree(path)
    done = llem("resume", renamed, "--quiet", "--skip-preflight", "governor", "--skip-preflight", "load")
    assert done.returncode == 0, done.stderr
    (job,) = (renamed / "experiments").iterdir()
    found = read_result(job)
    assert found.status == "done"
    assert found.identity.study == encodable(renamed.name)
