"""Layers of a configuration: command line, environment, study, user file, defaults; each value and its origin."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from config_backends import BACKENDS
from hypothesis import given
from hypothesis import strategies as st

from llem.config.environment import RESERVED, variable_of
from llem.config.keys import Vocabulary
from llem.config.layers import LoadedStudy, load_study, user_file_path
from llem.config.merging import deep_merge, leaves
from llem.errors import ConfigError, PluginError
from llem.plugin_api import BackendSpec

STUDY = "name: s\nmodel: random:tiny-llama\nbackend: testbed\n"

Load = Callable[..., LoadedStudy]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Loads a study from texts of its layers."""

    def load(
        study: str | None = STUDY,
        user: str = "",
        env: Mapping[str, str] | None = None,
        settings: Sequence[str] = (),
        overrides: Mapping[str, Any] | None = None,
        backends: Mapping[str, BackendSpec] = BACKENDS,
        **more: Any,
    ) -> LoadedStudy:
        (tmp_path / "user.yaml").write_text(user)
        path = tmp_path / "study.yaml" if study is not None else None
        if path is not None and study is not None:
            path.write_text(study)
        return load_study(
            path,
            overrides=overrides,
            settings=settings,
            environ=env or {},
            user_file=tmp_path / "user.yaml",
            backends=backends,
            **more,
        )

    return load


def origin(loaded: LoadedStudy, key: str) -> tuple[str, str | None]:
    found = loaded.origins[key]
    return found.kind, Path(found.where).name if found.where else None


def test_each_layer_wins_over_those_below_it(load: Load) -> None:
    user = "dataset: {n: 1, output_tokens: 1, input_tokens: 1, seed: 1}\n"
    study = STUDY + "dataset: {n: 2, output_tokens: 2, input_tokens: 2}\n"
    loaded = load(
        study,
        user,
        env={"LLEM_DATASET_N": "3", "LLEM_DATASET_OUTPUT_TOKENS": "3"},
        settings=["dataset.n=4"],
    )
    assert loaded.config.base["dataset"] == {"n": 4, "output_tokens": 3, "input_tokens": 2, "seed": 1}
    assert origin(loaded, "dataset.n") == ("command line", None)
    assert origin(loaded, "dataset.output_tokens") == ("environment", "LLEM_DATASET_OUTPUT_TOKENS")
    assert origin(loaded, "dataset.input_tokens") == ("study file", "study.yaml:4:35")
    assert origin(loaded, "dataset.seed") == ("user file", "user.yaml:1:52")
    assert "dataset.shuffle" not in loaded.origins, "a default has no origin"


def test_settings_win_over_options_of_the_same_command_line(load: Load) -> None:
    assert load(overrides={"dataset.n": 1}, settings=["dataset.n=2"]).config.base["dataset"]["n"] == 2


def test_a_key_of_the_study_has_layers_too(load: Load) -> None:
    loaded = load(STUDY, "execution: {cycles: 2, seed: 2}\nname: u\n", env={"LLEM_EXECUTION_CYCLES": "5"})
    assert (loaded.config.name, loaded.config.execution.cycles, loaded.config.execution.seed) == ("s", 5, 2)


def test_every_dotted_key_has_a_variable_of_its_own() -> None:
    keys = Vocabulary(BACKENDS).settings
    variables = [variable_of(key) for key in keys]
    assert len(set(variables)) == len(variables)
    assert variable_of("pytorch.batch_size") == "LLEM_PYTORCH_BATCH_SIZE"
    assert not set(variables) & set(RESERVED)


@pytest.mark.parametrize(
    ("variable", "text", "key", "expected"),
    [
        ("LLEM_MODEL", "random:tiny-qwen2", ("model", "source"), "random:tiny-qwen2"),
        ("LLEM_MODEL_REVISION", "0123456", ("model", "revision"), "0123456"),
        ("LLEM_DATASET", "prompts.jsonl", ("dataset", "path"), "prompts.jsonl"),
        ("LLEM_DECODING_TEMPERATURE", "1e-1", ("decoding", "temperature"), 0.1),
        ("LLEM_DATASET_INPUT_TOKENS", "null", ("dataset", "input_tokens"), None),
        ("LLEM_WARMUP_ENABLED", "no", ("warmup", "enabled"), False),
        ("LLEM_MEASUREMENT_SAMPLERS", "[nvml, rapl]", ("measurement", "samplers"), ["nvml", "rapl"]),
        ("LLEM_TESTBED_BATCH_SIZE", "7", ("testbed", "batch_size"), 7),
    ],
)
def test_a_variable_is_read_by_what_its_key_takes(
    load: Load, variable: str, text: str, key: tuple[str, str], expected: Any
) -> None:
    assert load(env={variable: text}).config.base[key[0]][key[1]] == expected


