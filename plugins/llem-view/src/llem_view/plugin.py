"""The registration of llem-view: one view, for a terminal and for a notebook."""

from __future__ import annotations

from collections.abc import Sequence

from llem.plugin_api import API_VERSION, ViewSpec, hookimpl


@hookimpl
def llem_views() -> Sequence[ViewSpec]:
    """The view `live`."""
    return [
        ViewSpec(
            name="live",
            api_version=API_VERSION,
            summary="experiments, phases, power and time left, on a terminal and in a notebook",
            view="llem_view.live:open_view",
        )
    ]
