"""The two ways in which vLLM runs: step by step for batches, and as its server does for streams and data parallelism.

`StepDriver` drives vLLM's LLMEngine, which its own `LLM` drives as well: nothing stands between two steps, and each
step's tokens are seen at once. `AsyncDriver` runs vLLM's AsyncLLM on an event loop of its own: what a server streams
from, and the only one that spreads requests over data-parallel replicas.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from vllm.engine.arg_utils import AsyncEngineArgs, EngineArgs
from vllm.exceptions import VLLMClientError
from vllm.inputs import tokens_input
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.exceptions import EngineDeadError
from vllm.v1.engine.llm_engine import LLMEngine

from llem_vllm.metrics import StepCounter

_WATCH_S = 2.0
"""Time within which the death of vLLM's process is noticed by who waits for it."""

Came = Callable[[str, Sequence[int], int, str | None], None]
"""Takes the name of a request, the tokens that came, when, and how it finished where it did."""


@dataclass(frozen=True)
class Item:
    """One request for vLLM.

    Attributes:
        name: unique.
        prompt: token ids.
        sampling: vLLM's SamplingParams, which give out only what is new.
        lora: vLLM's LoRARequest, or None.
    """

    name: str
    prompt: list[int]
    sampling: Any
    lora: Any


class Driver(Protocol):
    """A running vLLM.

    Attributes:
        settings: vLLM's configuration, with everything that it decided itself.
        counter: what it counts.
    """

    settings: Any
    counter: StepCounter

    def run(self, items: Sequence[Item], came: Came, cancelled: threading.Event | None = None) -> bool:
        """Answer all of them; False where it was cancelled, and then nothing of them is left running.

        Raises:
            ValueError: vLLM refuses a request; its name is in `refused` of the error.
        """

    def ask(self, method: str, *arguments: Any) -> list[Any]:
        """Call a method of every worker."""

    def forget(self) -> bool:
        """Empty the prefix cache; False where vLLM could not."""

    def tokenizer(self) -> Any:
        """The tokenizer that vLLM loaded."""

    def close(self) -> None:
        """Ask vLLM's processes to end."""


class RefusedError(ValueError):
    """vLLM does not take a request.

    Attributes:
        name: of the request.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(reason)
        self.name = name


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
        threading.Thread(target=self._release_calls, name="llem-vllm-watch", daemon=True).start()
        engine.get_supported_tasks()  # vLLM asks its process at the first request, and remembers

    def _release_calls(self) -> None:
        """End calls to an engine process that died: vLLM notices the death, and leaves who waits for an answer waiting."""
        core = self._engine.engine_core
        while not self._closed.wait(_WATCH_S):
            if getattr(getattr(core, "resources", None), "engine_dead", False):
                for waiting in list(getattr(core, "utility_results", {}).values()):
                    if not waiting.done():
                        waiting.set_exception(EngineDeadError())
                core.outputs_queue.put_nowait(EngineDeadError())

    def run(self, items: Sequence[Item], came: Came, cancelled: threading.Event | None = None) -> bool:
        """See `Driver.run`."""
        engine = self._engine
        names = [item.name for item in items]
        for place, item in enumerate(items):
            try:
                engine.add_request(item.name, tokens_input(item.prompt), item.sampling, lora_request=item.lora)
            except (ValueError, VLLMClientError) as error:
                engine.abort_request(names[:place])
                raise RefusedError(item.name, str(error)) from error
        while engine.has_unfinished_requests():
            outputs = engine.step()
            now = time.monotonic_ns()
            for output in outputs:
                answer = output.outputs[0]
                came(output.request_id, answer.token_ids, now, answer.finish_reason)
            if cancelled is not None and cancelled.is_set():
                engine.abort_request(names)
                return False
        return True

    def ask(self, method: str, *arguments: Any) -> list[Any]:
        """See `Driver.ask`."""
        found: list[Any] = self._engine.collective_rpc(method, args=arguments)
        return found

    def forget(self) -> bool:
        """See `Driver.forget`."""
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
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="llem-vllm-loop", daemon=True)
        self._thread.start()
        self._engine: Any = None
        try:
            self._engine = self._wait(self._start(arguments))
        except BaseException:
            self._end_loop()
            raise
        self.settings: Any = self._engine.vllm_config
        self.counter = StepCounter.only(self._engine)

    async def _start(self, arguments: Mapping[str, Any]) -> Any:
        return AsyncLLM.from_engine_args(AsyncEngineArgs(**arguments), stat_loggers=[StepCounter])

    def run(self, items: Sequence[Item], came: Came, cancelled: threading.Event | None = None) -> bool:
        """See `Driver.run`. Two steps whose tokens were not fetched in time share the later one's."""
        return bool(self._wait(self._run(items, came, cancelled)))

    async def _run(self, items: Sequence[Item], came: Came, cancelled: threading.Event | None) -> bool:
        async def one(item: Item) -> bool:
            stream = self._engine.generate(tokens_input(item.prompt), item.sampling, item.name, lora_request=item.lora)
            try:
                async for output in stream:
                    now = time.monotonic_ns()
                    answer = output.outputs[0]
                    came(item.name, answer.token_ids, now, answer.finish_reason)
                    if cancelled is not None and cancelled.is_set():
                        return False
            except (ValueError, VLLMClientError) as error:
                raise RefusedError(item.name, str(error)) from error
            finally:
                await stream.aclose()
            return True

        tasks = [asyncio.create_task(one(item)) for item in items]
        try:
            return all(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def ask(self, method: str, *arguments: Any) -> list[Any]:
        """See `Driver.ask`."""
        found: list[Any] = self._wait(self._engine.collective_rpc(method, args=arguments))
        return found

    def forget(self) -> bool:
        """See `Driver.forget`."""
        return bool(self._wait(self._engine.reset_prefix_cache()))

    def tokenizer(self) -> Any:
        """See `Driver.tokenizer`."""
        return self._engine.get_tokenizer()

    def close(self) -> None:
        """See `Driver.close`."""

        async def shut() -> None:
            self._engine.shutdown()

        try:
            self._wait(shut())
        finally:
            self._end_loop()

    def _wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            while True:
                # As in `StepDriver`: a call to an engine process that died is never answered.
                dead = self._engine is not None and self._engine.errored
                try:
                    return future.result(timeout=_WATCH_S)
                except TimeoutError:
                    if dead:
                        raise EngineDeadError from None
        except BaseException:
            future.cancel()
            raise

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
