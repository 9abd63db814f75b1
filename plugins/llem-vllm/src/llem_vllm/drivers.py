"""The two ways in which vLLM runs: step by step for batches, and as its server does for streams and data parallelism.

`StepDriver` drives vLLM's LLMEngine, which its own `LLM` drives as well: nothing stands between two steps, and each
step's tokens are seen at once. `AsyncDriver` runs vLLM's AsyncLLM on an event loop of its own: what a server streams
from, the only one that takes requests while others are under way, and that spreads them over data-parallel replicas.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from typing import Any

from vllm.engine.arg_utils import AsyncEngineArgs, EngineArgs
from vllm.exceptions import VLLMClientError
from vllm.inputs import tokens_input
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.exceptions import EngineDeadError
from vllm.v1.engine.llm_engine import LLMEngine

from llem_engines.event_loop import EventLoop
from llem_vllm.driver import Came, Item, RefusedError, ended
from llem_vllm.metrics import StepCounter

_WATCH_S = 2.0
"""Time within which the death of vLLM's process is noticed by who waits for it."""


class StepDriver:
    """LLMEngine, driven from the calling thread.

    Args:
        arguments: keywords of EngineArgs.
    """

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        engine = LLMEngine.from_engine_args(EngineArgs(**arguments), stat_loggers=[StepCounter])
        self._engine: Any = engine
        self.settings: Any = engine.vllm_config
        self.counter = StepCounter.only(engine)
        self._closed = threading.Event()
        self._turn = threading.Lock()
        threading.Thread(target=self._release_calls, name="llem-vllm-watch", daemon=True).start()
        engine.get_supported_tasks()  # vLLM asks its process at the first request, and remembers

    def _release_calls(self) -> None:
        """End calls to an engine process that died: vLLM notices the death, and leaves who waits for an answer waiting."""
        core = self._engine.engine_core
        while not self._closed.wait(_WATCH_S):
            if self._is_dead:
                for waiting in list(getattr(core, "utility_results", {}).values()):
                    if not waiting.done():
                        waiting.set_exception(EngineDeadError())
                core.outputs_queue.put_nowait(EngineDeadError())

    @property
    def _is_dead(self) -> bool:
        return bool(getattr(getattr(self._engine.engine_core, "resources", None), "engine_dead", False))

    def check(self) -> None:
        """See `Driver.check`."""
        if self._is_dead:
            raise ended()

    def run(self, items: Sequence[Item], came: Came) -> None:
        """See `Driver.run`."""
        with self._turn:
            self._run(items, came, lambda: False)

    def stream(self, make: Callable[[], Item], came: Came) -> Future[None]:
        """See `Driver.stream`. One at a time: whoever drives step by step takes nothing in between."""
        future: Future[None] = Future()

        def work() -> None:
            try:
                with self._turn:
                    self._run([make()], came, future.cancelled)
            except BaseException as error:  # noqa: BLE001 - it is raised again where the answer is awaited
                with contextlib.suppress(InvalidStateError):
                    future.set_exception(error)
            else:
                with contextlib.suppress(InvalidStateError):
                    future.set_result(None)

        threading.Thread(target=work, name="llem-vllm-stream", daemon=True).start()
        return future

    def _run(self, items: Sequence[Item], came: Came, is_cancelled: Callable[[], bool]) -> None:
        engine = self._engine
        names = [item.name for item in items]
        for place, item in enumerate(items):
            try:
                engine.add_request(item.name, tokens_input(item.prompt), item.sampling, lora_request=item.lora)
            except (ValueError, VLLMClientError) as error:
                engine.abort_request(names[:place])
                raise RefusedError(item.name, str(error)) from error
        try:
            while engine.has_unfinished_requests() and not is_cancelled():
                outputs = engine.step()
                now = time.monotonic_ns()
                for output in outputs:
                    answer = output.outputs[0]
                    came(output.request_id, answer.token_ids, now, answer.finish_reason, output.num_cached_tokens)
        finally:
            # Whatever ended this, also that nobody takes the tokens any more: what is left would run on beside the next requests.
            engine.abort_request(names)

    def ask(self, method: str, *arguments: Any) -> list[Any]:
        """See `Driver.ask`."""
        found: list[Any] = self._engine.collective_rpc(method, args=arguments)
        return found

    def forget(self) -> bool:
        """See `Driver.forget`. Waits for its turn: a stream that was just closed still holds blocks of the cache."""
        with self._turn:
            return bool(self._engine.reset_prefix_cache())

    def tokenizer(self) -> Any:
        """See `Driver.tokenizer`."""
        return self._engine.get_tokenizer()

    def close(self) -> None:
        """See `Driver.close`."""
        self._closed.set()
        self._engine.engine_core.shutdown()


class AsyncDriver:
    """AsyncLLM on an event loop in a thread of its own, where it stays for life.

    Args:
        arguments: keywords of AsyncEngineArgs.
    """

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self._engine: Any = None
        self._loop = EventLoop("llem-vllm-loop", self._death)
        try:
            self._engine = self._loop.wait(self._start(arguments))
        except BaseException:
            self._loop.end()
            raise
        self.settings: Any = self._engine.vllm_config
        self.counter = StepCounter.only(self._engine)

    async def _start(self, arguments: Mapping[str, Any]) -> Any:
        return AsyncLLM.from_engine_args(AsyncEngineArgs(**arguments), stat_loggers=[StepCounter])

    def check(self) -> None:
        """See `Driver.check`."""
        if self._engine.errored:
            raise ended()

    def run(self, items: Sequence[Item], came: Came) -> None:
        """See `Driver.run`. Two steps whose tokens were not fetched in time share the later one's."""
        self._loop.together([self._answer(item, came) for item in items])

    def stream(self, make: Callable[[], Item], came: Came) -> Future[None]:
        """See `Driver.stream`. As many at once as are asked for; vLLM schedules them."""

        async def work() -> None:
            await self._answer(make(), came)

        return self._loop.begin(work())

    async def _answer(self, item: Item, came: Came) -> None:
        stream = self._engine.generate(tokens_input(item.prompt), item.sampling, item.name, lora_request=item.lora)
        try:
            async for output in stream:
                now = time.monotonic_ns()
                answer = output.outputs[0]
                came(item.name, answer.token_ids, now, answer.finish_reason, output.num_cached_tokens)
        except (ValueError, VLLMClientError) as error:
            raise RefusedError(item.name, str(error)) from error
        finally:
            await stream.aclose()

    def ask(self, method: str, *arguments: Any) -> list[Any]:
        """See `Driver.ask`."""
        found: list[Any] = self._loop.wait(self._engine.collective_rpc(method, args=arguments))
        return found

    def forget(self) -> bool:
        """See `Driver.forget`."""
        return bool(self._loop.wait(self._engine.reset_prefix_cache()))

    def tokenizer(self) -> Any:
        """See `Driver.tokenizer`."""
        return self._engine.get_tokenizer()

    def close(self) -> None:
        """See `Driver.close`."""

        async def shut() -> None:
            self._engine.shutdown()

        try:
            self._loop.wait(shut())
        finally:
            self._loop.end()

    def _death(self) -> BaseException | None:
        """As in `StepDriver`: a call to an engine process that died is never answered."""
        return EngineDeadError() if self._engine is not None and self._engine.errored else None
