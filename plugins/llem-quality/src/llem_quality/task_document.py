"""The plain values of a task's file. Its functions are the business of lm-evaluation-harness, which calls them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml


class _PlainLoader(yaml.SafeLoader):
    """YAML where a tag that this does not know, such as `!function`, stands for nothing."""


def _nothing(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> None:
    return None


_PlainLoader.add_multi_constructor("!", _nothing)


def read_task_file(path: Path, within: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The keys of a task's file, with those of the files that it includes below them.

    Args:
        path: the file.
        within: the files that include it.

    Raises:
        ValueError: it is no mapping, or includes itself.
        OSError: it cannot be read.
    """
    path = path.resolve()
    if path in within:
        raise ValueError(f"{path} includes itself")
    found = yaml.load(path.read_bytes(), Loader=_PlainLoader)  # a safe loader that skips tags
    if not isinstance(found, dict):
        raise ValueError(f"{path} is no mapping")
    includes = found.pop("include", None) or []
    merged: dict[str, Any] = {}
    for include in includes if isinstance(includes, list) else [includes]:
        merged.update(read_task_file(path.parent / str(include), (*within, path)))
    return {**merged, **found}
