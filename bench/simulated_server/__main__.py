"""The server as a process of its own, with the OpenAI API: `python -m bench.simulated_server --port N --options JSON`.

The engine of the backend `loadbed` gives the tokens, one after each iteration. When each of them was sent goes to a journal
beside the engine's. Nothing but completions of text is answered.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import selectors
import time
from types import SimpleNamespace
from typing import Any, cast

from llem_loadbed import Journal, LoadbedConfig, LoadbedEngine

from bench.simulated_server import MODEL
from llem.plugin_api import LoadContext, Request

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_LENGTH = re.compile(rb"^content-length:\s*(\d+)", re.IGNORECASE | re.MULTILINE)
_NUMBER = re.compile(r"request (\d+)\b")


class Server:
    """Answers every connection, one request of it after another.

    Args:
        options: of the engine.
    """

    def __init__(self, options: LoadbedConfig) -> None:
        self._engine, self._journal = LoadbedEngine(), Journal()
        self._engine.load(cast("LoadContext", SimpleNamespace(config=SimpleNamespace(options=options), job_dir=None)))

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(head)
                body = await reader.readexactly(int(length[1])) if length is not None else b""
                if head.startswith(b"POST"):
                    await self._answer(json.loads(body), writer)
                else:
                    self._page(head, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def _page(self, head: bytes, writer: asyncio.StreamWriter) -> None:
        is_list = b" /v1/models " in head
        data = json.dumps({"object": "list", "data": [{"id": MODEL, "object": "model"}]} if is_list else {}).encode()
        status = b"200 OK" if is_list else b"404 Not Found"
        writer.write(
            b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (status, len(data), data)
        )

    async def _answer(self, body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        came_ns, prompt, wanted = time.monotonic_ns(), str(body["prompt"]), int(body["max_tokens"])
        number = _NUMBER.match(prompt)
        request = Request(id=int(number[1]) if number else -1, output_tokens=wanted, prompt=prompt)
        given, sent = len(prompt.split()), list[int]()
        async for _ in self._engine.stream(request):
            if writer.transport.is_closing():
                raise ConnectionResetError
            count = len(sent) + 1
            part = _event(given, count, wanted)
            if count == 1:
                part = _HEAD + part
            if count == wanted:
                part += b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
            sent.append(time.monotonic_ns())
            writer.write(part)
        if number:
            self._journal.write("sent", request.id, came_ns, sent)


def _event(given: int, count: int, wanted: int) -> bytes:
    """One token as a chunk of HTTP."""
    reason = '"length"' if count == wanted else "null"
    text = (
        f'data: {{"object": "text_completion", "choices": [{{"index": 0, "text": " w{count}", "finish_reason": {reason}}}], '
        f'"usage": {{"prompt_tokens": {given}, "completion_tokens": {count}, "total_tokens": {given + count}}}}}\n\n'
    ).encode()
    return b"%x\r\n%s\r\n" % (len(text), text)


async def _serve(port: int, options: LoadbedConfig) -> None:
    server = await asyncio.start_server(Server(options).connection, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--options", default="{}", help="of the engine, as JSON")
    given = parser.parse_args()
    # epoll sleeps in whole milliseconds and would send each token up to one late; select sleeps in microseconds.
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    asyncio.set_event_loop(loop)
    loop.run_until_complete(_serve(given.port, LoadbedConfig(**json.loads(given.options))))


if __name__ == "__main__":
    main()
