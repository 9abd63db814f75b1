"""A small real server of the OpenAI API on loopback, for tests: it answers word by word, and goes wrong on request."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "sk-a-key-that-must-stay-here"
VOCABULARY = 1000


@dataclass
class Behaviour:
    """The server's way of answering.

    Attributes:
        counts: it tells with each chunk how many tokens there are by now, as vLLM does; else it refuses to be asked.
        a_piece: tokens in each chunk.
        fail: how it goes wrong, or nothing.
        key: what it wants in the header, or None.
        asked: bodies of the requests so far; most: requests that were under way at once.
    """

    counts: bool = True
    a_piece: int = 1
    fail: str = ""
    key: str | None = None
    stop_after: int | None = None
    token_s: float = 0.002
    asked: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    most: int = 0
    now: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    behaviour: Behaviour

    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        if self._refuses():
            return
        if self.path == "/v1/models":
            self._json(200, {"object": "list", "data": [{"id": "small", "object": "model", "owned_by": "a-test"}]})
        elif self.path == "/version" and self.behaviour.counts:
            self._json(200, {"version": "1.2.3"})
        else:
            self._json(404, {"detail": "Not Found"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self._refuses():
            return
        b = self.behaviour
        counting = body["stream_options"].get("continuous_usage_stats") or "return_token_ids" in body
        if counting and not b.counts:
            self._json(400, {"error": {"message": "Unrecognized request argument supplied: return_token_ids"}})
            return
        with b.lock:
            b.asked.append(body)
            b.paths.append(self.path)
            b.now += 1
            b.most = max(b.most, b.now)
        self._under_way = True
        try:
            self._answer(body)
        finally:
            self._leave()

    def _leave(self) -> None:
        """Count this request as under way no more, once."""
        if self._under_way:
            self._under_way = False
            with self.behaviour.lock:
                self.behaviour.now -= 1

    def _refuses(self) -> bool:
        b = self.behaviour
        given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if b.key is not None and given != b.key:
            self._json(401, {"error": {"message": f"Incorrect API key provided: {given}.", "type": "auth"}})
            return True
        if b.fail in ("429", "500") and self.command == "POST":
            self._json(int(b.fail), {"error": {"message": "not now"}})
            return True
        return False

    def _answer(self, body: Mapping[str, Any]) -> None:
        b, chat = self.behaviour, self.path.endswith("chat/completions")
        prompt = body["messages"][0]["content"] if chat else body["prompt"]
        given = len(prompt.split()) + 2 * chat if isinstance(prompt, str) else len(prompt)
        wanted = body["max_tokens"]
        stops = b.stop_after is not None and b.stop_after < wanted and not (body.get("ignore_eos") and b.counts)
        total = b.stop_after if stops and b.stop_after else wanted
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        if chat:
            self._event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}, given, 0)
        for start in range(0, total, b.a_piece):
            time.sleep(b.token_s)
            if b.fail == "break" and start >= b.a_piece:
                return
            if b.fail == "hang" and start:
                time.sleep(5)
            count = min(b.a_piece, total - start)
            last = start + count == total
            text = "".join(f" w{start + i}" for i in range(count))
            reason = ("content_filter" if b.fail == "filter" else "stop" if stops else "length") if last else None
            choice: dict[str, Any] = {"index": 0, "finish_reason": reason}
            choice |= {"delta": {"content": text}} if chat else {"text": text}
            if body.get("return_token_ids"):
                choice["token_ids"] = [(start + i) % VOCABULARY for i in range(count)]
            self._event({"choices": [choice]}, given, start + count)
        self._leave()  # before the end is told: whoever hears it may send the next one at once
        if b.fail != "no usage":
            self._event({"choices": [], "usage": self._usage(given, total)}, given, total)
        self.wfile.write(b"data: [DONE]\n\n")

    def _event(self, chunk: dict[str, Any], given: int, so_far: int) -> None:
        if self.behaviour.counts and self.behaviour.fail != "no usage":
            chunk.setdefault("usage", self._usage(given, so_far))
        self.wfile.write(b": a comment\ndata: " + json.dumps(chunk).encode() + b"\n\n")
        self.wfile.flush()

    @staticmethod
    def _usage(given: int, so_far: int) -> dict[str, Any]:
        told: dict[str, Any] = {"prompt_tokens": given, "completion_tokens": so_far, "total_tokens": given + so_far}
        return told | {"prompt_tokens_details": {"cached_tokens": 1}}

    def _json(self, status: int, document: object) -> None:
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def serving(behaviour: Behaviour, port: int = 0) -> Iterator[str]:
    """The address of a server that behaves so, as long as the block runs."""

    class Handler(_Handler):
        pass

    Handler.behaviour = behaviour

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 1024

        def handle_error(self, *_: object) -> None:
            """Clients hang up; that is part of the tests."""

    server = Server(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
