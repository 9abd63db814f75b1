"""A study's results in the forms that others read, and others' results as a study. Reads finished results; runs nothing.

`import_table` is here on first use, so that the light parts stay light; `llem.import_table` is the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llem_exporters.importers.frame import import_table

__all__ = ["import_table"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from llem_exporters.importers.frame import import_table

        return import_table
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
