"""Results and studies at the end of a notebook's cell. The tables are llem-analysis's; without it stands what installs it."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def shown(display: str, result: Any) -> str:
    """HTML of a result or a study, by a function of `llem_analysis.result_display`."""
    try:
        module = import_module("llem_analysis.result_display")
    except ModuleNotFoundError as error:
        if error.name != "llem_analysis":
            raise
        return "<p>Its figures show as a table here with llem-analysis: pip install 'llem[analysis]'.</p>"
    html: str = getattr(module, display)(result)
    return html
