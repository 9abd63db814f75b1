"""Commands and modules of llem's other distributions: known by name where they are not installed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from llem.distributions import DISTRIBUTIONS, commands_elsewhere
from llem.plugins import default_registry

pytestmark = pytest.mark.process


@pytest.fixture
def core_alone(hidden: Any) -> Mapping[str, str]:
    """An environment in which none of the distributions that bring commands is installed."""
    return hidden(*(one.name for one in DISTRIBUTIONS))


@pytest.fixture
def llem_alone(core_alone: Mapping[str, str], llem_here: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """llem in this process, as in that environment."""
    monkeypatch.syspath_prepend(core_alone["PYTHONPATH"].partition(os.pathsep)[0])
    default_registry.cache_clear()
    yield llem_here
    default_registry.cache_clear()


@pytest.mark.parametrize("command", commands_elsewhere())
def test_a_command_whose_distribution_is_missing_says_what_to_install(llem_alone: Any, command: str) -> None:
    one = commands_elsewhere()[command]
    done = llem_alone(command, "--help")
    assert done.returncode == 4
    assert done.stdout == ""
    assert f"the command `{command}` comes with {one.name}, which is not installed here. {one.install}." in done.stderr


def test_help_lists_what_could_be_installed_and_only_that(llem: Any, core_alone: Mapping[str, str]) -> None:
    alone = llem("--help", env=core_alone).stdout
    whole = llem("--help").stdout
    for one in DISTRIBUTIONS:
        assert not one.commands or one.install in " ".join(alone.split())
    assert "pip install llem-plugin-kit" not in whole
    assert "begin a plugin of your own" in whole


def test_a_mistyped_one_is_recognised(llem: Any, core_alone: Mapping[str, str]) -> None:
    assert "Did you mean `plugin`?" in llem("plugni", env=core_alone).stderr


def test_one_that_is_broken_is_told_apart_from_one_that_is_missing(llem: Any, install: Any) -> None:
    done = llem("plugin", "new", env=install("llem-plugin-kit", "raise RuntimeError('kaputt')"))
    assert done.returncode == 4
    assert "llem-plugin-kit 1.0 was set aside because" in done.stderr
    assert "kaputt" in done.stderr


def test_a_function_of_another_distribution_is_llems_too_where_it_is_installed() -> None:
    code = "import llem_exporters; from llem import import_table; assert import_table is llem_exporters.import_table"
    subprocess.run([sys.executable, "-c", code], check=True)
    missing = "import sys; sys.modules['llem_exporters'] = None\ntry: from llem import import_table\nexcept ImportError as e: print(e)"
    done = subprocess.run([sys.executable, "-c", missing], env=os.environ, capture_output=True, text=True, check=True)
    assert "which is not installed here: pip install" in done.stdout
