"""Settings of the runner `apptainer`, below `runner_options: {apptainer: …}`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from llem.plugin_api import ConfigError, RunnerContext, Section
from llem_containers.sizes import size_of


def _size(text: str) -> str:
    size_of(text, 2**20)
    return text


class ApptainerOptions(Section):
    """Limits of every container, its network and its image; no part of an experiment's identity."""

    memory: Annotated[str, AfterValidator(_size)] | None = Field(
        None, description="most memory of a container, such as 64g; null: no limit, which needs no control groups"
    )
    cpus: float | None = Field(None, gt=0, lt=1_000_000, description="CPUs' worth of time that it gets; null: all")
    pids: int | None = Field(None, ge=1, description="most processes and threads; null: no limit of its own")
    output: Annotated[str, AfterValidator(_size)] = Field("8g", description="most that an experiment may write")
    network: Literal["auto", "none", "host"] = Field(
        "auto", description="auto (off, unless something must be fetched), none, or host: this machine's"
    )
    pull: Literal["missing", "never"] = Field(
        "missing", description="missing: make a SIF file of an image that is not in the cache; never: do not"
    )

    @property
    def memory_bytes(self) -> int | None:
        """Bytes of `memory`."""
        return None if self.memory is None else size_of(self.memory)

    @property
    def output_bytes(self) -> int:
        """Bytes of `output`."""
        return size_of(self.output)


def options_of(context: RunnerContext) -> ApptainerOptions:
    """The options that the study sets. Raises ConfigError where they are another runner's."""
    options = context.options or ApptainerOptions.model_validate({})
    if not isinstance(options, ApptainerOptions):
        raise ConfigError(f"the options are {type(options).__name__}'s, not Apptainer's.", where="runner_options")
    return options
