"""The distributions that an image holds: what the worker inside may need of what is installed here."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterable, Iterator, Sequence

from llem.plugin_api import DATASETS, SCENARIOS, SpecRegistry

_GROUP = "llem"
_NAME = re.compile(r"[A-Za-z0-9._-]+")


def worker_distributions(registry: SpecRegistry, backend: str) -> Sequence[str]:
    """llem, a backend's distribution, and those of every scenario and dataset that is installed here.

    The load is put to the engine inside the container, and prompts are made there. What these need of llem's distributions and
    of other plugins comes along from here; everything else is left to pip.
    """
    names = dict.fromkeys(["llem", backend])
    names |= dict.fromkeys(registry.provider(SCENARIOS, name).distribution for name in registry[SCENARIOS])
    names |= dict.fromkeys(registry.provider(DATASETS, name).distribution for name in registry[DATASETS])
    names |= dict.fromkeys(_plugins_among(importlib.metadata.requires(backend) or ()))
    waiting = list(names)
    while waiting:
        for needed in _plugins_needed(waiting.pop()):
            if needed not in names:
                names[needed] = None
                waiting.append(needed)
    return tuple(names)


def _plugins_needed(distribution: str) -> Iterator[str]:
    requirements = importlib.metadata.requires(distribution) or ()
    return _plugins_among(one for one in requirements if "extra ==" not in one)


def _plugins_among(requirements: Iterable[str]) -> Iterator[str]:
    """Those that are plugins of llem, or that plugins share, and are installed here."""
    for requirement in requirements:
        name = _NAME.match(requirement)
        if name is None:
            continue
        try:
            found = importlib.metadata.distribution(name[0])
        except importlib.metadata.PackageNotFoundError:
            continue
        if any(point.group == _GROUP for point in found.entry_points) or _builds_on_llem(found):
            yield str(found.name)


def _builds_on_llem(found: importlib.metadata.Distribution) -> bool:
    """True for what plugins share, which registers nothing: no index need have it."""
    return any((name := _NAME.match(one)) is not None and name[0] == "llem" for one in found.requires or ())
