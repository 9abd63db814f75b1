"""An importer: a form of another tool's, and what reads results from it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ImporterSpec:
    """Registration of an importer, by `llem_importers`.

    Attributes:
        name: the word in `llem import --from`.
        api_version: the `API_VERSION` that it was written for.
        summary: what it reads and who writes it, one line.
        read: `package.module:function`; takes a `Path` (file or folder), yields a `llem.results.models.ExperimentResult` for each
            run, in order. What the form does not tell stays None. Each has a `config_hash` that is equal for runs of one
            configuration, which are its cycles, and their place (`position`), from 1. Raises ResultError where the path holds
            nothing of this form. That they are imported, `llem import` says itself, in every result.
        mapping: `read` takes a second `Path`, of the mapping file that `--mapping` names, or None.
    """

    name: str
    api_version: int
    summary: str
    read: str
    mapping: bool = False
