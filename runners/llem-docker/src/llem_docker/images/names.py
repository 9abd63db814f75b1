"""The names of images. A backend says what its image is called, and build, list, pull and run all ask here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from docker.utils import parse_repository_tag

from llem.plugin_api import BACKENDS, BackendSpec, SpecRegistry
from llem_containers.names import CPU, CUDA

ANY = "any"


def names_of(spec: BackendSpec) -> dict[str, str]:
    """Every image that a backend names, by the kind of machine: `cuda` and `cpu`, or `any` where one serves both."""
    if spec.image and spec.cpu_image in (None, spec.image):
        return {ANY: spec.image}
    named = {CUDA: spec.image, CPU: spec.cpu_image}
    return {target: name for target, name in named.items() if name}


def all_names(registry: SpecRegistry) -> dict[str, Mapping[str, str]]:
    """`names_of` every installed backend that names an image, by backend."""
    found = {name: names_of(spec) for name, spec in registry[BACKENDS].items()}
    return {name: named for name, named in sorted(found.items()) if named}


def canonical(reference: str) -> str:
    """A reference as an engine lists it: without Docker's own registry, and with a tag or a digest."""
    place, tag = parse_repository_tag(reference)
    place = place.removeprefix("docker.io/").removeprefix("library/")
    return f"{place}@{tag}" if "@" in reference else f"{place}:{tag or 'latest'}"


def repository(reference: str) -> str:
    """A reference without its tag or digest."""
    return str(parse_repository_tag(reference)[0])


def varied(reference: str, parts: Sequence[str]) -> str:
    """The name of an image that differs from the one of `reference`: what differs is appended to its tag."""
    place, tag = parse_repository_tag(reference)
    taken = [re.sub(r"[^\w.-]", "-", part) for part in parts]
    return f"{place}:{'-'.join([tag or 'latest', *taken])}"
