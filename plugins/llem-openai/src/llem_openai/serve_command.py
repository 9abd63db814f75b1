"""The command of `openai.serve`: its words, and what stands for the port and the model in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from llem.plugin_api import tells_a_secret
from llem_openai.address import address_of
from llem_openai.listening import free_port, is_free

PORT, MODEL = "{port}", "{model}"
"""Words that stand for the port that the server is to listen on, and for the study's model."""


_NAME = re.compile(r"-{0,2}[A-Za-z_][\w.-]*")


def words_of(serve: str | Sequence[str]) -> list[str]:
    """Program and arguments. No shell reads them. Raises ValueError where a quotation has no end."""
    return shlex.split(serve) if isinstance(serve, str) else list(serve)


def secrets_in(words: Sequence[str]) -> Iterator[str]:
    """Names of options and variables in a command whose value is a secret."""
    for word in words:
        name, given, _ = word.partition("=")
        is_name = (word.startswith("-") or given) and _NAME.fullmatch(name)
        if is_name and tells_a_secret(name) and not name.lower().endswith("file"):
            yield name


def port_for(words: Sequence[str], url: str) -> int:
    """The port that a command's server shall listen on: that of the address, or a free one where the command leaves it open and
    that is taken."""
    port = address_of(url).port
    is_open = any(PORT in word for word in words)
    return port if not is_open or is_free(port) else free_port()


def filled(words: Sequence[str], port: int, model: str) -> list[str]:
    """The command with its port and model."""
    return [word.replace(PORT, str(port)).replace(MODEL, model) for word in words]


def with_port(url: str, port: int) -> str:
    """The same address at another port."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname
    return parts._replace(netloc=f"{host}:{port}").geturl()
