"""Settings of the runner `docker`, below `runner_options: {docker: …}`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from llem.plugin_api import ConfigError, RunnerContext, Section
from llem_containers.sizes import size_of

_LEAST_MEMORY = 6 * 2**20
"""The engine refuses less."""


def _memory(text: str) -> str:
    size_of(text, _LEAST_MEMORY)
    return text


def _size(text: str) -> str:
    size_of(text, 2**20)
    return text


class DockerOptions(Section):
    """Limits of every container, its network and its image; no part of an experiment's identity."""

    memory: Annotated[str, AfterValidator(_memory)] | None = Field(
        None, description="most memory of a container, without swap, such as 64g; null: the machine's"
    )
    cpus: float | None = Field(None, gt=0, lt=1_000_000, description="CPUs' worth of time that it gets; null: all")
    pids: int = Field(4096, ge=1, description="most processes and threads")
    shm: Annotated[str, AfterValidator(_size)] = Field(
        "8g", description="size of /dev/shm, which engines of several processes pass tensors through"
    )
    output: Annotated[str, AfterValidator(_size)] = Field("8g", description="most that an experiment may write")
    network: str = Field(
        "auto",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$",
        description="auto (off, unless something must be fetched), none, or the name of a Docker network, such as host",
    )
    pull: Literal["missing", "never"] = Field(
        "missing", description="missing: pull an image that is not here; never: do not"
    )

    @property
    def memory_bytes(self) -> int | None:
        """Bytes of `memory`."""
        return None if self.memory is None else size_of(self.memory)

    @property
    def shm_bytes(self) -> int:
        """Bytes of `shm`."""
        return size_of(self.shm)

    @property
    def output_bytes(self) -> int:
        """Bytes of `output`."""
        return size_of(self.output)


def options_of(context: RunnerContext) -> DockerOptions:
    """The options that the study sets. Raises ConfigError where they are another runner's."""
    options = context.options or DockerOptions.model_validate({})
    if not isinstance(options, DockerOptions):
        raise ConfigError(f"the options are {type(options).__name__}'s, not Docker's.", where="runner_options")
    return options
