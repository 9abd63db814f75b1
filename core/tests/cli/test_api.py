"""The library: its names and signatures stay, and it gives what the command line gives."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import llem

QUICK_SECTIONS: dict[str, Any] = {
    "dataset": {"name": "synthetic", "n": 2, "input_tokens": 4, "output_tokens": 3},
    "measurement": {"min_window_s": 0, "settle_s": 0},
    "warmup": {"enabled": False},
    "baseline": {"enabled": False},
}

NAMES = [
    "ConfigError",
    "DatasetError",
    "ExperimentConfig",
    "ExperimentResult",
    "LlemError",
    "ModelError",
    "PluginError",
    "PreflightError",
    "ResultError",
    "StudyConfig",
    "StudyResult",
    "__version__",
    "import_table",
    "load_study",
    "resume",
    "run_experiment",
    "run_study",
]
"""Adding a name here is a promise; taking one away breaks somebody's code."""


def test_the_stable_names_are_these_and_each_is_there() -> None:
    assert sorted(llem.__all__) == NAMES
    assert set(NAMES) <= set(dir(llem))
    for name in NAMES:
        assert getattr(llem, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = llem.no_such_name


def parameters(function: Any) -> dict[str, tuple[str, Any]]:
    return {p.name: (p.kind.name, p.default) for p in inspect.signature(function).parameters.values()}


def test_signatures_are_stable() -> None:
    first, keyword, rest = "POSITIONAL_OR_KEYWORD", "KEYWORD_ONLY", "VAR_KEYWORD"
    required = inspect.Parameter.empty
    assert parameters(llem.run_experiment) == {
        "model": (first, required),
        "backend": (keyword, "pytorch"),
        "output": (keyword, "results"),
        "runner": (keyword, None),
        "skip_preflight": (keyword, ()),
        "progress": (keyword, True),
        "reporter": (keyword, None),
        "sections": (rest, required),
    }
    assert parameters(llem.run_study) == {
        "study": (first, required),
        "overrides": (keyword, None),
        "output": (keyword, "results"),
        "runner": (keyword, None),
        "skip_preflight": (keyword, ()),
        "progress": (keyword, True),
        "reporter": (keyword, None),
    }
    assert parameters(llem.load_study) == {"path": (first, required)}


def test_every_stable_function_and_class_is_documented() -> None:
    for name in NAMES:
        found = getattr(llem, name)
        if callable(found):
            assert inspect.getdoc(found), name


@pytest.mark.process
def test_importing_llem_imports_nothing_heavy() -> None:
    code = "import sys, llem; print(sorted({'pydantic', 'pyarrow', 'click', 'torch', 'yaml', 'pluggy'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.process
def test_one_experiment_is_run_and_returned(tmp_path: Path) -> None:
    result = llem.run_experiment(
        "random:tiny-llama", backend="testbed", output=tmp_path, testbed={"batch_size": 2}, **QUICK_SECTIONS
    )
    assert isinstance(result, llem.ExperimentResult)
    assert result.status == "done"
    assert result.tokens is not None
    assert result.tokens.output == 6
    assert result.throughput is not None
    assert result.throughput.tokens_per_s is not None


@pytest.mark.process
def test_an_experiment_that_fails_is_returned_and_not_raised(tmp_path: Path) -> None:
    result = llem.run_experiment(
        {"source": "random:tiny-llama"}, backend="testbed", output=tmp_path, testbed={"fail": "raise"}, **QUICK_SECTIONS
    )
    assert result.status == "failed"
    assert result.failure is not None
    assert result.failure.type == "RuntimeError"


@pytest.mark.parametrize("key", ["sweep", "execution", "name"])
def test_an_experiment_takes_nothing_of_a_study(tmp_path: Path, key: str) -> None:
    with pytest.raises(llem.ConfigError, match="run_study"):
        llem.run_experiment("random:tiny-llama", backend="testbed", output=tmp_path, **{key: {}})


def test_what_cannot_start_is_raised_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(llem.ConfigError, match="batch_sise"):
        llem.run_experiment("random:tiny-llama", backend="testbed", testbed={"batch_sise": 1})
    with pytest.raises(llem.PluginError, match="vllm"):
        llem.run_experiment("random:tiny-llama", backend="vllm")
    with pytest.raises(llem.PreflightError, match="nowhere"):
        llem.run_experiment("./nowhere", backend="testbed", **QUICK_SECTIONS)
    with pytest.raises(llem.ConfigError, match=r"no\.yaml"):
        llem.run_study("no.yaml")
    with pytest.raises(llem.ResultError, match="no study's folder"):
        llem.load_study(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.process
def test_a_study_goes_to_arrow_and_pandas_and_is_loaded_again(study: Any, tmp_path: Path) -> None:
    path = study(sweep={"testbed.batch_size": [1, 2]})
    run = llem.run_study(path, overrides={"execution.cycles": 2}, output=tmp_path / "out")
    loaded = llem.load_study(run.directory)
    for found in (run, loaded):
        table = found.to_arrow()
        assert table.num_rows == 4
        assert sorted(table.column("point.testbed.batch_size").to_pylist()) == [1, 1, 2, 2]
        assert table.schema.field("throughput.tokens_per_s").metadata[b"unit"] == b"token/s"
        assert [r.status for r in found.results] == ["done"] * 4
    frame = loaded.to_pandas()
    assert len(frame.groupby("config_hash")) == 2
    assert (frame["throughput.tokens_per_s"] > 0).all()
    (loaded.directory / "results.parquet").unlink()
    assert llem.load_study(loaded.directory).to_arrow().equals(table)


@pytest.mark.process
def test_a_mapping_is_a_study_too_and_a_reporter_hears_of_it(tmp_path: Path) -> None:
    from llem.study.reporter import SilentReporter

    heard: list[Any] = []

    class Listener(SilentReporter):
        def study_started(self, directory: Path, total: int, *, at_most: bool = False) -> None:
            heard.append(("study", total))
            assert not at_most

        def experiment_finished(self, number: int, result: Any) -> None:
            heard.append((number, result["status"]))

        def study_finished(self, state: str, counts: Any) -> None:
            heard.append((state, counts["done"], counts["failed"]))

    document = {"model": "random:tiny-llama", "backend": "testbed", **QUICK_SECTIONS}
    study = llem.run_study(
        {
            **document,
            "experiments": [{}, {"testbed": {"fail": "exit"}}],
            "execution": {"experiment_gap_s": 0, "order": "interleaved"},
        },
        output=tmp_path,
        reporter=Listener(),
    )
    assert heard == [("study", 2), (1, "done"), (2, "failed"), ("complete", 1, 1)]
    assert study.manifest["state"] == "complete"


def test_the_command_line_shows_what_the_library_ran(llem_result: Path, llem: Any) -> None:
    assert json.loads(llem("show", llem_result, "--json").stdout)["counts"]["done"] == 1


@pytest.fixture
def llem_result(tmp_path: Path) -> Path:
    document = {"model": "random:tiny-llama", "backend": "testbed", **QUICK_SECTIONS}
    return llem.run_study(document, output=tmp_path).directory
