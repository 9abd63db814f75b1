"""The conversation with the server: many requests at once on a thread of their own, each chunk stamped when it arrives."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

import httpx

from llem.errors import LlemError, ModelError
from llem.specs.backend import Request
from llem_openai.access import Access, unreachable
from llem_openai.hearing import Hearing

T = TypeVar("T")
Tell = Callable[[Hearing, int], None]
"""Takes the hearing so far, and how many sightings the last chunk added."""

_COUNTS: Mapping[str, Any] = {
    "stream_options": {"include_usage": True, "continuous_usage_stats": True},
    "return_token_ids": True,
}
_PLAIN: Mapping[str, Any] = {"stream_options": {"include_usage": True}}
_NOT_TAKEN = (400, 422)
"""What a server says to a field that it does not know."""


class Exchange:
    """Asks the server. Made in `load`, closed once.

    Args:
        access: the way to the server.
        model: its name there.
        fields: of every request: how the next token is chosen, and what the study adds.
    """

    def __init__(self, access: Access, model: str, fields: Mapping[str, Any]) -> None:
        self._access, self._model, self._fields = access, model, dict(fields)
        self._counting: Mapping[str, Any] = _COUNTS
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="llem-openai", daemon=True)
        self._thread.start()
        self._client: httpx.AsyncClient = self.wait(self._connect())

    async def _connect(self) -> httpx.AsyncClient:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        # The user's proxies are left aside: what is measured is the way to this server.
        return httpx.AsyncClient(
            headers=dict(self._access.headers), timeout=self._access.timeout, limits=limits, trust_env=False
        )

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Begin something on the exchange's own thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """The same, and wait for it."""
        future = self.submit(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def probe(self, request: Request) -> Hearing:
        """Ask something small, and settle which counts this server can be asked for.

        Raises:
            ModelError: it takes no request at all.
        """
        try:
            return self.wait(self.ask(request))
        except RefusedError as error:
            if error.status not in _NOT_TAKEN:
                raise ModelError(error.what, where=error.where, remedy=error.remedy) from error
        self._counting = _PLAIN
        try:
            return self.wait(self.ask(request))
        except RefusedError as error:
            raise ModelError(error.what, where=error.where, remedy=error.remedy) from error

    async def ask(self, request: Request, tell: Tell | None = None) -> Hearing:
        """One request, to the end of its stream.

        Raises:
            LlemError: the server refuses, breaks off or is silent for too long.
        """
        path, body = self._body(request)
        data = json.dumps(body).encode()
        options = self._access.options
        hearing = Hearing(request, time.monotonic_ns())
        try:
            async with self._client.stream(
                "POST", f"{options.base_url}/{path}", content=data, headers={"Content-Type": "application/json"}
            ) as response:
                if response.status_code != 200:
                    text = (await response.aread()).decode(errors="replace")
                    raise RefusedError(self._access, response.status_code, text)
                ended = False
                async for chunk, t_ns in _chunks(response):
                    if chunk is None:
                        ended = True
                        continue
                    if "error" in chunk:
                        raise RefusedError(self._access, 200, json.dumps(chunk))
                    added = hearing.take(chunk, t_ns)
                    if tell is not None and added:
                        tell(hearing, added)
        except httpx.HTTPError as error:
            raise unreachable(options, error) from error
        if not ended and hearing.finish is None:
            raise LlemError(
                "the server broke off in the middle of an answer.",
                where=options.base_url,
                remedy="Look at its log; it may have run out of memory.",
            )
        return hearing

    async def ask_all(self, requests: list[Request], at_once: int) -> list[Hearing]:
        """Several, so many at once, in their order. The first that fails ends the others."""
        places = asyncio.Semaphore(at_once)

        async def one(request: Request) -> Hearing:
            async with places:
                return await self.ask(request)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(request)) for request in requests]
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return [task.result() for task in tasks]

    def _body(self, request: Request) -> tuple[str, dict[str, Any]]:
        body: dict[str, Any] = {
            "model": self._model,
            "max_tokens": request.output_tokens,
            "stream": True,
            **self._counting,
            **self._fields,
        }
        if request.ignore_eos:
            body["ignore_eos"] = True
        if request.messages is not None:
            body["messages"] = [{"role": one.role, "content": one.content} for one in request.messages]
            return "chat/completions", body
        if request.chat_template:
            body["messages"] = [{"role": "user", "content": request.prompt}]
            return "chat/completions", body
        ids = request.prompt_token_ids
        body["prompt"] = request.prompt if ids is None else list(ids)
        return "completions", body

    def close(self) -> None:
        """End the connections and the thread."""
        try:
            self.wait(self._client.aclose())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()


class RefusedError(LlemError):
    """The server answers that it will not.

    Args:
        way: to the server; status: of HTTP; body: what it said.
    """

    def __init__(self, way: Access, status: int, body: str) -> None:
        told = way.refused(status, body)
        super().__init__(told.what, where=told.where, remedy=told.remedy)
        self.status = status


async def _chunks(response: httpx.Response) -> AsyncIterator[tuple[dict[str, Any] | None, int]]:
    """Each event of the stream with its time; None for the closing `[DONE]`. Lines that are no data are left out."""
    async for line in response.aiter_lines():
        t_ns = time.monotonic_ns()
        if not line.startswith("data:"):
            continue
        data = line.removeprefix("data:").strip()
        if data == "[DONE]":
            yield None, t_ns
            continue
        try:
            chunk = json.loads(data)
        except ValueError as error:
            raise LlemError(
                f"the server sent what is no JSON: {data[:80]!r}.",
                where=str(response.url),
                remedy="Correct openai.base_url; something in between may have changed the stream.",
            ) from error
        if isinstance(chunk, dict):
            yield chunk, t_ns
