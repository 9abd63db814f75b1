"""A page of a study that runs, on this machine only.

The page is the one that `llem report` writes; it asks for `/data.json` again and again. Nothing but these two is served, and
only to who asks for this machine by its loopback name: a page from elsewhere whose name was made to point here (DNS
rebinding) carries its own name in `Host`, and is refused.
"""

from __future__ import annotations

import errno
import hashlib
import sys
import threading
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llem.plugin_api import LlemError
from llem_report.charts import CHARTS, Chart
from llem_report.document import document
from llem_report.packing import as_json
from llem_report.page import SERVED_POLICY, rendered

if TYPE_CHECKING:
    from llem_report.models import ReportStudy

ADDRESS = "127.0.0.1"
PORT = 8571

REST = 4.0
"""A study is gathered anew when as many times the last gathering's duration have passed: at most a fifth of one core."""


class Snapshot:
    """A study's page and data as of a moment ago."""

    def __init__(self, gather: Callable[[], ReportStudy], charts: Mapping[str, Chart]) -> None:
        self._gather, self._charts = gather, charts
        self._lock = threading.Lock()
        self._due = 0.0
        self._document: dict[str, Any] = {}
        self._data = b""
        self._tag = ""

    def data(self) -> tuple[bytes, str]:
        """`/data.json` and its ETag."""
        with self._lock:
            self._refresh()
            return self._data, self._tag

    def page(self) -> bytes:
        """The whole page."""
        with self._lock:
            self._refresh()
            return rendered(self._document).encode()

    def _refresh(self) -> None:
        started = time.monotonic()
        if started < self._due:
            return
        self._document = document(self._gather(), self._charts, live=True)
        self._data = as_json(self._document).encode()
        self._tag = f'"{hashlib.sha256(self._data).hexdigest()[:32]}"'
        ended = time.monotonic()
        self._due = ended + REST * (ended - started)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    server_version = "llem"
    sys_version = ""
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self) -> None:
        if self.headers.get("Host", "").lower() not in self.server.names:
            self._send(HTTPStatus.MISDIRECTED_REQUEST, b"This server answers to 127.0.0.1 and localhost only.\n")
            return
        path = self.path.partition("?")[0]
        if path not in ("/", "/data.json"):
            self._send(HTTPStatus.NOT_FOUND, b"There are / and /data.json here.\n")
            return
        tag: str | None = None
        try:
            if path == "/":
                body = self.server.snapshot.page()
            else:
                body, tag = self.server.snapshot.data()
        except (LlemError, OSError) as error:
            self._send(HTTPStatus.SERVICE_UNAVAILABLE, f"{error}\n".encode())
            return
        if tag is None:
            self._send(HTTPStatus.OK, body, "text/html; charset=utf-8")
        elif self.headers.get("If-None-Match") == tag:
            self._send(HTTPStatus.NOT_MODIFIED, b"", tag=tag)
        else:
            self._send(HTTPStatus.OK, body, "application/json", tag=tag)

    def _send(
        self, status: HTTPStatus, body: bytes, kind: str = "text/plain; charset=utf-8", tag: str | None = None
    ) -> None:
        self.send_response(status)
        headers = {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Content-Security-Policy": f"frame-ancestors 'none'; {SERVED_POLICY}",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
        }
        if tag is not None:
            headers["ETag"] = tag
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the standard library's name
        """A request a second is no news."""


class Server(ThreadingHTTPServer):
    """Serves one study. `names`: what a request's `Host` may be."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(
        self, gather: Callable[[], ReportStudy], port: int = PORT, charts: Mapping[str, Chart] = CHARTS
    ) -> None:
        self.snapshot = Snapshot(gather, charts)
        try:
            super().__init__((ADDRESS, port), _Handler)
        except OSError as error:
            raise _no_port(port, error) from error
        self.names = frozenset(f"{name}:{self.server_port}" for name in (ADDRESS, "localhost"))

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A page that was closed while it was answered is no error."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{ADDRESS}:{self.server_port}/"


def _no_port(port: int, error: OSError) -> LlemError:
    if error.errno == errno.EADDRINUSE:
        what, remedy = f"port {port} is taken by another program.", "Give another one by --port, or 0 for any free one."
    else:
        what, remedy = (
            f"port {port} cannot be opened: {error.strerror}.",
            "Give one from 1024 to 65535 by --port, or 0 for any free one.",
        )
    return LlemError(what, where=f"{ADDRESS}:{port}", remedy=remedy)


def _print(line: str) -> None:
    print(line, flush=True)


def serve(
    study_dir: Path,
    charts: Mapping[str, Chart] = CHARTS,
    *,
    port: int = PORT,
    say: Callable[[str], None] = _print,
    started: Callable[[str], None] | None = None,
) -> None:
    """Serve a study's page until Ctrl-C, which ends it without an error.

    Args:
        study_dir: the study's folder; it may still run.
        charts: as `llem_report.document.document` takes them.
        port: 0 takes any that is free.
        say: takes each line for the user.
        started: is called with the page's address when it answers.

    Raises:
        ResultError: there is no study. LlemError: the port is taken.
    """
    from llem_report.gather import gather

    gather(study_dir)  # whatever is wrong with the study is said here, in the terminal
    with Server(lambda: gather(study_dir), port, charts) as server:
        try:
            say(f"Report of {study_dir} at {server.url} (this machine only). Ctrl-C ends it.")
            if started is not None:
                started(server.url)
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            say("No longer served.")
