"""The server's address in parts, and the beginning of each request to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Address:
    """An address of the API.

    Attributes:
        host: a name, or an IP address without brackets.
        port: of TCP.
        is_encrypted: by TLS.
        path: what every path begins with, such as `/v1`; empty for none.
    """

    host: str
    port: int
    is_encrypted: bool
    path: str

    @property
    def authority(self) -> str:
        """Content of the field Host."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.is_encrypted else 80) else f"{host}:{self.port}"

    def head(self, method: str, page: str, fields: Mapping[str, str]) -> bytes:
        """The head of a request, without the blank line that ends it.

        Args:
            method: of HTTP.
            page: below the path; the whole path where it begins with a slash.
            fields: besides Host.
        """
        path = page if page.startswith("/") else f"{self.path}/{page}"
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.authority}", *(f"{k}: {v}" for k, v in fields.items())]
        return "".join(f"{line}\r\n" for line in lines).encode("latin-1")


def address_of(url: str) -> Address:
    """The parts of a URL that `OpenaiConfig` has checked."""
    parts = urlsplit(url)
    is_encrypted = parts.scheme == "https"
    return Address(parts.hostname or "", parts.port or (443 if is_encrypted else 80), is_encrypted, parts.path)
