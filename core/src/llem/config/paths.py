"""The values of a section that are paths of files, by how they are written: they go along to another place to run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

_BEGINS = ("/", "./", "../", "~/")
_LONGEST = 4096


def paths_in(value: object) -> Iterator[str]:
    """Texts that are written as paths, in plain data such as `Section.model_dump(mode="json")`; none need exist."""
    if isinstance(value, str):
        if value.startswith(_BEGINS) and len(value) < _LONGEST and "\0" not in value:
            yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from paths_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from paths_in(item)
