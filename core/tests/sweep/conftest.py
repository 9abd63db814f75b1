"""Two backends that exist only as configuration, and studies of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import Field

from llem.config.layers import LoadedStudy, load_study
from llem.config.section import Section
from llem.hookspecs import API_VERSION
from llem.plugins import Registry
from llem.specs import BackendSpec
from llem.specs.kinds import SCENARIOS
from llem.sweep import Sweep


class AlphaConfig(Section):
    """Options of `alpha`."""

    batch_size: int = Field(1, ge=1, le=1_000, description="requests in a batch")
    share: float = Field(0.5, ge=0, le=1, description="a share")
    mode: Literal["fast", "exact"] = Field("exact", description="a mode")
    seed_of_fast: int = Field(0, description="without effect in the mode exact")


class BetaConfig(Section):
    """Options of `beta`."""

    blocks: int = Field(4, ge=1, description="blocks")


def _resolve(section: Section) -> Section:
    assert isinstance(section, AlphaConfig)
    if section.mode == "fast" and section.batch_size > 100:
        raise ValueError("the mode fast takes batches of at most 100")
    return section if section.mode == "fast" else section.model_copy(update={"seed_of_fast": 0})


def _spec(name: str, config: type[Section], **more: Any) -> BackendSpec:
    capabilities = frozenset({"streaming"}) if name == "alpha" else frozenset()
    return BackendSpec(
        name=name,
        api_version=API_VERSION,
        summary=name,
        config=config,
        engine="nowhere:Engine",
        capabilities=capabilities,
        **more,
    )


def _fit(section: Section, together: int) -> Section:
    assert isinstance(section, AlphaConfig)
    return section if section.batch_size <= together else section.model_copy(update={"batch_size": together})


BACKENDS = {"alpha": _spec("alpha", AlphaConfig, resolve=_resolve), "beta": _spec("beta", BetaConfig)}

BASE = {"model": "random:tiny-llama", "backend": "alpha"}

LoadText = Callable[..., LoadedStudy]
SweepOf = Callable[..., Sweep]


@pytest.fixture
def backends() -> Mapping[str, BackendSpec]:
    """The two backends by name."""
    return BACKENDS


@pytest.fixture
def load_text(tmp_path: Path) -> LoadText:
    """Loads a study from YAML; nothing of the machine's own configuration counts."""

    def load(text: str, *, backends: Mapping[str, BackendSpec] = BACKENDS, **options: Any) -> LoadedStudy:
        path = tmp_path / "study.yaml"
        path.write_text(text)
        environ = {"XDG_CONFIG_HOME": str(tmp_path)}
        return load_study(path, environ=environ, backends=backends, **options)

    return load


@pytest.fixture
def fitting() -> Mapping[str, BackendSpec]:
    """The backend `alpha`, whose batches are never larger than what there is to batch."""
    return {"alpha": _spec("alpha", AlphaConfig, resolve=_resolve, fit=_fit)}


@pytest.fixture
def sweep_of(tmp_path: Path) -> SweepOf:
    """The sweep of a study given as data, over a base with the backend `alpha`."""

    def sweep(backends: Mapping[str, BackendSpec] = BACKENDS, **study: Any) -> Sweep:
        environ = {"XDG_CONFIG_HOME": str(tmp_path)}
        loaded = load_study(document={**BASE, **study}, environ=environ, backends=backends)
        return Sweep(loaded.config, backends, Registry(entry_points=[])[SCENARIOS], loaded.locate)

    return sweep


@pytest.fixture
def registry_of() -> Callable[..., Registry]:
    """A registry with backends, and more runners, that were not installed but registered by hand."""

    def make(*specs: Any, runners: Any = ()) -> Registry:
        from llem.hookspecs import hookimpl

        class Plugin:
            @hookimpl
            def llem_backends(self) -> Any:
                return list(specs) or list(BACKENDS.values())

            @hookimpl
            def llem_runners(self) -> Any:
                return list(runners)

        class Entry:
            name, value, dist = "by-hand", "by-hand", None

            def load(self) -> object:
                return Plugin()

        return Registry([Entry()])  # type: ignore[list-item]

    return make