def test_a_nested_field_has_a_variable(load: Load) -> None:
    loaded = load(STUDY.replace("testbed", "other"), env={"LLEM_OTHER_COMPILE_ENABLED": "true"})
    assert loaded.config.base["other"] == {"compile": {"enabled": True}}


def test_an_empty_variable_counts_as_unset_and_others_programs_are_left_alone(load: Load) -> None:
    loaded = load(env={"LLEM_DATASET_N": "", "OTHER_DATASET_N": "3", "LLEM_DEBUG": "1", "LLEM_JOB_ID": "x"})
    assert "dataset" not in loaded.config.base


def test_unknown_variables_are_refused_together_with_the_nearest_one(load: Load) -> None:
    with pytest.raises(ConfigError) as caught:
        load(env={"LLEM_DATASET_M": "3", "LLEM_NO_SUCH_THING_AT_ALL": "3"})
    assert "LLEM_DATASET_M is unknown; did you mean LLEM_DATASET_N?" in str(caught.value)
    assert "LLEM_NO_SUCH_THING_AT_ALL is unknown." in str(caught.value)


def test_a_wrong_value_of_a_variable_is_told_by_its_name(load: Load) -> None:
    with pytest.raises(ConfigError) as caught:
        load(env={"LLEM_DATASET_N": "many"})
    assert caught.value.where == "LLEM_DATASET_N"
    with pytest.raises(ConfigError) as caught:
        load(env={"LLEM_DATASET_N": "[1"})
    assert caught.value.where == "LLEM_DATASET_N"


