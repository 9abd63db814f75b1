"""The driver of a running TensorRT-LLM: requests go to its `LLM` on an event loop, and each step's tokens are stamped as they come.

`LLM.generate_async` is what its own server streams from, and the only way in which requests join others that are under way.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import psutil

from llem.plugin_api import LlemError
from llem_engines.event_loop import EventLoop
from llem_engines.processes import below, runs
from llem_engines.reasons import reason_of

Came = Callable[[str, Sequence[int], int, str | None, int | None], None]
"""Takes the name of a request, the tokens that came, when, how it finished where it did, and its prompt tokens from the cache."""

REMEDY = "worker.log has all that TensorRT-LLM said; the kernel's log tells where memory was short."

_WORKERS = "mpi4py.futures"
"""The module that its own processes run: MPI starts them."""


@dataclass(frozen=True)
class Item:
    """One request for TensorRT-LLM.

    Attributes:
        name: unique.
        prompt: token ids.
        sampling: keywords of SamplingParams.
        salt: what prompts must share to be found again; None where all share it.
    """

    name: str
    prompt: Sequence[int]
    sampling: Mapping[str, Any]
    salt: str | None


class RefusedError(ValueError):
    """TensorRT-LLM does not take a request.

    Attributes:
        name: of the request.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(reason)
        self.name = name


class Driver:
    """An `LLM` on an event loop of its own.

    Args:
        llm: TensorRT-LLM's.
        parameters: its class SamplingParams.
    """

    def __init__(self, llm: Any, parameters: Any) -> None:
        self._llm, self._parameters = llm, parameters
        self._workers = [process for process in below() if _is_worker(process)]
        self._loop = EventLoop("llem-trtllm-loop", self._death)

    def run(self, items: Sequence[Item], came: Came) -> None:
        """Answer all of them. Raises RefusedError where TensorRT-LLM does not take one, LlemError where one has no answer."""
        self._loop.together([self._answer(item, came) for item in items])

    def stream(self, make: Callable[[], Item], came: Came) -> Future[None]:
        """Begin one request, which `make` gives on the loop. Cancelling the future stops it at its next step."""

        async def work() -> None:
            await self._answer(make(), came)

        return self._loop.begin(work())

    def check(self) -> None:
        """Raise LlemError where a process of TensorRT-LLM has ended."""
        if (death := self._death()) is not None:
            raise death

    def close(self) -> None:
        """Ask its processes to end."""
        try:
            self._llm.shutdown()
        finally:
            self._loop.end()

    async def _answer(self, item: Item, came: Came) -> None:
        result: Any = None
        seen = 0
        try:
            # Made here: an `LLM` gives answers to the event loop on which it was asked.
            result = self._llm.generate_async(
                list(item.prompt), self._parameters(**item.sampling), streaming=True, cache_salt=item.salt
            )
            async for output in result:
                now = time.monotonic_ns()
                answer = output.outputs[0]
                tokens, seen = list(answer.token_ids[seen:]), max(seen, len(answer.token_ids))
                finish = (answer.finish_reason or "nothing") if output.finished else None
                came(item.name, tokens, now, finish, getattr(output, "cached_tokens", None))
        except ValueError as error:
            raise RefusedError(item.name, str(error)) from error
        except LlemError:
            raise
        except Exception as error:
            raise LlemError(
                f"a prompt of {len(item.prompt)} tokens has no answer: {reason_of(error)}.",
                where="trtllm",
                remedy=REMEDY,
            ) from error
        finally:
            # Whatever ended this, also that nobody takes the tokens any more: what is left would run on beside the next requests.
            if result is not None and not result.finished:
                result.abort()

    def _death(self) -> LlemError | None:
        if all(runs(process) for process in self._workers):
            return None
        return LlemError("a process of TensorRT-LLM has ended in the run.", where="trtllm", remedy=REMEDY)


def _is_worker(process: psutil.Process) -> bool:
    try:
        return any(_WORKERS in word for word in process.cmdline())
    except psutil.Error:
        return False
