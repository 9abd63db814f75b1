"""The conversation with the server: many requests at once on a thread of their own, each answer read to its end."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Coroutine, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

import httpx

from llem.plugin_api import LlemError, ModelError, Request
from llem_openai.access import NETWORK_ERRORS, NOT_TAKEN, Access, unreachable
from llem_openai.asking import COUNTS, body
from llem_openai.chunk import read_chunk, told_error
from llem_openai.refusal import BODY_LIMIT, printable
from llem_openai.stream import answer_limit, documents
from llem_openai.streamed_answer import StreamedAnswer

T = TypeVar("T")

_AFTER_S = 1.0
"""Seconds for which a connection is waited for after an answer's end; then it is closed."""


class Exchange:
    """Asks the server. Made in `load`, closed once.

    Args:
        access: the way to the server.
        model: its name there.
        fields: of every request: how the next token is chosen, and what the study adds.
    """

    def __init__(self, access: Access, model: str, fields: Mapping[str, Any]) -> None:
        self._access, self._model, self._fields = access, model, dict(fields)
        self._counting = COUNTS[0]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="llem-openai", daemon=True)
        self._thread.start()
        self._client: httpx.AsyncClient = self.wait(self._connect())

    async def _connect(self) -> httpx.AsyncClient:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        # Compression holds pieces back until a block is full. The user's proxies are left aside: what is measured is the way
        # to this server.
        headers = {**self._access.headers, "Accept-Encoding": "identity", "Content-Type": "application/json"}
        return httpx.AsyncClient(headers=headers, timeout=self._access.timeout, limits=limits, trust_env=False)

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

    def probe(self, request: Request) -> StreamedAnswer:
        """Ask something small, and settle which counts this server can be asked for.

        Raises:
            ModelError: it takes no request at all.
        """
        first: RefusedError | None = None
        for self._counting in COUNTS:
            try:
                return self.wait(self.ask(request))
            except RefusedError as error:
                first = error if error.status in NOT_TAKEN and first is None else first
                if error.status not in NOT_TAKEN:
                    raise ModelError(error.what, where=error.where, remedy=error.remedy) from error
                last = error
        raise ModelError(last.what, where=last.where, remedy=last.remedy) from first

    async def ask(self, request: Request) -> StreamedAnswer:
        """One request, to the end of its stream.

        Raises:
            LlemError: the server refuses, breaks off, is silent for too long, or sends what is no answer.
        """
        access, options = self._access, self._access.options
        path, fields = body(request, self._model, self._counting, self._fields, options.request_fields)
        data = json.dumps(fields).encode()
        answer = StreamedAnswer(request, time.monotonic_ns())
        try:
            # The client's own limit is for each read: comments and single bytes would put it off for ever.
            async with (
                asyncio.timeout(options.timeout_s + options.connect_timeout_s) as limit,
                self._client.stream("POST", f"{options.base_url}/{path}", content=data) as response,
            ):
                if response.is_redirect:
                    raise access.elsewhere(response.status_code, response.headers.get("location", ""))
                if response.status_code != 200:
                    raise RefusedError(access, response.status_code, await _begin(response), fields)
                await self._hear(answer, response, fields, limit)
        except TimeoutError as error:
            if not answer.closed:
                raise self._silent(answer) from error
        except httpx.TimeoutException as error:
            raise (self._silent(answer) if answer.chunks else unreachable(options, error)) from error
        except NETWORK_ERRORS as error:
            if not answer.chunks:
                raise unreachable(options, error) from error
            if not answer.closed:
                raise self._broken(answer, error) from error
        if not answer.ended:
            raise self._broken(answer, None)
        return answer

    async def _hear(
        self, answer: StreamedAnswer, response: httpx.Response, fields: Mapping[str, Any], limit: asyncio.Timeout
    ) -> None:
        options, sent = self._access.options, answer.request.output_tokens
        kind = response.headers.get("content-type", "")
        async for document, t_ns in documents(response.aiter_bytes(), kind, answer_limit(sent), options.base_url):
            if document is None:
                # Nothing of the answer comes after this; the connection's end is waited for, to use it again.
                answer.closed = True
                limit.reschedule(self._loop.time() + _AFTER_S)
            elif not answer.closed:
                limit.reschedule(self._loop.time() + options.timeout_s)
                if told_error(document):
                    raise self._reported(answer, document, fields)
                answer.chunks.append(read_chunk(document, t_ns))

    def _reported(self, answer: StreamedAnswer, document: Mapping[str, Any], fields: Mapping[str, Any]) -> LlemError:
        """An error that came inside of the stream; before any text it may be about a field, as one by status is."""
        text = json.dumps(document)
        error = document.get("error")
        code = error.get("code") if isinstance(error, dict) else document.get("code")
        if code in NOT_TAKEN and not answer.pieces:
            return RefusedError(self._access, int(code), text, fields)
        return LlemError(
            f"the server reports an error in the answer, after {answer.pieces} pieces: {self._access.said(text)}",
            where=self._access.options.base_url,
            remedy="Look at the server's log.",
        )

    def _silent(self, answer: StreamedAnswer) -> ModelError:
        options = self._access.options
        return ModelError(
            f"the server does not answer: nothing of it came for {options.timeout_s:g} s, after {answer.pieces} pieces.",
            where=options.base_url,
            remedy="Look at its log, or raise openai.timeout_s where it is only slow.",
        )

    def _broken(self, answer: StreamedAnswer, error: Exception | None) -> LlemError:
        how = f" ({printable(str(error) or type(error).__name__, 120).rstrip('.')})" if error is not None else ""
        return LlemError(
            f"the connection ended in the middle of an answer, after {answer.pieces} pieces and without a finish_reason{how}.",
            where=self._access.options.base_url,
            remedy="Look at the server's log, and at whatever stands between it and llem; it may have run out of memory.",
        )

    async def ask_all(self, requests: list[Request], at_once: int) -> list[StreamedAnswer]:
        """Several, so many at once, in their order. The first that fails ends the others."""
        places = asyncio.Semaphore(at_once)

        async def one(request: Request) -> StreamedAnswer:
            async with places:
                return await self.ask(request)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(request)) for request in requests]
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return [task.result() for task in tasks]

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
        way: to the server; status: of HTTP; text: what it said; fields: of the request.
    """

    def __init__(self, way: Access, status: int, text: str, fields: Mapping[str, Any]) -> None:
        told = way.refused(status, text, fields)
        super().__init__(told.what, where=told.where, remedy=told.remedy)
        self.status = status


async def _begin(response: httpx.Response) -> str:
    """The text of a refusal, or its beginning."""
    found = b""
    async for part in response.aiter_bytes():
        found += part
        if len(found) >= BODY_LIMIT:
            break
    return found[:BODY_LIMIT].decode(errors="replace")
