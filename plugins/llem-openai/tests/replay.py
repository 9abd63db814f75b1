"""A real server on loopback that answers from recordings: `/NAME/v1/…` is answered from `streams/NAME.sse`, event by event.

The recordings are our own; the comment that each begins with says which server's published shape it has.
"""

from __future__ import annotations

import json
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

STREAMS = {path.stem: path.read_bytes() for path in sorted((Path(__file__).parent / "streams").glob("*.sse"))}
_EVENT = re.compile(rb"(?<=[\r\n])(?=data|event|id:|:)")
EVENT_S = 0.004

Handle = Callable[["Replay", Mapping[str, Any]], None]


@dataclass
class Behaviour:
    """Behaviour of the server.

    Attributes:
        refuse: fields of a request that it refuses, each with status and body.
        handle: answers in place of a recording, by name.
        asked: requests so far, each with the name in its path.
        greet: called for each connection before anything is read of it, its TLS handshake included.
    """

    refuse: Mapping[str, tuple[int, Any]] = field(default_factory=dict)
    handle: Mapping[str, Handle] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    greet: Callable[[], None] = lambda: None


class Replay(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    behaviour: Behaviour

    def setup(self) -> None:
        self.behaviour.greet()
        super().setup()

    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        self.document(200 if self.path.endswith("/models") else 404, {"data": [{"id": "small"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = self.path.split("/")[1]
        self.behaviour.asked.append((name, body))
        for refused, (status, told) in self.behaviour.refuse.items():
            if refused in body:
                self.document(status, told)
                return
        if name in self.behaviour.handle:
            self.behaviour.handle[name](self, body)
            return
        self.begin("text/event-stream; charset=utf-8")
        for part in _EVENT.split(STREAMS[name]):
            time.sleep(EVENT_S)
            self.send(part)

    def begin(self, kind: str, **headers: str) -> None:
        """Status and headers of an answer that ends with its connection."""
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Connection", "close")
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.close_connection = True

    def send(self, data: bytes) -> None:
        """Some bytes, at once."""
        self.wfile.write(data)
        self.wfile.flush()

    def document(self, status: int, document: Any) -> None:
        """A whole answer: JSON, or text as it is."""
        data = document.encode() if isinstance(document, str) else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def replaying(behaviour: Behaviour | None = None, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """The address of the server, without the recording's name, as long as the block runs; with a context it speaks TLS."""

    class Handler(Replay):
        pass

    Handler.behaviour = behaviour or Behaviour()

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 1024

        def handle_error(self, *_: object) -> None:
            """Clients hang up; that is part of the tests."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        # The handshake is that of the first read, in the connection's own thread.
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
