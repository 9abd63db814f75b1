"""The images of llem that are here: those of installed backends, present or not, and others with llem's labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from llem_docker.images import labels
from llem_docker.images.recipe import TARGETS, Recipe


@dataclass(frozen=True, kw_only=True)
class Image:
    """One image.

    Attributes:
        reference: its name.
        backend: that it runs; target: `cuda` or `cpu`.
        present: whether it is here. All that follows is None where it is not.
        id: its content's digest.
        llem_version, engine, engine_version, cuda: what its labels say.
        size_mb: MiB that it takes, layers that it shares with others included.
        created: when it was built (ISO 8601).
    """

    reference: str
    backend: str
    target: str
    present: bool
    id: str | None = None
    llem_version: str | None = None
    engine: str | None = None
    engine_version: str | None = None
    cuda: str | None = None
    size_mb: float | None = None
    created: str | None = None


def inventory(recipes: Mapping[str, Recipe], local: Iterable[Mapping[str, Any]]) -> Iterator[Image]:
    """First the images that installed backends would use, then all others of llem that are here.

    Args:
        recipes: by backend.
        local: attributes of local images that carry the label `llem.backend`, as the engine's inspection gives them.
    """
    here = {tag: attributes for attributes in local for tag in attributes.get("RepoTags") or [attributes["Id"]]}
    for name, recipe in sorted(recipes.items()):
        for target in TARGETS:
            tag = recipe.tag(target)
            found = here.pop(tag, None)
            yield _present(tag, found) if found else Image(reference=tag, backend=name, target=target, present=False)
    for tag, attributes in sorted(here.items()):
        yield _present(tag, attributes)


def _present(reference: str, attributes: Mapping[str, Any]) -> Image:
    told = (attributes.get("Config") or {}).get("Labels") or {}
    return Image(
        reference=reference,
        backend=told.get(labels.BACKEND, ""),
        target=told.get(labels.TARGET, ""),
        present=True,
        id=attributes["Id"],
        llem_version=told.get(labels.LLEM_VERSION),
        engine=told.get(labels.ENGINE),
        engine_version=told.get(labels.ENGINE_VERSION),
        cuda=told.get(labels.CUDA) or None,
        size_mb=attributes["Size"] / 2**20,
        created=told.get(labels.OCI + "created") or attributes.get("Created"),
    )
