"""A study's rows, whatever form it is given in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llem.plugin_api import MANIFEST, StudyResult, nothing_here, parquet_rows, read_object, read_parquet, several_here


def load_rows(study: Path | str | StudyResult) -> list[dict[str, Any]]:
    """The rows of a study's folder, of a `results.parquet`, or of a study that is open. Raises ResultError for anything else."""
    if isinstance(study, StudyResult):
        return parquet_rows(study.to_arrow())
    path = Path(study)
    if path.suffix == ".parquet":
        return parquet_rows(read_parquet(path))
    if not path.exists():
        raise nothing_here(path)
    if (several := several_here(path)) is not None:
        raise several
    return parquet_rows(StudyResult(path).to_arrow())


def study_name(study: Path | str | StudyResult) -> tuple[str, str]:
    """The name of a study, and its folder."""
    path = study.directory if isinstance(study, StudyResult) else Path(study)
    folder = path.parent if path.suffix == ".parquet" else path
    return folder.resolve().name, str(folder)


def study_order(study: Path | str | StudyResult) -> str:
    """The order that the study ran in, from its manifest; `sequential`, which pairs nothing, where there is none."""
    path = study.directory if isinstance(study, StudyResult) else Path(study)
    manifest = (path.parent if path.suffix == ".parquet" else path) / MANIFEST
    if not manifest.is_file():
        return "sequential"
    return str(read_object(manifest, "manifest").get("order", "sequential"))
