"""The engine of the backend `trtllm`."""

from __future__ import annotations

import asyncio
import gc
import itertools
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import aclosing, suppress
from typing import Any

from llem.plugin_api import (
    Caveat,
    DecodingConfig,
    LlemError,
    LoadContext,
    LoadReport,
    MemoryReading,
    Request,
    RequestRecord,
    Section,
    TokenEvent,
)
from llem_engines.answers import Step, UncutUnderWay, check_context, events
from llem_engines.caveats import Untold
from llem_engines.counts import Counts
from llem_engines.loading import Prepared
from llem_engines.passes import Passes, has_passes, treatment
from llem_engines.processes import Descendants, signs_of_life
from llem_engines.reasons import reason_of
from llem_engines.report import load_report
from llem_hub.tokens import Tokenizer
from llem_trtllm.arguments import (
    check_options,
    engine_arguments,
    needs_text,
    request_arguments,
    reuses,
    sampling_arguments,
)
from llem_trtllm.caveats import CAVEATS
from llem_trtllm.config import gpus, is_built, keeps_cache
from llem_trtllm.devices import devices_of
from llem_trtllm.driver import Driver, Item, RefusedError
from llem_trtllm.facts import facts_of
from llem_trtllm.loading import prepare
from llem_trtllm.names import TRTLLM
from llem_trtllm.start import start, start_built, told

_MORE_ROOM = "trtllm.kv_cache_config.free_gpu_memory_fraction or trtllm.max_seq_len"


