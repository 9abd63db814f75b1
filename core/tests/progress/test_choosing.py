"""The choice between a view that a plugin brings and plain lines."""

from __future__ import annotations

import io
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from llem.plugins import Registry
from llem.progress import TextReporter, reporter_for_people

VIEW = """
from llem.hookspecs import API_VERSION, hookimpl
from llem.progress import TextReporter
from llem.specs.view import ViewSpec

class Shown(TextReporter):
    asked = None

def open_view(stream, *, verbose, estimate_s):
    Shown.asked = verbose, estimate_s
    return Shown(stream) if LIVES else None

@hookimpl
def llem_views():
    return [ViewSpec(name=__name__, api_version=API_VERSION, summary="a test", view=f"{__name__}:open_view")]
"""


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Registry]:
    """Takes names of views and whether each can live here; returns the registry that has them and no other."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(**views: bool) -> Registry:
        for name, lives in views.items():
            (tmp_path / f"{name}.py").write_text(VIEW.replace("LIVES", str(lives)))
        return Registry([EntryPoint(name, name, "llem") for name in views])

    return make


def test_the_first_view_that_can_live_is_taken(registry: Callable[..., Registry]) -> None:
    found = registry(a_view_elsewhere=False, a_view_that_lives=True)
    reporter = reporter_for_people(found, io.StringIO(), verbose=True, estimate_s=60.0)
    assert type(reporter).__module__ == "a_view_that_lives"
    assert type(reporter).asked == (True, 60.0)  # type: ignore[attr-defined]


def test_lines_are_printed_where_no_view_can_live_and_where_little_is_to_be_said(
    registry: Callable[..., Registry],
) -> None:
    for found, quiet in ((registry(), False), (registry(a_view_out_of_place=False), False), (registry(a=True), True)):
        assert type(reporter_for_people(found, io.StringIO(), quiet=quiet)) is TextReporter
