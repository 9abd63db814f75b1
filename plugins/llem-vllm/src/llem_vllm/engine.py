"""The engine of the backend `vllm`."""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from llem.config.experiment import DecodingConfig
from llem.config.section import Section
from llem.errors import LlemError
from llem.models.tokens import ByteTokenizer, TextTokenizer, Tokenizer
from llem.specs.backend import LoadContext, LoadReport, MemoryReading, Request, RequestRecord, TokenEvent
from llem_vllm.arguments import check_lengths, engine_arguments, environment_variables, sampling_arguments
from llem_vllm.loading import Prepared, prepare
from llem_vllm.processes import Descendants, signs_of_life

_log = logging.getLogger(__name__)

Step = Callable[[int, Sequence[int], int], None]
"""Takes the place of a request in its batch, the tokens that came for it, and when."""


class VllmEngine:
    """vLLM's LLMEngine, the one that its `LLM` drives, behind llem's `Engine`.

    Its own step loop is driven here, so that each step's tokens get the time at which they came, in a batch as well.
    """

    def __init__(self) -> None:
        self._engine: Any = None
        self._prepared: Prepared | None = None
        self._descendants: Descendants | None = None
        self._turn = threading.Lock()
        self._ids = itertools.count()
        self._seen: set[int] = set()
        self._parameters: dict[tuple[int, bool], Any] = {}

    def load(self, context: LoadContext) -> LoadReport:
        """See `Engine.load`."""
        config, options = context.config, context.config.options
        self._options: Section = options
        self._decoding: DecodingConfig = config.decoding
        check_lengths(config)
        self._descendants = Descendants()
        # Before anything of vLLM is imported: some of them are read at its import.
        os.environ.update(environment_variables(options))
        with signs_of_life(context.progress, f"loading {config.model.source} into vLLM"):
            self._prepared = prepare(config.model, options, context.base_dir)
            arguments = {**engine_arguments(options, config.decoding), **self._prepared.arguments}
            from llem_vllm.report import load_report
            from llem_vllm.start import start

            started = start(arguments, options, config.model, context.base_dir)
            self._engine, self._counter, self._lora = started.engine, started.counter, started.lora
            self._tokenizer: Tokenizer = self._load_tokenizer()
            self._sampling = sampling_arguments(options, config.decoding)
            return load_report(self._engine, self._prepared, self._tokenizer, config.model, self._devices())

    def batches(self, requests: Sequence[Request]) -> Sequence[Sequence[Request]]:
        """See `Engine.batches`. One group: vLLM schedules by itself."""
        return [list(requests)] if requests else []

    def generate(self, batch: Sequence[Request]) -> Sequence[RequestRecord]:
        """See `Engine.generate`."""
        return self._answer(batch, None, None)

    async def stream(self, request: Request) -> AsyncIterator[TokenEvent]:
        """See `Engine.stream`. Closing the iterator stops the request at its next step."""
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[tuple[Sequence[int], int] | RequestRecord | BaseException] = asyncio.Queue()
        cancelled = threading.Event()

        def tell(item: tuple[Sequence[int], int] | RequestRecord | BaseException) -> None:
            if not cancelled.is_set():
                loop.call_soon_threadsafe(queue.put_nowait, item)

        def work() -> None:
            try:
                records = self._answer([request], lambda _, tokens, t_ns: tell((tokens, t_ns)), cancelled)
                if records:
                    tell(records[0])
            except BaseException as error:  # noqa: BLE001 - it is raised again where the answer is awaited
                tell(error)

        thread = threading.Thread(target=work, name="llem-vllm-stream", daemon=True)
        thread.start()
        try:
            # The last token waits for the record, which is there as soon as the request is done.
            held: TokenEvent | None = None
            while True:
                item = await queue.get()
                if isinstance(item, BaseException):
                    raise item
                if isinstance(item, RequestRecord):
                    if held is not None:
                        yield TokenEvent(held.token_id, held.t_ns, item)
                    return
                tokens, t_ns = item
                for token in tokens:
                    if held is not None:
                        yield held
                    held = TokenEvent(token, t_ns)
        finally:
            cancelled.set()
            await loop.run_in_executor(None, thread.join)

    def decode(self, token_ids: Sequence[int]) -> str | None:
        """See `Engine.decode`."""
        return self._tokenizer.decode(token_ids)

    def synchronize(self) -> None:
        """See `Engine.synchronize`. Asks every worker, since the devices are theirs."""
        self._ask("llem_synchronize")

    def memory(self, *, reset_peak: bool = False) -> MemoryReading:
        """See `Engine.memory`. Holds vLLM's key-value cache, which is reserved whole at the start."""
        found: list[tuple[float, float] | None] = self._ask("llem_memory", reset_peak)
        known = [one for one in found if one is not None]
        if not known or len(known) < len(found):
            return MemoryReading(None, None, None)
        return MemoryReading(sum(now for now, _ in known), sum(peak for _, peak in known), "allocator")

    def metrics(self, *, reset: bool = False) -> Mapping[str, float]:
        """See `ReportsMetrics.metrics`."""
        found = self._counter.figures()
        if reset:
            self._counter.reset()
        return found

    def close(self) -> None:
        """See `Engine.close`."""
        engine, self._engine = self._engine, None
        try:
            if engine is not None:
                engine.engine_core.shutdown()
        finally:
            del engine
            gc.collect()
            if self._descendants is not None:
                self._descendants.end()
                self._descendants = None
            if self._prepared is not None:
                self._prepared.remove()
                self._prepared = None

    def _answer(
        self, requests: Sequence[Request], came: Step | None, cancelled: threading.Event | None
    ) -> list[RequestRecord]:
        """Drive the engine until all are answered; an empty list where it was cancelled."""
        from vllm.inputs import TokensPrompt

        engine = self._engine
        with self._turn:
            entered = time.monotonic_ns()
            prompts = self._tokenizer.encode(requests)
            self._forget_what_comes_again(requests)
            tokens: list[list[int]] = [[] for _ in requests]
            times: list[list[int]] = [[] for _ in requests]
            ends: list[tuple[int, str]] = [(0, "")] * len(requests)
            places: dict[str, int] = {}
            for place, (request, prompt) in enumerate(zip(requests, prompts, strict=True)):
                name = str(next(self._ids))
                places[name] = place
                self._add(name, TokensPrompt(prompt_token_ids=prompt), request, len(prompt))
            while engine.has_unfinished_requests():
                outputs = engine.step()
                now = time.monotonic_ns()
                for output in outputs:
                    place, answer = places[output.request_id], output.outputs[0]
                    new = answer.token_ids
                    tokens[place] += new
                    times[place] += [now] * len(new)
                    if came is not None and new:
                        came(place, new, now)
                    if output.finished:
                        ends[place] = (now, str(answer.finish_reason))
                if cancelled is not None and cancelled.is_set():
                    engine.abort_request(list(places))
                    return []
        return [
            RequestRecord(
                id=request.id,
                input_tokens=len(prompts[place]),
                output_tokens=len(tokens[place]),
                start_ns=entered,
                end_ns=ends[place][0],
                finish="stop" if ends[place][1] == "stop" else "length",
                token_ns=tuple(times[place]),
                output_token_ids=tuple(tokens[place]),
            )
            for place, request in enumerate(requests)
        ]

    def _add(self, name: str, prompt: Any, request: Request, length: int) -> None:
        try:
            self._engine.add_request(name, prompt, self._sampling_of(request), lora_request=self._lora)
        except ValueError as error:
            raise LlemError(
                f"vLLM refuses prompt {request.id} of {length} tokens with an answer of {request.output_tokens}: "
                f"{str(error).splitlines()[0]}",
                remedy="Set dataset.input_tokens and dataset.output_tokens so that both fit vllm.max_model_len.",
            ) from error

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

    def _forget_what_comes_again(self, requests: Sequence[Request]) -> None:
        """Empty the prefix cache when a prompt comes a second time: each pass over the dataset then does the same work."""
        ids = {request.id for request in requests}
        if not self._seen.isdisjoint(ids):
            if not self._engine.reset_prefix_cache():
                _log.warning("vLLM could not empty its prefix cache; this pass finds prompts of the one before in it")
            self._seen.clear()
        self._seen |= ids

    def _load_tokenizer(self) -> Tokenizer:
        assert self._prepared is not None
        if self._prepared.tokenizer is None:
            return ByteTokenizer(self._engine.model_config.get_vocab_size())
        return TextTokenizer(self._engine.get_tokenizer(), self._prepared.tokenizer)

    def _devices(self) -> list[str]:
        return list(dict.fromkeys(self._ask("llem_device")))

    def _ask(self, method: str, *arguments: Any) -> list[Any]:
        found: list[Any] = self._engine.collective_rpc(method, args=arguments)
        return found
