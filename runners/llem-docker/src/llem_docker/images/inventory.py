"""The images of llem that are here: those of installed backends, present or not, and others with llem's labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from llem_docker.images import labels
from llem_docker.images.names import canonical


@dataclass(frozen=True, kw_only=True)
class Image:
    """One image.

    Attributes:
        reference: its name.
        backend: that it runs; target: `cuda`, `cpu`, or `any` where one image serves both.
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


def inventory(names: Mapping[str, Mapping[str, str]], local: Iterable[Mapping[str, Any]]) -> Iterator[Image]:
    """First the images that installed backends would use, then all others of llem that are here.

    Args:
        names: the image that each backend takes, by backend and target.
        local: attributes of local images that backends name or that carry the label `llem.backend`, as the engine's
            inspection gives them.
    """
    images = list(local)
    here = {tag: attributes for attributes in images for tag in _references(attributes)}
    shown = set()
    for backend, named in names.items():
        for target, name in named.items():
            found = here.get(canonical(name))
            if found is None:
                yield Image(reference=name, backend=backend, target=target, present=False)
            else:
                shown.add(canonical(name))
                yield _present(name, found, backend, target)
    ours = (attributes for attributes in images if labels.BACKEND in _labels(attributes))
    others = {tag: attributes for attributes in ours for tag in attributes.get("RepoTags") or [attributes["Id"]]}
    for tag, attributes in sorted(others.items()):
        if tag not in shown:
            yield _present(tag, attributes)


def _references(attributes: Mapping[str, Any]) -> Iterator[str]:
    yield from attributes.get("RepoTags") or ()
    yield from attributes.get("RepoDigests") or ()


def _labels(attributes: Mapping[str, Any]) -> Mapping[str, str]:
    return (attributes.get("Config") or {}).get("Labels") or {}


def _present(reference: str, attributes: Mapping[str, Any], backend: str = "", target: str = "") -> Image:
    """An image that is here: what its labels say of it, else what the backend that names it does."""
    told = _labels(attributes)
    return Image(
        reference=reference,
        backend=told.get(labels.BACKEND) or backend,
        target=told.get(labels.TARGET) or target,
        present=True,
        id=attributes["Id"],
        llem_version=told.get(labels.LLEM_VERSION),
        engine=told.get(labels.ENGINE) or None,
        engine_version=told.get(labels.ENGINE_VERSION) or None,
        cuda=told.get(labels.CUDA) or None,
        size_mb=attributes["Size"] / 2**20,
        created=told.get(labels.OCI + "created") or attributes.get("Created"),
    )
