"""Results at the end of a notebook's cell where llem-analysis, which lays them out, is not installed."""

from __future__ import annotations

import sys
from typing import Any

import pytest

import llem


class Without:
    """A finder that comes first, and finds no llem-analysis."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == "llem_analysis":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def test_without_the_analysis_a_cell_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, make_result: Any, write_study: Any
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "llem_analysis"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Without(), *sys.meta_path])
    for shown in (make_result(), llem.load_study(write_study(make_result()))):
        assert "pip install 'llem[analysis]'" in shown._repr_html_()
