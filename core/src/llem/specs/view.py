"""A live view of a running study."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ViewSpec:
    """Registration of a view, by `llem_views`. The first that can live where a study is told of is the one that is seen.

    Attributes:
        name: a word for `llem plugins`.
        api_version: the `API_VERSION` that it was written for.
        summary: what it shows and where, one line.
        view: `package.module:function`, imported when a study that is not quiet begins to be told of. It takes the stream (None
            where the caller named none), `verbose` (the workers' logs are wanted too) and `estimate_s` (how long the study may
            take, or None), and returns a `Reporter` that is entered and left by `with`, or None where it cannot live there:
            then lines are printed. `TextReporter` prints the lines above it.
    """

    name: str
    api_version: int
    summary: str
    view: str
