"""A program of its own, which holds SGLang for a worker: `python -m llem_sglang.host FD PARENT`.

SGLang kills the whole tree of processes in which one of its children fails, beginning with the process that made its Engine. That
must not be llem's worker, which has a result to write. The worker speaks to this process over the socket FD, and both end with
one another: the kernel kills this one with its PARENT, and what is below it ends with it.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, NoReturn

from llem_engines.reasons import reason_of
from llem_sglang.messages import (
    Abort,
    Answer,
    Arrived,
    Begin,
    Broken,
    Call,
    FromHost,
    Item,
    Loaded,
    Method,
    NotLoaded,
    ToHost,
)

_PR_SET_PDEATHSIG = 1
_ABORTS_S = 20.0
"""As long may requests that were given up take to end."""

_ABORT_EVERY_S = 0.05
_FLUSHES = 40
_FLUSH_EVERY_S = 0.05
"""The scheduler may still hold the last step of a batch when its answers are out."""


class Host:
    """SGLang's Engine on its own event loop, and the worker's messages.

    Args:
        engine: made in this process.
        connection: to the worker.
    """

    def __init__(self, engine: Any, connection: Connection) -> None:
        self._engine, self._manager, self._connection = engine, engine.tokenizer_manager, connection
        self._loop: asyncio.AbstractEventLoop = engine.loop
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._others: set[asyncio.Task[None]] = set()
        self._outbox: list[FromHost] = []
        self._closing: int | None = None
        self._over = asyncio.Event()

    def run(self) -> None:
        """Serve the worker until it says that all is over; then end SGLang's processes."""
        threading.Thread(target=self._read, name="llem-sglang-read", daemon=True).start()
        self._loop.run_until_complete(self._over.wait())
        self._engine.shutdown()
        assert self._closing is not None
        self._connection.send([Answer(self._closing, done=True)])

    def _read(self) -> None:
        while True:
            try:
                message: ToHost = self._connection.recv()
            except (EOFError, OSError):
                leave()
            self._loop.call_soon_threadsafe(self._take, message)
            if isinstance(message, Call) and message.method == "close":
                return

    def _take(self, message: ToHost) -> None:
        if isinstance(message, Begin):
            for item in message.items:
                self._tasks[item.name] = self._loop.create_task(self._answer(item))
        elif isinstance(message, Abort):
            for name in message.names:
                self._beside(self._abort(name))
        elif message.method == "close":
            self._closing = message.number
            self._over.set()
        else:
            self._beside(self._call(message.number, message.method))

    def _beside(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._others.add(task)
        task.add_done_callback(self._others.discard)

    async def _abort(self, name: str) -> None:
        """Have a request end early, again and again until it has: SGLang does not heed this before it knows the request."""
        while name in self._tasks:
            self._manager.abort_request(rid=name)
            await asyncio.sleep(_ABORT_EVERY_S)

    async def _answer(self, item: Item) -> None:
        seen = 0
        try:
            stream = await self._engine.async_generate(
                input_ids=list(item.prompt), sampling_params=dict(item.sampling), stream=True, rid=item.name
            )
            async for output in stream:
                now = time.monotonic_ns()
                arrived = arrived_of(item.name, output, seen, now)
                seen += len(arrived.tokens)
                self._tell(arrived)
        except ValueError as error:
            self._tell(Broken(item.name, reason_of(error), is_refused=True))
        except Exception as error:  # noqa: BLE001 - whatever it is, the worker waits for this answer
            self._tell(Broken(item.name, reason_of(error), is_refused=False))
        finally:
            del self._tasks[item.name]

    async def _call(self, number: int, method: Method) -> None:
        try:
            done = await (self._forget() if method == "forget" else self._settle())
        except Exception as error:  # noqa: BLE001 - the worker waits for this answer too
            self._tell(Answer(number, done=False, reason=reason_of(error)))
        else:
            self._tell(Answer(number, done=done))

    async def _forget(self) -> bool:
        """Empty the radix cache, which SGLang does only while nothing runs."""
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=_ABORTS_S)
        for _ in range(_FLUSHES):
            if (await self._manager.flush_cache()).success:
                return True
            await asyncio.sleep(_FLUSH_EVERY_S)
        return False

    async def _settle(self) -> bool:
        """Ask the scheduler twice: between two questions it has looked at the step that it had begun ahead of the first."""
        for _ in range(2):
            await self._manager.get_internal_state()
        return True

    def _tell(self, message: FromHost) -> None:
        """Send it with all that comes up in the same turn of the loop: a step's tokens are one message."""
        if not self._outbox:
            self._loop.call_soon(self._flush)
        self._outbox.append(message)

    def _flush(self) -> None:
        outbox, self._outbox = self._outbox, []
        try:
            self._connection.send(outbox)
        except OSError:
            leave()


def arrived_of(name: str, output: Mapping[str, Any], seen: int, now: int) -> Arrived:
    """The new tokens of an output of SGLang, which may hold those before them as well.

    Args:
        name: of the request.
        output: of one turn of its stream.
        seen: tokens that came before.
        now: when it left the engine.
    """
    told = output["meta_info"]
    fresh = int(told["completion_tokens"]) - seen
    ids = output["output_ids"][-fresh:] if fresh > 0 else []
    if len(ids) < fresh:
        raise RuntimeError(f"SGLang counts {fresh} new tokens and gives {len(ids)}")
    finish = told.get("finish_reason")
    return Arrived(
        name,
        tuple(int(one) for one in ids),
        now,
        cached=told.get("cached_tokens"),
        retractions=int(told.get("num_retractions") or 0),
        finish=None if finish is None else str(finish.get("type")),
    )


def leave() -> NoReturn:
    """End at once, with everything of this process's group."""
    os.killpg(0, signal.SIGKILL)
    os._exit(1)


def end_with_parent(parent: int) -> None:
    """Have the kernel kill this process when the worker's ends, in whatever way."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        leave()


def main(descriptor: int, parent: int) -> int:
    """Load the model that the worker's first message describes, and serve it; returns the exit code."""
    end_with_parent(parent)
    os.set_inheritable(descriptor, False)
    connection = Connection(descriptor)
    try:
        arguments: Mapping[str, Any] = connection.recv()
    except EOFError:
        return 1
    try:
        from sglang.srt.entrypoints.engine import Engine

        from llem_sglang.facts import facts_of

        engine = Engine(**arguments)
        facts = facts_of(engine)
    except Exception as error:  # noqa: BLE001 - whatever SGLang raises is its reason, and the worker tells it
        import traceback

        traceback.print_exc()
        with suppress(OSError):
            connection.send([NotLoaded(reason_of(error))])
        return 1
    connection.send([Loaded(facts)])
    Host(engine, connection).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
