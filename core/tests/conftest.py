"""Processes of the core's tests run as where nothing but the core is installed: without pandas, which pyarrow would import into
each of them, twice for every study."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def _hides_pandas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("without-pandas")
    (folder / "pandas.py").write_text('raise ImportError("the core does not need it")\n')
    return folder


@pytest.fixture(autouse=True)
def _without_pandas(_hides_pandas: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(_hides_pandas), os.environ["PYTHONPATH"]]))
