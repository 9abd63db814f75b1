"""Commands and modules of llem's other distributions: known by name where they are not installed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from llem.distributions import DISTRIBUTIONS, Distribution, commands_elsewhere
from llem.errors import FAILED_EXPERIMENTS, help_url
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


@pytest.mark.parametrize(("dataset", "one"), [(name, one) for one in DISTRIBUTIONS for name in one.datasets])
def test_a_dataset_whose_distribution_is_missing_says_what_to_install(
    llem_alone: Any, dataset: str, one: Distribution
) -> None:
    given = ("--set", "dataset.path=org/name") if dataset == "hub" else ()
    done = llem_alone("run", "--model", "random:tiny-llama", "--backend", "testbed", "--dataset", dataset, *given)
    assert done.returncode == 4
    assert f"the dataset `{dataset}` comes with {one.name}, which is not installed here. {one.install}." in done.stderr


def test_a_study_that_repeats_until_an_interval_is_narrow_says_what_to_install(llem_alone: Any, study: Any) -> None:
    done = llem_alone("run", study(execution={"until": {"ci_width": "2 %"}}), "--dry-run")
    one = commands_elsewhere()["show"]
    assert done.returncode == 4
    said = f"the setting `execution.until` comes with {one.name}, which is not installed here. {one.install}."
    assert said in done.stderr


def test_help_lists_what_could_be_installed_and_only_that(llem: Any, core_alone: Mapping[str, str]) -> None:
    alone = llem("--help", env=core_alone).stdout
    whole = llem("--help").stdout
    for one in DISTRIBUTIONS:
        assert not one.commands or one.install in " ".join(alone.split())
    assert "pip install llem-plugin-kit" not in whole
    assert "begin a plugin of your own" in whole


def test_a_mistyped_one_is_recognised(llem: Any, core_alone: Mapping[str, str]) -> None:
    assert "Did you mean `plugin`?" in llem("plugni", env=core_alone).stderr


def test_a_run_without_the_analysis_ends_with_counts_the_folder_and_what_installs_a_table(
    llem: Any, study: Any, core_alone: Mapping[str, str], tmp_path: Path, read: Any
) -> None:
    points = [{"testbed": {"batch_size": 1}}, {"testbed": {"fail": "exit"}}]
    done = llem("run", study(experiments=points), env=core_alone)
    folder, install = read.only_study(tmp_path / "results"), commands_elsewhere()["show"].install
    assert done.returncode == 1
    (failed,) = (
        line for line in done.stdout.splitlines() if re.match(r"failed: experiments/\S+: Crash in window: ", line)
    )
    assert re.search(r": done: .* tokens/s", done.stderr), "the figures of each are told as it ends"
    assert done.stdout.splitlines() == [
        "",
        "quick, complete: 2 experiments, 1 done, 1 failed",
        "",
        failed,
        "",
        f"run again what failed: llem resume {folder} --retry-failed",
        f"why experiments fail: {help_url(FAILED_EXPERIMENTS)}",
        "",
        f"no table of figures: the command `show` comes with llem-analysis, which is not installed here. {install}.",
        "",
        f"results: {folder}",
    ]


def test_such_a_run_counts_in_json_as_one_with_the_analysis_does(
    llem: Any, study: Any, core_alone: Mapping[str, str]
) -> None:
    alone = json.loads(llem("run", study(), "--json", env=core_alone).stdout)
    document = json.loads(llem("run", study(), "--json").stdout)
    assert alone.keys() - document.keys() == {"failures"}
    assert document.keys() - alone.keys() == {"damage", "where", "sort", "configurations", "experiments"}
    for key in alone.keys() & document.keys() - {"directory"}:
        assert alone[key] == document[key]


def test_an_analysis_that_is_broken_takes_no_run_with_it(llem: Any, study: Any, install: Any) -> None:
    done = llem("run", study(), env=install("llem-analysis", "raise RuntimeError('kaputt')"))
    assert done.returncode == 0, done.stderr
    assert "no table of figures: the command `show` is not available: llem-analysis 1.0 was set aside" in done.stdout
    assert "results: " in done.stdout


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
