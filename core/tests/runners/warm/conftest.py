"""A bed for tests of warm starts, closed after each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from warm_bed import Bed


@pytest.fixture
def bed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bed]:
    made = Bed(tmp_path, monkeypatch)
    yield made
    made.close()
