"""`llem config show`, `schema` and `init`, as a user calls them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from plain_environment import set_for_llem

from llem.cli import main
from llem.config.reading import read_yaml

pytestmark = pytest.mark.usefixtures("without_other_plugins")

STUDY = """\
name: s
model: random:tiny-llama
backend: testbed
dataset: {n: 4}
sweep:
  testbed.batch_size: [1, 2]
  dataset.output_tokens: {pow2: [8, 32]}
"""


@dataclass(frozen=True)
class Done:
    """The outcome of a command."""

    returncode: int
    stdout: str
    stderr: str


Config = Callable[..., Done]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Config:
    """Runs `llem config` beside a study, with no user file and no variables but those given."""
    (tmp_path / "study.yaml").write_text(STUDY)
    monkeypatch.chdir(tmp_path)
    for name in set_for_llem():
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))

    def run(*arguments: str, **variables: str) -> Done:
        with monkeypatch.context() as given:
            for name, value in variables.items():
                given.setenv(name, value)
            code = main(["config", *arguments])
        written = capsys.readouterr()
        assert "Traceback" not in written.out + written.err
        return Done(code, written.out, written.err)

    return run


def lines(text: str) -> dict[str, list[str]]:
    """Key to the other two columns."""
    rows = [re.split(r"\s{2,}", line) for line in text.splitlines()]
    return {row[0]: row[1:] for row in rows if len(row) == 3}


def test_show_gives_each_value_and_where_it_came_from(config: Config, tmp_path: Path) -> None:
    user = tmp_path / "user.yaml"
    user.write_text("execution: {cycles: 3}\n")
    done = config("show", "study.yaml", "--set", "dataset.seed=7", LLEM_WARMUP_BATCHES="4", LLEM_CONFIG_FILE=str(user))
    assert done.returncode == 0, done.stderr
    rows = lines(done.stdout)
    assert rows["dataset.n"] == ["4", "study.yaml:4:11"]
    assert rows["dataset.seed"] == ["7", "command line"]
    assert rows["warmup.batches"] == ["4", "environment LLEM_WARMUP_BATCHES"]
    assert rows["execution.cycles"] == ["3", f"user file {user}:1:13"]
    assert rows["dataset.shuffle"] == ["false", "default"]
    assert rows["testbed.batch_size"] == ["2", "default, swept below"]
    assert rows["sweep.testbed.batch_size"] == ["[1, 2]", "study.yaml:6:3"]
    assert "6 points. `llem run study.yaml --dry-run` checks and lists them." in done.stdout
    assert "pytorch.dtype" not in rows


def test_show_says_which_axis_gave_way(config: Config) -> None:
    done = config("show", "study.yaml", LLEM_TESTBED_BATCH_SIZE="8")
    assert "Note: the axis `testbed.batch_size` of the sweep is replaced" in done.stdout
    assert lines(done.stdout)["testbed.batch_size"] == ["8", "environment LLEM_TESTBED_BATCH_SIZE"]
    assert "3 points." in done.stdout


def test_show_as_json_is_one_document_of_the_same(config: Config) -> None:
    done = config("show", "study.yaml", "--json", "--set", "dataset.n=5")
    document: dict[str, Any] = json.loads(done.stdout)
    assert document["points"] == 6
    assert document["notes"] == []
    assert document["values"]["dataset.n"] == {"value": 5, "origin": "command line", "where": None, "swept": False}
    assert document["values"]["testbed.batch_size"] == {"value": 2, "origin": "default", "where": None, "swept": True}
    assert document["values"]["sweep.dataset.output_tokens"]["value"] == {"pow2": [8, 32]}


def test_show_without_a_study_shows_what_the_machine_adds(config: Config) -> None:
    done = config("show", LLEM_DATASET_N="9")
    assert done.returncode == 0, done.stderr
    assert lines(done.stdout)["dataset.n"] == ["9", "environment LLEM_DATASET_N"]


def test_show_all_lists_backends_that_are_not_used_too(config: Config, tmp_path: Path) -> None:
    (tmp_path / "plain.yaml").write_text("model: x\nbackend: testbed\n")
    assert "testbed.fail_in" in lines(config("show", "plain.yaml").stdout)
    everything = lines(config("show", "--all").stdout)
    assert "testbed.fail_in" in everything


@pytest.mark.parametrize(
    ("text", "code", "expected"),
    [
        ("", 2, "study.yaml: is empty."),
        ("model: x\nbackend: testbed\ndatset: 3\n", 2, "study.yaml:3:1: `datset` is an unknown key."),
        ("model: x\nbackend: no-such\n", 4, "study.yaml:2:1: no backend `no-such` is installed"),
        (STUDY.replace("[1, 2]", "3"), 2, "study.yaml:6:3: `sweep.testbed.batch_size` is no axis"),
        (
            STUDY.replace("[8, 32]", "[1, 1073741824]").replace("[1, 2]", "{min: 1, max: 1000000, num: 1000000}"),
            2,
            "points",
        ),
    ],
)
def test_what_is_wrong_is_one_paragraph_and_an_exit_code(
    config: Config, tmp_path: Path, text: str, code: int, expected: str
) -> None:
    (tmp_path / "study.yaml").write_text(text)
    done = config("show", "study.yaml")
    assert done.returncode == code
    assert done.stdout == ""
    assert done.stderr.startswith("llem: ")
    assert expected in done.stderr


def test_schema_is_valid_and_holds_every_installed_backend(config: Config, tmp_path: Path) -> None:
    done = config("schema")
    schema = json.loads(done.stdout)
    Draft202012Validator.check_schema(schema)
    assert "testbed" in schema["properties"]
    assert Draft202012Validator(schema).is_valid(read_yaml(STUDY, "x").data)
    assert config("schema", "--output", "llem.schema.json").returncode == 0
    assert json.loads((tmp_path / "llem.schema.json").read_text()) == schema


def test_init_writes_a_study_that_loads_and_never_replaces_one_unasked(config: Config, tmp_path: Path) -> None:
    done = config("init", "new.yaml", "--backend", "testbed")
    assert "llem run new.yaml --dry-run" in done.stdout
    assert config("show", "new.yaml").returncode == 0
    text = (tmp_path / "new.yaml").read_text()
    again = config("init", "new.yaml", "--backend", "testbed", "--model", "random:tiny-llama")
    assert again.returncode == 2
    assert "new.yaml: is there already. Use --force" in again.stderr
    assert (tmp_path / "new.yaml").read_text() == text
    assert config("init", "new.yaml", "--model", "random:tiny-llama", "--force").returncode == 0
    assert "random:tiny-llama" in (tmp_path / "new.yaml").read_text()
    assert config("init", "--backend", "testbed").stdout == text


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (("init", "no/such/folder/study.yaml"), 2, "cannot be written"),
        (("init", "x.yaml", "--backend", "testbad"), 4, "Did you mean `testbed`?"),
        (("init", "x.yaml", "--model", " "), 2, "--model is empty"),
        (("schema", "--output", "no/such/folder/x.json"), 2, "cannot be written"),
        (("show", "none.yaml"), 2, "there is no such file"),
        (("shw",), 2, "shw"),
    ],
)
def test_a_command_that_cannot_be_done_says_why(
    config: Config, tmp_path: Path, arguments: tuple[str, ...], code: int, expected: str
) -> None:
    done = config(*arguments)
    assert done.returncode == code
    assert expected in done.stderr
    assert not (tmp_path / "x.yaml").exists()