def test_runners_are_set_by_variable_user_file_and_study(load: Load) -> None:
    user = "runners: {testbed: 'docker:user', other: local, vllm: 'docker:not-installed'}\n"
    loaded = load(STUDY, user, env={"LLEM_RUNNER_TESTBED": "docker:image:1"})
    assert loaded.config.runners == {"testbed": "docker:image:1", "other": "local"}
    assert origin(loaded, "runners.testbed") == ("environment", "LLEM_RUNNER_TESTBED")
    loaded = load(STUDY + "runners: {testbed: local}\n", user, settings=["runners.testbed=docker:set"])
    assert loaded.config.runners["testbed"] == "docker:set"
    with pytest.raises(ConfigError, match="LLEM_RUNNER_VLLM names the runner of a backend that is not installed"):
        load(env={"LLEM_RUNNER_VLLM": "local"})
    with pytest.raises(ConfigError, match="form NAME or NAME:ARGUMENT"):
        load(env={"LLEM_RUNNER_TESTBED": "docker image"})


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (["dataset.n"], "is not KEY=VALUE"),
        (["=3"], "is not KEY=VALUE"),
        (["dataset..n=3"], "is no dotted key"),
        (["dataset.n=1", "dataset.n=2"], "given twice"),
        (["dataset.n=[1"], "is not YAML"),
        (["datset.n=3"], "command line: `datset` is an unknown key. Did you mean `dataset`?"),
        (["dataset.n.m=3"], "command line: `dataset.n` is not accepted"),
        (["dataset.n=ten"], 'command line: `dataset.n` is not accepted: found "ten"'),
        (["sweep.dataset.n=3"], "`sweep` cannot be given on the command line"),
    ],
)
def test_a_setting_that_is_wrong_is_told_as_the_command_lines(load: Load, settings: list[str], expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(settings=settings)
    assert expected in str(caught.value)


def test_what_describes_a_model_does_not_outlive_it(load: Load) -> None:
    study = "model: {source: a/b, revision: main, tokenizer: a/t}\nbackend: testbed\n"
    loaded = load(study, settings=["model=c/d"])
    assert loaded.config.base["model"] == {"source": "c/d"}
    assert any("model.revision" in note for note in loaded.notes)
    assert load(study, settings=["model=a/b"]).config.base["model"]["revision"] == "main"
    kept = load(study, settings=["model=c/d", "model.revision=v1"]).config.base["model"]
    assert kept == {"source": "c/d", "revision": "v1"}


def test_general_layers_may_speak_of_backends_that_the_study_does_not_use(load: Load) -> None:
    loaded = load(STUDY, "other: {share: 0.5}\n", env={"LLEM_OTHER_DTYPE": "float16"})
    assert "other" not in loaded.config.base
    with pytest.raises(ConfigError, match="no experiment uses"):
        load(STUDY, settings=["other.share=0.5"])
    with pytest.raises(ConfigError, match="no experiment uses"):
        load(STUDY + "other: {share: 0.5}\n")


def test_the_only_backend_that_can_be_meant_is_taken_and_said(load: Load) -> None:
    one = {"testbed": BACKENDS["testbed"]}
    assert str(load("model: x\n", backends=one).origins["backend"]) == "default (the only backend installed)"
    written = load("model: x\nother: {share: 0.5}\n")
    assert written.config.base["backend"] == "other"
    assert str(written.origins["backend"]) == "default (the only one with a section)"


def test_a_registrys_reason_for_a_missing_backend_is_passed_on(load: Load) -> None:
    def find(name: str) -> object:
        raise PluginError(f"{name} was set aside.", remedy="Update it.")

    with pytest.raises(PluginError, match=r"study\.yaml:3:1: testbed was set aside\. Update it\."):
        load(backends={}, find_backend=find)


def test_limits_of_the_study_are_each_experiments_default(load: Load) -> None:
    loaded = load(STUDY + "execution: {timeout_s: 60, silence_timeout_s: 9}\nlimits: {timeout_s: 5}\n")
    assert loaded.config.base["limits"] == {"timeout_s": 5, "silence_timeout_s": 9}


def test_a_document_takes_the_place_of_a_file() -> None:
    document = {"model": "x", "backend": "testbed", "dataset": {"n": 3}}
    loaded = load_study(document=document, backends=BACKENDS, environ={"XDG_CONFIG_HOME": "/nowhere"})
    assert loaded.config.base["dataset"] == {"n": 3}
    assert loaded.origins["dataset.n"].kind == "argument"
    assert loaded.base_dir == Path.cwd()
    with pytest.raises(ConfigError, match="the key 3 of the study is not text"):
        load_study(document={3: 1}, backends=BACKENDS, environ={})  # type: ignore[dict-item]


def test_the_user_file_is_found_where_its_owner_keeps_it(tmp_path: Path) -> None:
    folder = tmp_path / "xdg" / "llem"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("dataset: {n: 17}\n")
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "xdg")}
    document = {"model": "x", "backend": "testbed"}
    assert user_file_path(environ) == folder / "config.yaml"
    loaded = load_study(document=document, environ=environ, backends=BACKENDS)
    assert loaded.config.base["dataset"] == {"n": 17}
    with pytest.raises(ConfigError, match=r"LLEM_CONFIG_FILE names .*, which does not exist"):
        load_study(document=document, environ={"LLEM_CONFIG_FILE": str(tmp_path / "none.yaml")}, backends=BACKENDS)


def test_a_user_file_holds_no_sweep(load: Load) -> None:
    with pytest.raises(ConfigError, match=r"user\.yaml:1:1: `sweep` stands in the user file"):
        load(STUDY, "sweep: {dataset.n: [1, 2]}\n")


def test_a_typed_path_starts_where_it_is_typed(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "here"
    here.mkdir()
    (here / "p.jsonl").write_text('{"prompt": "x"}\n')
    monkeypatch.chdir(here)
    assert load(overrides={"dataset": "p.jsonl"}).config.base["dataset"]["path"] == str(here / "p.jsonl")
    assert load(STUDY + "dataset: p.jsonl\n").config.base["dataset"]["path"] == "p.jsonl"


_TREES = st.recursive(
    st.integers(), lambda inner: st.dictionaries(st.sampled_from("abc"), inner, min_size=1, max_size=3), max_leaves=8
).filter(lambda tree: isinstance(tree, dict))


@given(_TREES, _TREES)
def test_merging_keeps_every_leaf_of_the_upper_layer(lower: dict[str, Any], upper: dict[str, Any]) -> None:
    merged = dict(leaves(deep_merge(lower, upper)))
    assert {path: merged[path] for path, _ in leaves(upper)} == dict(leaves(upper))
    assert deep_merge(deep_merge(lower, upper), upper) == deep_merge(lower, upper)
