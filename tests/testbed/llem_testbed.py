"""A third-party backend for tests: generates by a clock instead of a model, and fails on request.

A folder with this module and its dist-info on PYTHONPATH is an installed plugin, also for workers.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Literal

from pydantic import Field

from llem.config.section import Section
from llem.hookspecs import API_VERSION, hookimpl
from llem.plugin_api import (
    BackendSpec,
    Caveat,
    LoadContext,
    LoadReport,
    MemoryReading,
    Request,
    RequestRecord,
    TokenEvent,
)


class TestbedConfig(Section):
    """Options of the backend `testbed`."""

    __test__ = False

    batch_size: int = Field(2, ge=1, le=1_000_000, description="requests in a batch")
    token_s: float = Field(0.001, ge=0, description="seconds for each step of a batch")
    fail: Literal["no", "raise", "segfault", "exit", "kill", "hang", "orphan", "silent_exit"] = Field(
        "no", description="how generation goes wrong"
    )
    fail_in: Literal["load", "generate"] = Field("generate", description="where it goes wrong")
    allocate_mb: int = Field(0, ge=0, description="MiB that model and batch take each; more while loading and at first")
    gpus: int | None = Field(None, ge=0, description="how many GPUs it says to take; null: all that it may see")
    times: Literal["seen", "one_instant", "no_duration", "one_more"] = Field(
        "seen", description="what it makes up of its tokens and times"
    )
    caveat: str | None = Field(None, description="a code that it reports each time it is asked, with a number")
    ignored: int = Field(0, ge=0, description="has no effect: resolve() sets it to its default")


def resolve(section: Section) -> Section:
    """`ignored` has no effect."""
    return section.model_copy(update={"ignored": 0})


def gpus(section: Section) -> int | None:
    """As many as the section says."""
    assert isinstance(section, TestbedConfig)
    return section.gpus


def _visible_gpus() -> list[str]:
    from llem.accelerators.asking import accelerators_here
    from llem.plugins import Registry

    return [one.id for one in accelerators_here(Registry())]


class TestbedEngine:
    """Answers with token ids 0, 1, 2, … at a steady pace."""

    __test__ = False
    _answered = 0
    _told = 0

    def load(self, context: LoadContext) -> LoadReport:
        self.options = context.config.options
        assert isinstance(self.options, TestbedConfig)
        context.progress("nothing to load")
        if self.options.allocate_mb:
            tracemalloc.start()  # the host allocator's account: current and peak, as a device's allocator keeps them
            self._model = bytearray(self.options.allocate_mb << 20)
            bytearray(10 * self.options.allocate_mb << 20)
            self._first = True
        if self.options.fail_in == "load":
            self._maybe_fail()
        print("testbed loaded", flush=True)
        return LoadReport(
            vocab_size=1000,
            devices=_visible_gpus() or ["cpu"],  # takes every GPU that it may see, as engines do
            parameters=1000,
            active_parameters=1000,
            versions={"testbed": "1.0"},
        )

    def batches(self, requests: Sequence[Request]) -> Sequence[Sequence[Request]]:
        size = self.options.batch_size
        return [requests[i : i + size] for i in range(0, len(requests), size)]

    def generate(self, batch: Sequence[Request]) -> Sequence[RequestRecord]:
        self._maybe_fail()
        if self.options.allocate_mb:
            bytearray((5 if self._first else 1) * self.options.allocate_mb << 20)
            self._first = False
        start = time.monotonic_ns()
        times: list[int] = []
        for _ in range(max(r.output_tokens for r in batch)):
            time.sleep(self.options.token_s)
            times.append(time.monotonic_ns())
        return [self._record(r, start, times[: r.output_tokens]) for r in batch]

    async def stream(self, request: Request) -> AsyncIterator[TokenEvent]:
        self._maybe_fail()
        start, times = time.monotonic_ns(), []
        for i in range(request.output_tokens):
            time.sleep(self.options.token_s)
            times.append(time.monotonic_ns())
            last = i == request.output_tokens - 1
            yield TokenEvent(i, times[-1], self._record(request, start, times) if last else None)

    def _record(self, request: Request, start: int, times: Sequence[int]) -> RequestRecord:
        self._answered += 1
        end = time.monotonic_ns()
        if self.options.times == "one_instant":
            times = [end] * len(times)
        elif self.options.times == "no_duration":
            end, times = start, [start] * len(times)
        elif self.options.times == "one_more":
            times = [*times, end]
        given = request.prompt_token_ids if request.prompt is None else request.prompt.split()
        count = min(len(given or ()), request.max_input_tokens or 10**9)
        return RequestRecord(
            id=request.id,
            input_tokens=count,
            output_tokens=len(times),
            start_ns=start,
            end_ns=end,
            finish="length",
            token_ns=tuple(times),
            output_token_ids=tuple(range(len(times))),
        )

    def _maybe_fail(self) -> None:
        match self.options.fail:
            case "raise":
                raise RuntimeError("the testbed was told to raise")
            case "segfault":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "exit":
                os._exit(7)
            case "silent_exit":
                os._exit(0)
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "hang":
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                time.sleep(3600)
            case "orphan":
                child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
                print(f"orphan pid {child.pid}", flush=True)
                time.sleep(3600)

    def decode(self, token_ids: Sequence[int]) -> str | None:
        return " ".join(f"t{i}" for i in token_ids)

    def synchronize(self) -> None: ...

    def memory(self, *, reset_peak: bool = False) -> MemoryReading:
        if not self.options.allocate_mb:
            return MemoryReading(None, None, None)
        current, peak = tracemalloc.get_traced_memory()
        if reset_peak:
            tracemalloc.reset_peak()
        return MemoryReading(current / 2**20, peak / 2**20, "allocator")

    def metrics(self, *, reset: bool = False) -> Mapping[str, float]:
        found = {"answered": float(self._answered)}
        if reset:
            self._answered = 0
        return found

    def caveats(self) -> Sequence[Caveat]:
        self._told += 1
        return [Caveat(code, f"said the {self._told}. time")] if (code := self.options.caveat) else []

    def close(self) -> None:
        print("testbed closed", flush=True)


@hookimpl
def llem_backends() -> Sequence[BackendSpec]:
    return [
        BackendSpec(
            name="testbed",
            api_version=API_VERSION,
            summary="generates by a clock, and fails on request",
            config=TestbedConfig,
            engine="llem_testbed:TestbedEngine",
            capabilities=frozenset({"cpu", "gpu", "streaming", "batching"}),
            resolve=resolve,
            gpus=gpus,
        )
    ]
