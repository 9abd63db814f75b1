"""Where the server runs, and what of this machine its work is done by: what energy can be told depends on it."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psutil

from llem.plugin_api import ModelError
from llem_openai.config import OpenaiConfig

if TYPE_CHECKING:
    from llem.plugin_api import Accelerator, Registry

_FIRST_PID_NAMESPACE = "pid:[4026531836]"
"""The namespace in which drivers count processes; its number is a constant of the kernel."""


@dataclass(frozen=True)
class Place:
    """Where the work is done.

    Attributes:
        devices: of this machine; empty where it is done elsewhere.
        elsewhere: the host that does it, where that is not this machine.
        told: for the result: what this rests on.
    """

    devices: Sequence[str]
    elsewhere: str | None
    told: str


def place_of(options: OpenaiConfig, processes: Collection[int] = ()) -> Place:
    """Where the server runs, by the study's word or its address.

    Args:
        options: the section.
        processes: of a server that runs here: the GPUs that they hold are those that do the work.

    Raises:
        ModelError: its name is not known, or devices of this machine are named for a server on another.
    """
    host = urlsplit(options.base_url).hostname or ""
    if processes:
        by = "started by openai.serve" if options.serve is not None else "named by openai.pid"
        if options.devices is not None:
            return Place(tuple(options.devices), None, f"this machine, {by}; its devices by openai.devices")
        devices, rest = devices_of(processes)
        return Place(devices, None, f"this machine, {by}; {rest}")
    here = options.same_machine if options.same_machine is not None else is_here(host, options)
    by = "by openai.same_machine" if options.same_machine is not None else f"by the address {host}"
    if not here:
        if options.devices is not None:
            raise ModelError(
                f"openai.devices names devices of this machine, and the server is on another one ({by}).",
                where=options.base_url,
                remedy="Leave openai.devices out, or set openai.same_machine: true.",
            )
        return Place((), host, f"another machine than the one that measured, {by}")
    if options.devices is not None:
        return Place(tuple(options.devices), None, f"this machine, {by}; its devices by openai.devices")
    return Place(visible_gpus() or ("cpu",), None, f"this machine, {by}; all devices that are seen here")


def is_here(host: str, options: OpenaiConfig) -> bool:
    """Tell whether every address of a name is one of this machine's own."""
    try:
        found = {str(info[4][0]).partition("%")[0] for info in socket.getaddrinfo(host, None)}
    except OSError as error:
        raise ModelError(
            f"the name {host} is not known: {error.strerror}.",
            where=options.base_url,
            remedy="Correct openai.base_url.",
        ) from error
    own = {a.address.partition("%")[0] for addresses in psutil.net_if_addrs().values() for a in addresses}
    return all(address in own or ipaddress.ip_address(address).is_loopback for address in found)


def devices_of(processes: Collection[int]) -> tuple[tuple[str, ...], str]:
    """Ids of the devices that processes work on, and what that rests on: the GPUs that they hold, as far as the driver tells."""
    gpus = _gpus()
    held = tuple(one.id for one in gpus if one.processes is not None and not one.processes.isdisjoint(processes))
    if held:
        return held, "the GPUs that its processes hold"
    if not gpus or (_counts_as_a_driver() and all(one.processes is not None for one in gpus)):
        return ("cpu",), "its processes hold no GPU"
    return tuple(one.id for one in gpus), "all devices that are seen here"


def _counts_as_a_driver() -> bool:
    """True where pids here are those that a driver tells; in a container they are others."""
    try:
        return str(Path("/proc/self/ns/pid").readlink()) == _FIRST_PID_NAMESPACE
    except OSError:
        return False


def visible_gpus() -> tuple[str, ...]:
    """Ids of the GPUs that this process may see."""
    return tuple(one.id for one in _gpus())


def _gpus() -> list[Accelerator]:
    from llem.plugin_api import accelerators_here

    return [one for one in accelerators_here(_installed()) if one.kind == "gpu"]


@cache
def _installed() -> Registry:
    """The plugins of this environment; they stay as they are, and a server that is kept is asked for its place again and again."""
    from llem.plugin_api import Registry

    return Registry()
