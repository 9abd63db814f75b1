"""Settings of containers: `LLEM_DOCKER_…` variables, each checked."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields

from llem.plugin_api import ConfigError

PREFIX = "LLEM_DOCKER_"

_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
_LEAST_MEMORY = 6 * 2**20
"""The engine refuses less."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Limits of every container. Sizes are bytes.

    Attributes:
        memory: most memory of a container, without swap; None: the machine's.
        cpus: how many CPUs' worth of time it gets; None: all.
        pids: most processes and threads.
        shm: size of /dev/shm, which engines with several processes pass tensors through.
        output: most that an experiment may write into its job and scratch folders.
        network: `auto` (off, unless something must be fetched), `none`, or the name of a Docker network.
        pull: `missing` pulls an image that is not here, `never` does not.
    """

    memory: int | None = None
    cpus: float | None = None
    pids: int = 4096
    shm: int = 8 * 2**30
    output: int = 8 * 2**30
    network: str = "auto"
    pull: str = "missing"


def read_settings(environ: Mapping[str, str]) -> Settings:
    """The settings that the environment gives; an empty variable counts as unset.

    Raises:
        ConfigError: an unknown `LLEM_DOCKER_…` variable, or a value that is not of its kind.
    """
    readers: dict[str, Callable[[str], object]] = {
        "memory": lambda text: size_of(text, _LEAST_MEMORY),
        "cpus": _positive_number,
        "pids": _positive_count,
        "shm": lambda text: size_of(text, 2**20),
        "output": lambda text: size_of(text, 2**20),
        "network": _network,
        "pull": _pull,
    }
    assert readers.keys() == {field.name for field in fields(Settings)}
    given: dict[str, object] = {}
    for name, text in environ.items():
        if not name.startswith(PREFIX) or text == "":
            continue
        key = name.removeprefix(PREFIX).lower()
        if key not in readers:
            known = [PREFIX + k.upper() for k in readers]
            near = difflib.get_close_matches(name, known, n=1)
            raise ConfigError(
                f"the environment variable {name} is unknown.",
                remedy=f"Did you mean {near[0]}?" if near else f"There is: {', '.join(known)}.",
            )
        try:
            given[key] = readers[key](text.strip())
        except ValueError as error:
            raise ConfigError(f"{name}={text} is not {error}.", where="environment", remedy="Correct it.") from error
    return Settings(**given)  # type: ignore[arg-type]


def size_of(text: str, least: int = 1) -> int:
    """Bytes of `512m`, `8g`, `8GiB`, `1.5g` or a plain number. Raises ValueError, whose text says what it should be."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", text.lower())
    size = int(float(found[1]) * _UNITS[found[2]]) if found else 0
    if size < least:
        raise ValueError(f"a size of {in_words(least)} or more, such as 512m or 8g")
    return size


def in_words(size: float) -> str:
    """Bytes for people: `8 GiB`, `512 MiB`."""
    for unit, name in ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if size >= unit:
            return f"{size / unit:.4g} {name}"
    return f"{size:.0f} bytes"


def _positive_number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise ValueError("a number above 0")
    return value


def _positive_count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ValueError("a whole number above 0")
    return int(text)


def _network(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", text):
        raise ValueError("auto, none, or the name of a Docker network")
    return text


def _pull(text: str) -> str:
    if text not in {"missing", "never"}:
        raise ValueError("missing or never")
    return text
