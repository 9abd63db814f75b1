"""Two backends for tests of configuration: the testbed, and `other`, whose section has a field of every kind."""

from __future__ import annotations

from typing import Literal

from llem_testbed import llem_backends
from pydantic import Field, model_validator

from llem.config.section import Section
from llem.hookspecs import API_VERSION
from llem.plugin_api import BackendSpec
from llem.plugins import Registry
from llem.specs import kinds


class CompileConfig(Section):
    """Compilation."""

    enabled: bool = Field(False, description="compile")
    mode: Literal["fast", "small"] = Field("fast", description="which way")


class OtherConfig(Section):
    """Options of the backend `other`."""

    dtype: Literal["auto", "float32", "float16", "bfloat16"] = Field("auto", description="dtype of the weights")
    share: float = Field(0.9, gt=0, le=1, description="share of the memory")
    blocks: int | None = Field(None, ge=16, le=4096, multiple_of=16, description="blocks")
    compile: CompileConfig = Field(default_factory=CompileConfig, description="compilation")
    flags: list[str] = Field(default_factory=list, max_length=4, description="flags")
    environment: dict[str, int] = Field(default_factory=dict, description="numbers by name")
    device: str = Field("cpu", pattern=r"^(cpu|cuda(:[0-9])?)$", description="device", examples=["cpu", "cuda:1"])
    eager: bool = Field(False, description="without graphs; contradicts compile")

    @model_validator(mode="after")
    def _consistent(self) -> OtherConfig:
        if self.eager and self.compile.enabled:
            raise ValueError("eager contradicts compile.enabled")
        return self


def resolve(section: Section) -> Section:
    """`compile.mode` has no effect where nothing is compiled; `cuda:0` is `cuda`."""
    assert isinstance(section, OtherConfig)
    changes: dict[str, object] = {} if section.compile.enabled else {"compile": CompileConfig()}
    if section.device == "cuda:0":
        changes["device"] = "cuda"
    return section.model_copy(update=changes)


OTHER = BackendSpec(
    name="other",
    api_version=API_VERSION,
    summary="a section with a field of every kind",
    config=OtherConfig,
    engine="config_backends:Missing",
    resolve=resolve,
)

BACKENDS: dict[str, BackendSpec] = {spec.name: spec for spec in (*llem_backends(), OTHER)}
"""By name: `testbed`, which streams, and `other`, which does not."""

SCENARIOS = Registry(entry_points=[])[kinds.SCENARIOS]
"""Those that llem brings."""
