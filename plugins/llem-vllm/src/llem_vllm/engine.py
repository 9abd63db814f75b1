"""The engine of the backend `vllm`."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import aclosing
from typing import Any

from llem.plugin_api import (
    Caveat,
    DecodingConfig,
    LoadContext,
    LoadReport,
    MemoryReading,
    Request,
    RequestRecord,
    Section,
    TokenEvent,
)
from llem_engines.answers import Step, UnderWay, check_context, events
from llem_engines.caveats import Untold
from llem_engines.loading import Prepared
from llem_engines.passes import Passes, has_passes
from llem_engines.processes import Descendants, signs_of_life
from llem_engines.reasons import reason_of
from llem_engines.report import load_report
from llem_hub.tokens import ByteTokenizer, TextTokenizer, Tokenizer
from llem_vllm.arguments import check_lengths, engine_arguments, environment_variables, sampling_arguments
from llem_vllm.caveats import CAVEATS, replica_caveats
from llem_vllm.driver import Driver, Item, RefusedError
from llem_vllm.facts import facts_of, replicas_of
from llem_vllm.loading import prepare
from llem_vllm.names import VLLM
from llem_vllm.replicas import Workers


class VllmEngine:
    """vLLM behind llem's `Engine`. Each step's tokens get the time at which they came, in a batch as well."""

    def __init__(self) -> None:
        self._driver: Driver | None = None
        self._prepared: Prepared | None = None
        self._descendants: Descendants | None = None
        self._ids = itertools.count()
        self._passes = Passes()
        self._parameters: dict[tuple[int, bool], Any] = {}
        self._untold = Untold(CAVEATS)

    def load(self, context: LoadContext) -> LoadReport:
        """See `Engine.load`."""
        config, options = context.config, context.config.options
        self._options: Section = options
        self._decoding: DecodingConfig = config.decoding
        self._passes = Passes(has_passes(config), self._forget)
        check_lengths(config)
        self._descendants = Descendants()
        # Before anything of vLLM is imported: some of them are read at its import.
        os.environ.update(environment_variables(options))
        with signs_of_life(context.progress, f"loading {config.model.source} into vLLM"):
            self._prepared = prepare(config.model, context.base_dir)
            arguments = {**engine_arguments(options, config.decoding), **self._prepared.arguments}
            from llem_vllm.start import start

            started = start(arguments, config, context.base_dir)
            self._driver, self._lora = started.driver, started.lora
            self._descendants.look()
            self._tokenizer: Tokenizer = self._load_tokenizer()
            self._sampling = sampling_arguments(options, config.decoding)
            facts = facts_of(self._driver.settings)
            self._workers = Workers(self._ask, replicas_of(facts))
            report = load_report(facts, self._prepared, self._tokenizer, config.model, self._devices())
            self._untold.at_start(CAVEATS.settings(options, report.effective, report.dtype))
            self._untold.at_start(replica_caveats(self._workers.unheard))
            return report

    def batches(self, requests: Sequence[Request]) -> Sequence[Sequence[Request]]:
        """See `Engine.batches`. One group: vLLM schedules by itself."""
        return [list(requests)] if requests else []

    def generate(self, batch: Sequence[Request]) -> Sequence[RequestRecord]:
        """See `Engine.generate`."""
        return self._answer(batch)

    async def stream(self, request: Request) -> AsyncIterator[TokenEvent]:
        """See `Engine.stream`. Closing the iterator stops the request at its next step."""
        assert self._driver is not None
        loop, start_ns = asyncio.get_running_loop(), time.monotonic_ns()
        steps: asyncio.Queue[Step | BaseException] = asyncio.Queue()
        if self._passes.are_emptied:
            await loop.run_in_executor(None, self._passes.before, [request])
        under_way: UnderWay | None = None

        def make() -> Item:
            nonlocal under_way
            (prompt,) = self._tokenizer.encode([request])
            self._check_context([request], [prompt])
            under_way = UnderWay(VLLM, request, len(prompt))
            return Item(str(next(self._ids)), prompt, self._sampling_of(request), self._lora)

        def came(_: str, tokens: Sequence[int], now: int, finish: str | None, cached: int | None) -> None:
            assert under_way is not None
            under_way.take(tokens, now, finish, cached)
            loop.call_soon_threadsafe(steps.put_nowait, [TokenEvent(token, now) for token in tokens])
            if finish is not None:
                loop.call_soon_threadsafe(steps.put_nowait, under_way.record(start_ns))

        def over(future: Future[None]) -> None:
            if not future.cancelled() and (error := future.exception()) is not None:
                loop.call_soon_threadsafe(steps.put_nowait, error)

        async def step() -> Step:
            found = await steps.get()
            if isinstance(found, RefusedError):
                assert under_way is not None
                raise under_way.refused(reason_of(found)) from found
            if isinstance(found, BaseException):
                raise found
            return found

        future = self._driver.stream(make, came)
        future.add_done_callback(over)
        try:
            async with aclosing(events(step)) as answer:
                async for event in answer:
                    yield event
        finally:
            future.cancel()

    def prepare_ahead(self) -> bool:
        """False: nothing is sent, and so nothing can be sent ahead."""
        return False

    def stream_at(self, request: Request, due_ns: int, left: Callable[[int], None]) -> AsyncIterator[TokenEvent]:
        """Raises NotImplementedError: it is never asked for, since `prepare_ahead` says no."""
        raise NotImplementedError

    def decode(self, token_ids: Sequence[int]) -> str | None:
        """See `Engine.decode`."""
        return self._tokenizer.decode(token_ids)

    def check_server(self) -> None:
        """Raise ModelError where vLLM's own process has ended (llem-serving's `ChecksServer`)."""
        assert self._driver is not None
        self._driver.check()

    def synchronize(self) -> None:
        """See `Engine.synchronize`. Asks every worker, since the devices are theirs."""
        self._ask("llem_synchronize")

    def memory(self, *, reset_peak: bool = False) -> MemoryReading:
        """See `Engine.memory`. Holds vLLM's key-value cache, which is reserved whole at the start."""
        found: list[tuple[float, float] | None] = self._workers.ask("llem_memory", reset_peak)
        known = [one for one in found if one is not None]
        if not known or len(known) < len(found) or self._workers.unheard:
            return MemoryReading(None, None, None)
        return MemoryReading(sum(now for now, _ in known), sum(peak for _, peak in known), "allocator")

    def metrics(self, *, reset: bool = False) -> Mapping[str, float]:
        """See `ReportsMetrics.metrics`."""
        assert self._driver is not None
        found = self._driver.counter.figures()
        if reset:
            self._driver.counter.reset()
            self._untold.window_begins()
        return found

    def caveats(self) -> Sequence[Caveat]:
        """See `ReportsCaveats.caveats`. What vLLM counts is told of a window, which begins where its counts are reset."""
        assert self._driver is not None
        return [*self._untold.tell(self._passes.kept(), self._driver.counter.figures), *self._tokenizer.caveats()]

    def close(self) -> None:
        """See `Engine.close`."""
        driver, self._driver = self._driver, None
        if self._descendants is not None:
            self._descendants.look()
        try:
            if driver is not None:
                driver.close()
        finally:
            del driver
            gc.collect()
            if self._descendants is not None:
                self._descendants.end()
                self._descendants = None
            if self._prepared is not None:
                self._prepared.remove()
                self._prepared = None

    def _answer(self, requests: Sequence[Request]) -> list[RequestRecord]:
        """Run them together until all are answered."""
        assert self._driver is not None
        entered = time.monotonic_ns()
        prompts = self._tokenizer.encode(requests)
        self._check_context(requests, prompts)
        self._passes.before(requests)
        under_way = {
            str(next(self._ids)): UnderWay(VLLM, request, len(prompt))
            for request, prompt in zip(requests, prompts, strict=True)
        }
        items = [
            Item(name, prompt, self._sampling_of(one.request), self._lora)
            for (name, one), prompt in zip(under_way.items(), prompts, strict=True)
        ]

        def came(name: str, tokens: Sequence[int], now: int, finish: str | None, cached: int | None) -> None:
            under_way[name].take(tokens, now, finish, cached)

        try:
            self._driver.run(items, came)
        except RefusedError as error:
            raise under_way[error.name].refused(reason_of(error)) from error
        return [one.record(entered) for one in under_way.values()]

    def _check_context(self, requests: Sequence[Request], prompts: Sequence[Sequence[int]]) -> None:
        assert self._driver is not None
        check_context(VLLM, requests, prompts, self._driver.settings.model_config.max_model_len)

    def _sampling_of(self, request: Request) -> Any:
        """One set of parameters for all requests of the same length: making them is work, and vLLM copies them itself."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        key = (request.output_tokens, request.ignore_eos)
        if key not in self._parameters:
            self._parameters[key] = SamplingParams(
                **{
                    **self._sampling,
                    "max_tokens": request.output_tokens,
                    "ignore_eos": request.ignore_eos,
                    "output_kind": RequestOutputKind.DELTA,
                }
            )
        return self._parameters[key]

    def _forget(self) -> bool:
        assert self._driver is not None
        return self._driver.forget()

    def _load_tokenizer(self) -> Tokenizer:
        assert self._prepared is not None
        assert self._driver is not None
        if self._prepared.tokenizer is None:
            return ByteTokenizer(int(self._driver.settings.model_config.get_vocab_size()))
        return TextTokenizer(self._driver.tokenizer(), self._prepared.tokenizer)

    def _devices(self) -> list[str]:
        return list(dict.fromkeys(self._workers.ask("llem_device")))

    def _ask(self, method: str, *arguments: Any) -> list[Any]:
        assert self._driver is not None
        return self._driver.ask(method, *arguments)
