"""Studies on the test backend, written, run and read as a user would; plugins installed into a folder of the test's own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hidden_distributions import BESIDE_PYTORCH, hide
from plain_environment import plain_environment, set_for_llem
from quick_studies import QUICK, Read, quick_study

from llem.plugins import default_registry
from llem_plugin_kit.processes import is_alive

WriteYaml = Callable[..., Path]
Install = Callable[..., Mapping[str, str]]


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration, cache or variable of whoever runs the tests reaches them."""
    home = tmp_path_factory.mktemp("home")
    for name in set_for_llem():
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))


@pytest.fixture(scope="session")
def bare_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that hides what other distributions of this repository bring."""
    return hide(tmp_path_factory.mktemp("bare"), *BESIDE_PYTORCH)


@pytest.fixture
def without_backends(hidden: Callable[..., Mapping[str, str]]) -> Mapping[str, str]:
    """An environment in which no backend is installed."""
    return hidden("llem-pytorch", "llem-testbed")


@pytest.fixture
def hidden(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Mapping[str, str]]:
    """Takes distributions, returns an environment in which they are not installed."""

    def do(*distributions: str) -> Mapping[str, str]:
        site = hide(tmp_path_factory.mktemp("bare"), *distributions)
        return {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), os.environ["PYTHONPATH"]])}

    return do


@pytest.fixture(scope="module", autouse=True)
def without_other_plugins(bare_site: Path) -> Iterator[None]:
    """Hide other distributions of this repository: installed or not, they change nothing for the tests."""
    default_registry.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(bare_site)
        patch.setenv("PYTHONPATH", os.pathsep.join([str(bare_site), os.environ["PYTHONPATH"]]))
        yield
    default_registry.cache_clear()


@pytest.fixture(scope="session")
def quick() -> Mapping[str, Any]:
    """`QUICK`, for test modules."""
    return QUICK


@pytest.fixture
def study(tmp_path: Path) -> WriteYaml:
    """Writes a quick study into the test's folder."""

    def write(**changes: Any) -> Path:
        return quick_study(tmp_path, **changes)

    return write


@pytest.fixture
def install(tmp_path: Path) -> Install:
    """Installs a distribution for real, a folder with a module and its dist-info; returns the environment that has it."""
    sites: list[str] = []

    def do(distribution: str, code: str, version: str = "1.0") -> Mapping[str, str]:
        site = tmp_path / "sites" / distribution
        plain = distribution.replace("-", "_")
        info = site / f"{plain}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[llem]\n{distribution} = {plain}_plugin\n")
        (site / f"{plain}_plugin.py").write_text(code)
        sites.append(str(site))
        return {**os.environ, "PYTHONPATH": os.pathsep.join([*sites, os.environ["PYTHONPATH"]])}

    return do


@pytest.fixture
def read() -> type[Read]:
    """`only_study`, `manifest` and `rows`, for test modules."""
    return Read


@pytest.fixture(scope="session")
def crashed(
    made_once: Callable[[str, Callable[[Path], object]], Path],
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A study in which experiments go wrong in every way, run once, and the llem that ran it. Not to be written to."""
    folder = made_once("crashed", _crash)
    return Read.only_study(folder / "results"), subprocess.CompletedProcess(
        **json.loads((folder / "done.json").read_text())
    )


def _crash(folder: Path) -> None:
    slow = {"timeout_s": 3, "silence_timeout_s": 100}
    silent = {"timeout_s": 100, "silence_timeout_s": 3}
    experiments: list[dict[str, Any]] = [
        {"testbed": {"fail": "raise"}},
        {"testbed": {"fail": "segfault"}},
        {"testbed": {"fail": "exit", "fail_in": "load"}},
        {"testbed": {"fail": "kill"}},
        {"testbed": {"fail": "silent_exit"}},
        {"testbed": {"fail": "hang"}, "limits": slow},
        {"testbed": {"fail": "hang", "fail_in": "load"}, "limits": silent},
        {"testbed": {"fail": "orphan"}, "limits": slow},
        {"testbed": {"batch_size": 1}},
    ]
    path = quick_study(folder, experiments=experiments)
    done = subprocess.run(
        [sys.executable, "-m", "llem", "run", str(path)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=200,
        stdin=subprocess.DEVNULL,
        env=plain_environment(),
        check=False,
    )
    (folder / "done.json").write_text(json.dumps(vars(done)))
    (log,) = [
        text for log in folder.glob("results/*/experiments/*/worker.log") if "orphan" in (text := log.read_text())
    ]
    (orphan,) = re.findall(r"orphan pid (\d+)", log)
    # Looked at here: by the time of a test another process may have that number.
    (folder / "orphan.json").write_text(json.dumps({"is_alive": is_alive(int(orphan))}))
