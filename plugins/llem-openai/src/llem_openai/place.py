"""Where the server runs, and what of this machine its work is done by: what energy can be told depends on it."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import psutil

from llem.plugin_api import ModelError
from llem_openai.config import OpenaiConfig


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


def place_of(options: OpenaiConfig) -> Place:
    """Where the server runs, by the study's word or its address.

    Raises:
        ModelError: its name is not known, or devices of this machine are named for a server on another.
    """
    host = urlsplit(options.base_url).hostname or ""
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


def visible_gpus() -> tuple[str, ...]:
    """Ids of the GPUs that this process may see."""
    from llem.plugin_api import Registry, accelerators_here

    return tuple(one.id for one in accelerators_here(Registry()) if one.kind == "gpu")
