"""The choice of who tells people of a study: a live view where one is installed and can live, else plain lines."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TextIO

from llem.plugins import load_object
from llem.progress.reporter import TextReporter
from llem.specs.kinds import VIEWS
from llem.specs.registry import SpecRegistry
from llem.study.reporter import Reporter


def reporter_for_people(
    registry: SpecRegistry,
    stream: TextIO | None = None,
    *,
    quiet: bool = False,
    verbose: bool = False,
    estimate_s: float | None = None,
) -> AbstractContextManager[Reporter]:
    """The reporter of a study that begins; what it shows is cleared away when the study has finished, or when it is left.

    Args:
        stream: where to print; by default a notebook's output where a view lives there, else standard error.
        quiet: only errors, failures and the end.
        verbose: the worker's log lines too, as they come.
        estimate_s: how long the whole study is expected to take, until finished experiments tell better.
    """
    for spec in () if quiet else registry[VIEWS].values():
        view: AbstractContextManager[Reporter] | None = load_object(spec.view)(
            stream, verbose=verbose, estimate_s=estimate_s
        )
        if view is not None:
            return view
    return TextReporter(stream, quiet=quiet, verbose=verbose)
