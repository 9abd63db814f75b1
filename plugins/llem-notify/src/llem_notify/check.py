"""The preflight check `notify`."""

from __future__ import annotations

from collections.abc import Iterator

from llem.plugin_api import Finding, LlemError, PreflightContext
from llem_notify.config import config_path, read_config
from llem_notify.study import way_to
from llem_notify.textfile import folder_of, require_client
from llem_notify.tracking import require_store


def check(context: PreflightContext) -> Iterator[Finding]:
    """Find out before a day of measuring that nobody would be told. No address is called: one that is dead stops no study."""
    path = config_path()
    try:
        config = read_config(path)
        for target in () if config is None else config.targets:
            way_to(target, path.parent)
        if config is not None and config.textfile_folder is not None:
            require_client()
            folder_of(config.textfile_folder, path.parent)
        if config is not None and config.mlflow:
            require_store()
    except LlemError as error:
        yield Finding(
            level="error", message=f"{error.where}: {error.what}", remedy=f"{error.remedy or ''} Or rename notify.yaml."
        )
        return
    if config is not None:
        names = [target.name for target in config.targets]
        places = [*names, *([] if config.textfile_folder is None else [f"a file in {config.textfile_folder}"])]
        places += ["MLflow's store"] if config.mlflow else []
        yield Finding(level="ok", message=f"messages go to {', '.join(places)}")
