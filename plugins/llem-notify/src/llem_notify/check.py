"""The preflight check `notify`."""

from __future__ import annotations

from collections.abc import Iterator

from llem.plugin_api import Finding, LlemError, PreflightContext
from llem_notify.config import config_path, read_config
from llem_notify.study import way_to


def check(context: PreflightContext) -> Iterator[Finding]:
    """Find out before a day of measuring that nobody would be told. No address is called: one that is dead stops no study."""
    path = config_path()
    try:
        config = read_config(path)
        for target in () if config is None else config.targets:
            way_to(target, path.parent)
    except LlemError as error:
        yield Finding(
            level="error", message=f"{error.where}: {error.what}", remedy=f"{error.remedy or ''} Or rename notify.yaml."
        )
        return
    if config is not None:
        yield Finding(level="ok", message=f"messages go to {', '.join(target.name for target in config.targets)}")
