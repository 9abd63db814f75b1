"""The engine of the backend `sglang`."""

from __future__ import annotations

import asyncio
import itertools
import queue
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
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
from llem_engines.answers import Step, check_context, events
from llem_engines.caveats import Untold
from llem_engines.decoding import sampling_arguments
from llem_engines.loading import Prepared
from llem_engines.passes import Passes, has_passes
from llem_engines.report import load_report
from llem_hub.tokens import Tokenizer
from llem_sglang.arguments import check_options, engine_arguments, environment, needs_text
from llem_sglang.cache_treatment import radix_cache
from llem_sglang.caveats import CAVEATS
from llem_sglang.config import keeps_cache
from llem_sglang.counts import Counts
from llem_sglang.devices import devices_of
from llem_sglang.hosted import REMEDY, Hosted
from llem_sglang.loading import prepare
from llem_sglang.messages import Broken, Event, Item
from llem_sglang.names import SGLANG
from llem_sglang.under_way import UnderWay


class SglangEngine:
    """SGLang behind llem's `Engine`. Its own Engine runs in another process; each token has the time at which it left it."""

    def __init__(self) -> None:
        self._hosted: Hosted | None = None
        self._prepared: Prepared | None = None
        self._names = map(str, itertools.count())
        self._counts = Counts()
        self._untold = Untold(CAVEATS)

    def load(self, context: LoadContext) -> LoadReport:
        """See `Engine.load`."""
        config, options = context.config, context.config.options
        check_options(config)
        self._options: Section = options
        self._decoding: DecodingConfig = config.decoding
        self._passes = Passes(has_passes(config), None if keeps_cache(options) else self._forget)
        self._prepared = prepare(config.model, options, context.base_dir)
        arguments = {**engine_arguments(options, config.decoding), **self._prepared.arguments}
        arguments["skip_tokenizer_init"] = not needs_text(options)
        self._hosted = Hosted(config.model.source, environment(options), context.job_dir)
        facts = self._hosted.load(arguments, context.progress)
        self._context = facts["context"]
        # The tokenizer is llem's own affair: SGLang gets token ids, and gives some.
        self._tokenizer: Tokenizer = self._prepared.load_tokenizer(facts["vocab_size"])
        self._sampling = sampling_arguments(options, config.decoding)
        settled = {"context_length": facts["context"], "radix_cache": radix_cache(config, facts["effective"])}
        devices = devices_of(options)
        report = load_report(facts, self._prepared, self._tokenizer, config.model, devices, settled)
        self._untold.at_start(CAVEATS.settings(options, report.effective, report.dtype))
        return report

    def batches(self, requests: Sequence[Request]) -> Sequence[Sequence[Request]]:
        """See `Engine.batches`. One group: SGLang schedules by itself."""
        return [list(requests)] if requests else []

    def generate(self, batch: Sequence[Request]) -> Sequence[RequestRecord]:
        """See `Engine.generate`."""
        entered = time.monotonic_ns()
        prompts = self._tokenizer.encode(batch)
        check_context(SGLANG, batch, prompts, self._context)
        self._passes.before(batch)
        under_way = {
            next(self._names): UnderWay(SGLANG, request, len(prompt))
            for request, prompt in zip(batch, prompts, strict=True)
        }
        came: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._begin(under_way, prompts, came.put)
        left = set(under_way)
        try:
            while left:
                event = came.get()
                if isinstance(event, Broken):
                    raise self._broken(under_way[event.name], event)
                under_way[event.name].arrive(event)
                if event.finish is not None:
                    left.discard(event.name)
        finally:
            self._give_up(left)
        return [one.record(entered) for one in under_way.values()]

    async def stream(self, request: Request) -> AsyncIterator[TokenEvent]:
        """See `Engine.stream`. Closing the iterator stops the request at its next step."""
        loop, start_ns = asyncio.get_running_loop(), time.monotonic_ns()
        if self._passes.are_emptied:
            await loop.run_in_executor(None, self._passes.before, [request])
        (prompt,) = self._tokenizer.encode([request])
        check_context(SGLANG, [request], [prompt], self._context)
        name, one = next(self._names), UnderWay(SGLANG, request, len(prompt))
        steps: asyncio.Queue[Event] = asyncio.Queue()

        def came(event: Event) -> None:
            with suppress(RuntimeError):  # the loop has ended, and with it whoever read this
                loop.call_soon_threadsafe(steps.put_nowait, event)

        async def step() -> Step:
            if one.is_over:
                return one.record(start_ns)
            event = await steps.get()
            if isinstance(event, Broken):
                raise self._broken(one, event)
            one.arrive(event)
            return [TokenEvent(token, event.t_ns) for token in event.tokens]

        self._begin({name: one}, [prompt], came)
        try:
            async with aclosing(events(step)) as answer:
                async for token in answer:
                    yield token
        finally:
            self._give_up([name])

    def decode(self, token_ids: Sequence[int]) -> str | None:
        """See `Engine.decode`."""
        return self._tokenizer.decode(token_ids)

    def synchronize(self) -> None:
        """See `Engine.synchronize`. Asks SGLang's scheduler, since the devices are its own."""
        self._host.call("settle")

    def memory(self, *, reset_peak: bool = False) -> MemoryReading:
        """See `Engine.memory`. Null: SGLang gives no account of its allocator. Raises LlemError where its process has ended."""
        self._host.check()
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
        hosted, self._hosted = self._hosted, None
        prepared, self._prepared = self._prepared, None
        try:
            if hosted is not None:
                hosted.close()
        finally:
            if prepared is not None:
                prepared.remove()

    @property
    def _host(self) -> Hosted:
        assert self._hosted is not None
        return self._hosted

    def _begin(
        self, under_way: Mapping[str, UnderWay], prompts: Sequence[Sequence[int]], came: Callable[[Event], None]
    ) -> None:
        """Send requests, and have what comes of them counted and handed to `came`."""

        def counted(event: Event) -> None:
            self._counts.came(event)
            came(event)

        items = [
            Item(name, prompt, self._sampling_of(one.request))
            for (name, one), prompt in zip(under_way.items(), prompts, strict=True)
        ]
        self._counts.sent({name: one.input_tokens for name, one in under_way.items()}, time.monotonic_ns())
        try:
            self._host.begin(items, counted)
        except LlemError:
            self._counts.given_up(list(under_way), time.monotonic_ns())
            raise

    def _give_up(self, names: Sequence[str] | set[str]) -> None:
        self._counts.given_up(list(names), time.monotonic_ns())
        if self._hosted is not None:
            self._hosted.abort(names)

    def _sampling_of(self, request: Request) -> dict[str, Any]:
        return {**self._sampling, "max_new_tokens": request.output_tokens, "ignore_eos": request.ignore_eos}

    @staticmethod
    def _broken(one: UnderWay, event: Broken) -> LlemError:
        if event.is_refused:
            return one.refused(event.reason)
        return LlemError(
            f"prompt {one.request.id} has no answer: {event.reason.rstrip('.')}.", where="sglang", remedy=REMEDY
        )

    def _forget(self) -> bool:
        return self._host.call("forget")
