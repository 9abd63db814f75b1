"""A container's end in words: what the engine and the kernel know, turned into an `Exit`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llem.plugin_api import Exit
from llem_containers.errors import ImageUnfit
from llem_containers.failures import OUT_OF_MEMORY, signal_of
from llem_containers.sizes import in_words
from llem_docker.errors import NOT_FOUND

ENGINE_GONE = "EngineGone"


def ending_of(state: Mapping[str, Any] | None, *, limit: int | None, killed_here: int | None, asked: bool) -> Exit:
    """The exit that the engine's account of a container means.

    Args:
        state: `State` of the container, or None where the engine did not tell.
        limit: most memory of the container (bytes), None: no limit.
        killed_here: how many processes of this machine the kernel ended for want of memory while it ran.
        asked: llem ended the container itself.
    """
    if state is None:
        return Exit(cause="the Docker engine could not be asked how the container ended", error=ENGINE_GONE)
    code = int(state.get("ExitCode") or 0)
    _, name = signal_of(code)
    if not asked and code != 0 and (cause := _memory_cause(state, code, limit, killed_here)):
        return Exit(code=code, cause=cause, error=OUT_OF_MEMORY)
    if code == NOT_FOUND:
        return Exit(code=code, cause="the image has no python3 on its PATH", error=ImageUnfit.__name__)
    said = str(state.get("Error") or "").strip()
    if name is not None:
        return Exit(signal=name, cause=said or None)
    return Exit(code=code, cause=said or None)


def _memory_cause(state: Mapping[str, Any], code: int, limit: int | None, killed_here: int | None) -> str | None:
    if state.get("OOMKilled"):
        if limit is not None:
            return (
                f"out of memory: the container reached its limit of {in_words(limit)} (runner_options.docker.memory), "
                "and the kernel ended a process in it"
            )
        return "out of memory: this machine's memory was used up, and the kernel ended a process in the container"
    if signal_of(code)[1] == "SIGKILL" and killed_here:
        return (
            f"likely out of memory: while it ran, the kernel's out-of-memory killer ended {killed_here} process(es) "
            "of this machine"
        )
    return None