class TrtllmEngine:
    """TensorRT-LLM behind llem's `Engine`. Each step's tokens get the time at which they came, in a batch as well."""

    def __init__(self) -> None:
        self._driver: Driver | None = None
        self._prepared: Prepared | None = None
        self._descendants: Descendants | None = None
        self._names = map(str, itertools.count())
        self._passes = Passes()
        self._pass = 0
        self._counts = Counts()
        self._untold = Untold(CAVEATS)

    def load(self, context: LoadContext) -> LoadReport:
        """See `Engine.load`. Building an engine is part of it, and of no measured window."""
        config, options = context.config, context.config.options
        for error in check_options(config):
            raise error
        self._options: Section = options
        self._decoding: DecodingConfig = config.decoding
        self._passes = Passes(has_passes(config), None if keeps_cache(options) else self._forget)
        self._descendants = Descendants()
        with signs_of_life(context.progress, f"loading {config.model.source} into TensorRT-LLM"):
            self._prepared = prepare(config.model, context.base_dir)
            arguments = {**engine_arguments(options), **self._prepared.arguments}
            arguments["skip_tokenizer_init"] = not needs_text(options)
            settled: dict[str, Any] = {}
            if is_built(options):
                cards = devices_of(gpus(options) or 1)
                llm, entry = start_built(arguments, options, self._prepared, config.model.source, cards)
                settled |= told(entry)
            else:
                llm = start(arguments, config.model.source)
                cards = devices_of(gpus(options) or 1)
            from tensorrt_llm import SamplingParams

            self._driver = Driver(llm, SamplingParams)
            self._descendants.look()
        facts = facts_of(
            llm.args,
            str(self._prepared.arguments["model"]),
            self._prepared.arguments.get("revision"),
            trusts=config.model.trust_remote_code,
        )
        self._context, self._end_ids = facts["context"], facts["end_ids"]
        # The tokenizer is llem's own affair: TensorRT-LLM gets token ids, and gives some.
        self._tokenizer: Tokenizer = self._prepared.load_tokenizer(facts["vocab_size"])
        self._sampling = sampling_arguments(options, config.decoding)
        settled["prefix_cache"] = treatment(config, is_off=not reuses(options), is_kept=keeps_cache(options))
        report = load_report(facts, self._prepared, self._tokenizer, config.model, cards, settled)
        self._untold.at_start(CAVEATS.settings(options, report.effective, report.dtype))
        return report

    def batches(self, requests: Sequence[Request]) -> Sequence[Sequence[Request]]:
        """See `Engine.batches`. One group: TensorRT-LLM schedules by itself."""
        return [list(requests)] if requests else []

    def generate(self, batch: Sequence[Request]) -> Sequence[RequestRecord]:
        """See `Engine.generate`."""
        entered = time.monotonic_ns()
        prompts = self._tokenizer.encode(batch)
        check_context(TRTLLM, batch, prompts, self._context)
        self._passes.before(batch)
        under_way = {
            next(self._names): self._begun(request, prompt) for request, prompt in zip(batch, prompts, strict=True)
        }
        items = [
            self._item(name, one.request, prompt)
            for (name, one), prompt in zip(under_way.items(), prompts, strict=True)
        ]

        def came(name: str, tokens: Sequence[int], now: int, finish: str | None, cached: int | None) -> None:
            self._count(name, tokens, now, finish, cached)
            under_way[name].take(tokens, now, finish, cached)

        self._counts.sent({name: one.input_tokens for name, one in under_way.items()}, time.monotonic_ns())
        try:
            self._running.run(items, came)
        except RefusedError as error:
            raise under_way[error.name].refused(reason_of(error)) from error
        finally:
            self._counts.given_up(list(under_way), time.monotonic_ns())
        return [one.record(entered) for one in under_way.values()]

    async def stream(self, request: Request) -> AsyncIterator[TokenEvent]:
        """See `Engine.stream`. Closing the iterator stops the request at its next step."""
        loop, start_ns = asyncio.get_running_loop(), time.monotonic_ns()
        if self._passes.are_emptied:
            await loop.run_in_executor(None, self._passes.before, [request])
        (prompt,) = self._tokenizer.encode([request])
        check_context(TRTLLM, [request], [prompt], self._context)
        name, one = next(self._names), self._begun(request, prompt)
        steps: asyncio.Queue[Step | BaseException] = asyncio.Queue()

        def put(found: Step | BaseException) -> None:
            with suppress(RuntimeError):  # the loop has ended, and with it whoever read this
                loop.call_soon_threadsafe(steps.put_nowait, found)

        def came(_: str, tokens: Sequence[int], now: int, finish: str | None, cached: int | None) -> None:
            self._count(name, tokens, now, finish, cached)
            one.take(tokens, now, finish, cached)
            put([TokenEvent(token, now) for token in tokens])
            if finish is not None:
                try:
                    put(one.record(start_ns))
                except LlemError as error:
                    put(error)

        def over(future: Future[None]) -> None:
            if not future.cancelled() and (error := future.exception()) is not None:
                put(error)

        async def step() -> Step:
            found = await steps.get()
            if isinstance(found, RefusedError):
                raise one.refused(reason_of(found)) from found
            if isinstance(found, BaseException):
                raise found
            return found

        self._counts.sent({name: one.input_tokens}, start_ns)
        future = self._running.stream(lambda: self._item(name, request, prompt), came)
        future.add_done_callback(over)
        try:
            async with aclosing(events(step)) as answer:
                async for token in answer:
                    yield token
        finally:
            future.cancel()
            self._counts.given_up([name], time.monotonic_ns())

    def decode(self, token_ids: Sequence[int]) -> str | None:
        """See `Engine.decode`."""
        return self._tokenizer.decode(token_ids)

    def synchronize(self) -> None:
        """See `Engine.synchronize`. The devices are its processes' own, and it has no question for them: once every answer is here
        nothing is left to compute but what a step ahead of the last one may have begun. Raises LlemError where one has ended."""
        self._running.check()

    def memory(self, *, reset_peak: bool = False) -> MemoryReading:
        """See `Engine.memory`. Null: TensorRT-LLM gives no account of its allocator."""
        self._running.check()
        return MemoryReading(None, None, None)

    def metrics(self, *, reset: bool = False) -> Mapping[str, float]:
        """See `ReportsMetrics.metrics`."""
        if reset:
            self._untold.window_begins()
        return self._counts.figures(reset=reset)

    def caveats(self) -> Sequence[Caveat]:
        """See `ReportsCaveats.caveats`. What is counted is told of a window, which begins where the counts are reset."""
        return [*self._untold.tell(self._passes.kept(), self._counts.figures), *self._tokenizer.caveats()]

    def close(self) -> None:
        """See `Engine.close`."""
        driver, self._driver = self._driver, None
        descendants, self._descendants = self._descendants, None
        prepared, self._prepared = self._prepared, None
        if descendants is not None:
            descendants.look()
        try:
            if driver is not None:
                driver.close()
        finally:
            del driver
            gc.collect()
            if descendants is not None:
                descendants.end()
            if prepared is not None:
                prepared.remove()

    @property
    def _running(self) -> Driver:
        assert self._driver is not None
        return self._driver

    def _begun(self, request: Request, prompt: Sequence[int]) -> UncutUnderWay:
        return UncutUnderWay(TRTLLM, request, len(prompt), more_room=_MORE_ROOM)

    def _item(self, name: str, request: Request, prompt: Sequence[int]) -> Item:
        sampling = request_arguments(
            self._sampling, self._decoding, request, self._end_ids, has_text=needs_text(self._options)
        )
        # What one pass left in the cache is found by prompts of that pass alone.
        return Item(name, prompt, sampling, f"pass {self._pass}" if self._passes.are_emptied else None)

    def _count(self, name: str, tokens: Sequence[int], now: int, finish: str | None, cached: int | None) -> None:
        self._counts.arrived(name, now, has_tokens=bool(tokens), cached=cached, is_over=finish is not None)

    def _forget(self) -> bool:
        self._pass += 1
        return True
