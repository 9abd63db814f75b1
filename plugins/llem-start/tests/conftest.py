"""A home of its own for every test, and the distributions that the tests know."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hidden_distributions import BESIDE_PYTORCH, hide
from plain_environment import set_for_llem

from llem.plugins import default_registry


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
    """The folder that hides the other backends and runners of this repository."""
    return hide(tmp_path_factory.mktemp("bare"), *BESIDE_PYTORCH)


@pytest.fixture
def without_backends(tmp_path: Path) -> Mapping[str, str]:
    """An environment in which no backend is installed."""
    site = hide(tmp_path / "hidden", "llem-pytorch", "llem-testbed")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), os.environ["PYTHONPATH"]])}


@pytest.fixture(scope="module")
def without_other_plugins(bare_site: Path) -> Iterator[None]:
    """Hide other distributions of this repository: installed or not, they change nothing for the tests."""
    default_registry.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(bare_site)
        patch.setenv("PYTHONPATH", os.pathsep.join([str(bare_site), os.environ["PYTHONPATH"]]))
        yield
    default_registry.cache_clear()
