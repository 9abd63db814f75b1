"""Connections of webhooks: by the environment's proxy, and with one limit on the time that an answer takes."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Any
from urllib.parse import unquote
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.util import make_headers, parse_url


class Deadline:
    """The latest time at which an answer has begun, counted from the connection.

    A limit on each read would not do: a receiver that sends a byte now and then, or one `100 Continue` after another, would
    hold its thread for ever.
    """

    def __init__(self, seconds: float) -> None:
        self.has_passed = False
        self._seconds = seconds
        self._begun: list[tuple[socket.socket, threading.Timer]] = []

    def begin(self, connection: socket.socket) -> None:
        """Cut a connection when the time is over."""
        copy = connection.dup()  # TLS takes the other one over
        timer = threading.Timer(self._seconds, self._cut, [copy])
        timer.daemon = True
        self._begun.append((copy, timer))
        timer.start()

    def end(self) -> None:
        """Let the connections be."""
        for copy, timer in self._begun:
            timer.cancel()
            timer.join()  # a number that is closed here must not be one that it still cuts
            copy.close()

    def _cut(self, copy: socket.socket) -> None:
        self.has_passed = True
        with suppress(OSError):
            copy.shutdown(socket.SHUT_RDWR)


def manager_for(address: str, deadline: Deadline) -> urllib3.PoolManager:
    """Connections to an address, by the proxy that `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` name for it."""
    manager = _by_proxy(address)
    pool = manager.connection_from_url(address)
    kind: Any = pool.ConnectionCls

    class Bounded(kind):  # type: ignore[misc]
        def _new_conn(self) -> socket.socket:
            made: socket.socket = super()._new_conn()
            deadline.begin(made)
            return made

    pool.ConnectionCls = Bounded
    return manager


def headers_of(address: str) -> dict[str, str]:
    """The user and password of an address as a header; none where it has none."""
    auth = parse_url(address).auth
    return make_headers(basic_auth=unquote(auth)) if auth else {}


def _by_proxy(address: str) -> urllib3.PoolManager:
    parts = parse_url(address)
    proxies = getproxies()
    proxy = proxies.get(parts.scheme or "", proxies.get("all"))
    if not proxy or proxy_bypass(parts.netloc or ""):
        return urllib3.PoolManager()
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    auth = parse_url(proxy).auth
    return urllib3.ProxyManager(proxy, proxy_headers=make_headers(proxy_basic_auth=unquote(auth)) if auth else None)
