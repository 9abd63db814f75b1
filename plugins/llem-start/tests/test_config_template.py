"""The commented study that `llem config init` writes: loads as it is, and with every comment opened."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from config_backends import BACKENDS, SCENARIOS

from llem.config.compose import Composer
from llem.config.introspect import facts_of
from llem.config.keys import Vocabulary
from llem.config.layers import LoadedStudy, load_study
from llem.config.study import ExecutionConfig
from llem.sweep.expansion import Sweep
from llem_start.template import EXAMPLE_MODEL, commented_study, yaml_value

_COMMENTED_KEY = re.compile(r"^( *)# ((?: {2})*[a-z_][A-Za-z_.]*:(?: |$))", re.MULTILINE)


def load(tmp_path: Path, text: str) -> LoadedStudy:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    return load_study(path, environ={"XDG_CONFIG_HOME": str(tmp_path)}, backends=BACKENDS)


@pytest.mark.parametrize("backend", sorted(BACKENDS))
def test_it_loads_unchanged_as_one_experiment(tmp_path: Path, backend: str) -> None:
    loaded = load(tmp_path, commented_study(BACKENDS, backend=backend))
    points = list(Sweep(loaded.config, BACKENDS, SCENARIOS, loaded.locate))
    assert [point.config.model.source for point in points] == [EXAMPLE_MODEL]
    assert loaded.config.base["backend"] == backend


@pytest.mark.parametrize("backend", sorted(BACKENDS))
def test_it_loads_with_every_comment_opened_and_each_value_is_the_default(tmp_path: Path, backend: str) -> None:
    text = _COMMENTED_KEY.sub(r"\1\2", commented_study(BACKENDS, backend=backend))
    closed = [line for line in text.splitlines()[3:] if line.startswith("#")]
    assert [line.strip("# ").partition(":")[0] for line in closed] == ["in place of a list"]
    opened = load(tmp_path, text)
    plain = load(tmp_path, commented_study(BACKENDS, backend=backend))
    composer = Composer(BACKENDS, SCENARIOS)
    assert composer.compose(opened.config.base) == composer.compose(plain.config.base)
    assert opened.config.execution == ExecutionConfig()
    assert len(list(Sweep(opened.config, BACKENDS, SCENARIOS, opened.locate))) == 4


def test_it_names_every_key_with_its_description() -> None:
    text = commented_study(BACKENDS, backend="other")
    sections = {**Vocabulary(BACKENDS).sections, "execution": ExecutionConfig}
    del sections["testbed"]
    for model in sections.values():
        for facts in facts_of(model).values():
            assert re.search(rf"\b{facts.key.rpartition('.')[2]}: ", text)
            assert facts.description in text


def test_it_is_written_for_any_model_and_without_a_backend(tmp_path: Path) -> None:
    for model in ("a: b # c", "007", "yes", "pkg:x/y.gguf", "m'o\"del"):
        loaded = load(tmp_path, commented_study(BACKENDS, model=model))
        assert loaded.config.base["model"] == {"source": model}
    assert "backend: pytorch" in commented_study({})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("yes", '"yes"'),
        ("8", '"8"'),
        ("1e3", '"1e3"'),
        ("plain", "plain"),
        (None, "null"),
        (True, "true"),
        (1.0, "1.0"),
    ],
)
def test_text_is_quoted_where_it_would_be_read_as_something_else(value: object, text: str) -> None:
    assert yaml_value(value) == text
