"""Parts of this machine that a container sees: models, datasets, the hub's cache, and its need of the network."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from llem.plugin_api import DatasetConfig, ExperimentConfig, LlemError, paths_in
from llem_hub.availability import hub_cache, is_cached
from llem_hub.sources import locate_model

JOB = "/llem/job"
SCRATCH = "/llem/scratch"
HOME = f"{SCRATCH}/home"
TMP = f"{SCRATCH}/tmp"
HUB = "/llem/hub"
PACKAGES = "/llem/packages"
TOKEN = "/run/secrets/hf_token"

_FROM_THE_HUB = frozenset({"hub", "aienergyscore:official"})
"""Datasets that come from the hub where no local file is named."""

_MOST_FILES = 10_000
"""A model folder is searched for links that lead out of it as far as so many files."""


@dataclass
class Places:
    """The places that a container sees.

    Attributes:
        read_only: path here to path inside.
        hub: the hub's cache, to be mounted at `HUB`, or None.
        fetches: something must be downloaded: network on, cache writable.
        packages: import names of which the files were mounted below `PACKAGES`.
        empty: folders that must exist inside, because a path leads through them.
    """

    read_only: dict[str, str] = field(default_factory=dict)
    hub: Path | None = None
    fetches: bool = False
    packages: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)


def places_of(config: ExperimentConfig, base_dir: str, environ: Mapping[str, str] = os.environ) -> Places:
    """Find everything that an experiment reads on this machine.

    Files and folders appear inside under the path that they have here, so that the experiment's configuration stays as it is.

    Raises:
        ModelError: the model does not exist or is broken.
    """
    places = Places()
    hub = hub_cache(environ)
    for source, revision in _models(config):
        _add_model(places, source, revision, base_dir, hub)
    _add_dataset(places, config.dataset, base_dir)
    # A scenario's sections name files as a backend's does: recorded arrivals are one.
    for section in (config.options, *config.sections.values()):
        for path in paths_in(section.model_dump(mode="json")):
            _add_path(places, path, base_dir)
    if places.fetches:
        hub.mkdir(parents=True, exist_ok=True)
        places.hub = hub
    elif hub.is_dir() and any(not Path(base_dir, s).exists() and _is_hub(s, base_dir) for s, _ in _models(config)):
        places.hub = hub
    return places


def _models(config: ExperimentConfig) -> list[tuple[str, str | None]]:
    """The sources of model and tokenizer with their revisions."""
    found = [(config.model.source, config.model.revision)]
    return [*found, (config.model.tokenizer, None)] if config.model.tokenizer else found


def _is_hub(source: str, base_dir: str) -> bool:
    try:
        return locate_model(source, base_dir).kind == "hub"
    except LlemError:
        return False


def _add_model(places: Places, source: str, revision: str | None, base_dir: str, hub: Path) -> None:
    location = locate_model(source, base_dir)
    if location.kind == "hub":
        places.fetches = places.fetches or not is_cached(location.name, revision, hub)
    elif source.startswith("pkg:"):
        package, _, inside = source.removeprefix("pkg:").partition("/")
        assert location.path is not None
        folder = location.path.parents[len(PurePosixPath(inside).parts) - 1]
        places.read_only[str(folder.resolve())] = f"{PACKAGES}/{package.replace('.', '/')}"
        places.packages.append(package)
    elif location.path is not None:
        _add_path(places, source, base_dir)


def _add_dataset(places: Places, dataset: DatasetConfig, base_dir: str) -> None:
    local = dataset.path is not None and Path(base_dir, Path(dataset.path).expanduser()).exists()
    if local:
        assert dataset.path is not None
        _add_path(places, dataset.path, base_dir)
    elif dataset.name in _FROM_THE_HUB:
        places.fetches = True


def _add_path(places: Places, text: str, base_dir: str) -> None:
    """Show a file or folder inside, where its text will be looked for. One that does not exist is left to the worker."""
    here = Path(base_dir, Path(text).expanduser())
    if not here.exists() or here.resolve() == Path("/"):
        return
    if text.startswith("~/"):
        places.read_only[str(here.resolve())] = f"{HOME}/{os.path.normpath(text[2:])}"
        return
    if ".." in PurePosixPath(text).parts and not text.startswith("/"):
        places.empty.append(base_dir)
    places.read_only[str(here.resolve())] = os.path.normpath(here.absolute())
    for outside in _led_out_to(here.resolve()):
        places.read_only.setdefault(outside, outside)


def _led_out_to(folder: Path) -> Iterator[str]:
    """Folders outside of a model's that links in it lead to, as in the hub's cache."""
    if not folder.is_dir():
        return
    seen: set[str] = set()
    for count, path in enumerate(folder.rglob("*")):
        if count >= _MOST_FILES:
            return
        if path.is_symlink() and path.exists():
            target = path.resolve()
            place = str(target if target.is_dir() else target.parent)
            if not target.is_relative_to(folder) and place not in seen and place != "/":
                seen.add(place)
                yield place
