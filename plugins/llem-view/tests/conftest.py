"""Studies on the test backend, in a home of each test's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from plain_environment import set_for_llem
from quick_studies import Read, quick_study


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration, cache or variable of whoever runs the tests reaches them."""
    home = tmp_path_factory.mktemp("home")
    for name in set_for_llem():
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))


@pytest.fixture
def study(tmp_path: Path) -> Callable[..., Path]:
    """Writes a quick study into the test's folder."""

    def write(**changes: Any) -> Path:
        return quick_study(tmp_path, **changes)

    return write


@pytest.fixture
def read() -> type[Read]:
    """Readers of what a study leaves."""
    return Read
