"""The engine of the backend `pytorch`."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import torch
import transformers

from llem.plugin_api import (
    Caveat,
    DecodingConfig,
    LlemError,
    LoadContext,
    LoadReport,
    MemoryReading,
    ModelConfig,
    ModelError,
    Request,
    RequestRecord,
    TokenEvent,
)
from llem_hub.tokens import Tokenizer
from llem_pytorch import arguments
from llem_pytorch.batching import Length, cache_tokens, make_batches
from llem_pytorch.caveats import Beyond, Listener, not_taken, settings_caveat
from llem_pytorch.config import STATIC_CACHES, PyTorchConfig
from llem_pytorch.devices import devices_of, read_memory, stable_id, synchronize
from llem_pytorch.generation import Batch, Generator, answer
from llem_pytorch.loading import Loaded, load_model, load_tokenizer
from llem_pytorch.parallel import Ranks
from llem_pytorch.progress import signs_of_life
from llem_pytorch.report import load_report
from llem_pytorch.serving.batch_server import BatchServer
from llem_pytorch.serving.continuous_server import ContinuousServer
from llem_pytorch.serving.server import AnswerServer
from llem_pytorch.serving.settings import is_served
from llem_pytorch.serving.starting import start_server
from llem_pytorch.serving.streamed_answer import StreamedAnswer
from llem_pytorch.settings import apply_settings
from llem_pytorch.streamer import StepClock
from llem_pytorch.turn import Turn


class PyTorchEngine:
    """transformers' `generate`, behind llem's `Engine`."""

    def __init__(self) -> None:
        self._ranks: Ranks | None = None
        self._loaded: Loaded | None = None
        self._generator: Generator | None = None
        self._devices: list[torch.device] = []
        self._max_cache_len: int | None = None
        self._compiled_sizes: set[int] = set()
        self._turn = Turn()
        self._server: AnswerServer | None = None
        self._is_served = False
        # One thread: a tokenizer is not made for several, and the event loop shall not wait for it.
        self._encoder = ThreadPoolExecutor(1, thread_name_prefix="llem-pytorch-encoder")
        self._listener: Listener | None = None
        self._not_taken: list[str] = []

    def load(self, context: LoadContext) -> LoadReport:
        """See `Engine.load`."""
        config, options = context.config, context.config.options
        assert isinstance(options, PyTorchConfig)
        self._options: PyTorchConfig = options
        self._decoding: DecodingConfig = config.decoding
        self._listener = Listener()
        apply_settings(options)
        device = arguments.choose_device(options, cuda=torch.cuda.is_available(), mps=torch.backends.mps.is_available())
        with signs_of_life(context, f"loading {config.model.source}"):
            if options.tensor_parallel.size > 1:
                self._ranks = Ranks(options.tensor_parallel.size)
                self._ranks.start(context, device)
            self._loaded = load_model(config.model, options, context.base_dir, device)
            model = self._loaded.model
            vocab_size = int(model.config.get_text_config().vocab_size)
            self._tokenizer: Tokenizer = load_tokenizer(config.model, self._loaded, context.base_dir, vocab_size)
            assistant = _load_assistant(config.model, options, context.base_dir, device, vocab_size)
            self._generator = Generator(model, assistant)
            self._devices = devices_of(model)
            ids = [stable_id(d) for d in self._devices]
            if self._ranks is not None:
                ids = [one for group in self._ranks.gather(ids) for one in group]
            self._beyond = Beyond(_positions(model))
            report = load_report(self._loaded, self._tokenizer, config.model, options, list(dict.fromkeys(ids)))
            self._not_taken = not_taken(options, report.effective, report.dtype)
            self._is_served = is_served(config)
            if not self._is_served:
                return report
            self._server, serving, unused = start_server(
                model, options, self._decoding, self._pad_id, self._run_answers, can_stop=self._ranks is None
            )
            self._not_taken += unused
            return replace(report, effective={**report.effective, **serving})

    def batches(self, requests: Sequence[Request]) -> Sequence[Sequence[Request]]:
        """See `Engine.batches`. With a static cache it settles the cache's size, and with compile it compiles each new batch size."""
        options = self._options
        static = options.effective_cache in STATIC_CACHES
        if options.batching == "static" and not static:
            lengths = [Length(0, r.output_tokens) for r in requests]
        else:
            prompts = self._tokenizer.encode(requests)
            lengths = [Length(len(p), r.output_tokens) for p, r in zip(prompts, requests, strict=True)]
        grouped = make_batches(lengths, options)
        if static and grouped:
            needed = max(cache_tokens([lengths[i] for i in batch]) for batch in grouped)
            self._max_cache_len = max(needed, self._max_cache_len or 0)
        result = [[requests[i] for i in batch] for batch in grouped]
        if options.compile.enabled:
            self._compile({len(batch): batch for batch in result})
        return result

    def generate(self, batch: Sequence[Request]) -> Sequence[RequestRecord]:
        """See `Engine.generate`."""
        if isinstance(self._server, ContinuousServer):
            return asyncio.run(self._whole(batch))
        return self._answer(batch, StepClock())

    async def stream(self, request: Request) -> AsyncIterator[TokenEvent]:
        """See `Engine.stream`. Closing the iterator ends the request."""
        server, start_ns = self._serve(), time.monotonic_ns()
        prompt = await asyncio.get_running_loop().run_in_executor(self._encoder, self._prompt, request)
        assert self._loaded is not None
        answer = StreamedAnswer(request, prompt, self._loaded.end_ids, start_ns=start_ns, timed=self._has_times)
        server.submit(answer)
        try:
            async for event in answer.events():
                yield event
        finally:
            if not answer.has_ended:
                server.cancel(answer)

    def decode(self, token_ids: Sequence[int]) -> str | None:
        """See `Engine.decode`."""
        return self._tokenizer.decode(token_ids)

    def synchronize(self) -> None:
        """See `Engine.synchronize`."""
        if self._ranks is not None:
            with self._turn:
                self._ranks.order("synchronize")
                self._ranks.gather(None)
        synchronize(self._devices)

    def memory(self, *, reset_peak: bool = False) -> MemoryReading:
        """See `Engine.memory`."""
        own = read_memory(self._devices, reset_peak=reset_peak)
        if self._ranks is None:
            return own
        with self._turn:  # under load it waits for the batch that runs
            self._ranks.order("memory", reset_peak)
            readings: list[MemoryReading] = self._ranks.gather(own)
        allocated = [r.allocated_mb for r in readings if r.allocated_mb is not None]
        peaks = [r.peak_mb for r in readings if r.peak_mb is not None]
        return MemoryReading(sum(allocated) if allocated else None, sum(peaks) if peaks else None, own.source)

    def metrics(self, *, reset: bool = False) -> Mapping[str, float]:
        """See `ReportsMetrics.metrics`. Steps, batches and queue of a load that comes by itself; nothing elsewhere."""
        return self._server.metrics(reset=reset) if self._server is not None and self._is_served else {}

    def caveats(self) -> Sequence[Caveat]:
        """See `ReportsCaveats.caveats`."""
        assert self._listener is not None
        self._not_taken += [f"transformers says: {text}" for text in self._listener.drain()]
        settings, self._not_taken = self._not_taken, []
        return [*settings_caveat(settings), *self._beyond.drain(), *self._tokenizer.caveats()]

    def close(self) -> None:
        """See `Engine.close`."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self._encoder.shutdown(wait=True)
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self._generator = None
        self._loaded = None
        if self._ranks is not None:
            self._ranks.close()
            self._ranks = None
        gc.collect()
        gc.freeze()  # what is alive now is mostly modules: Python would go through them several times more as it ends
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            torch.cuda.empty_cache()

    def _serve(self) -> AnswerServer:
        """The server of streamed requests; where none was started, one request at a time."""
        if self._server is None:
            self._server = BatchServer(self._run_answers, 1, 0.0, can_stop=self._ranks is None)
        return self._server

    def _prompt(self, request: Request) -> list[int]:
        """The token ids of one request's prompt, if the model can hold it with its answer."""
        prompts = self._tokenizer.encode([request])
        self._check_context([request], prompts)
        return prompts[0]

    def _run_answers(self, answers: Sequence[StreamedAnswer], clock: StepClock) -> Sequence[Sequence[int]]:
        requests, prompts = [a.request for a in answers], [list(a.prompt) for a in answers]
        with self._turn:
            return self._run(self._batch(requests, prompts, self._max_cache_len), clock)

    async def _whole(self, requests: Sequence[Request]) -> list[RequestRecord]:
        async def one(request: Request) -> RequestRecord:
            *_, last = [event async for event in self.stream(request)]
            assert last.record is not None
            return last.record

        return await asyncio.gather(*map(one, requests))

    def _answer(self, requests: Sequence[Request], clock: StepClock) -> list[RequestRecord]:
        assert self._generator is not None
        assert self._loaded is not None
        with self._turn:
            start = time.monotonic_ns()
            batch = self._batch(requests, self._tokenizer.encode(requests), self._max_cache_len)
            rows = self._run(batch, clock)
            end = time.monotonic_ns()
        records = []
        for request, prompt, row in zip(requests, batch.prompts, rows, strict=True):
            ends = () if request.ignore_eos else self._loaded.end_ids
            tokens, stopped = answer(row, request.output_tokens, ends)
            records.append(
                RequestRecord(
                    id=request.id,
                    input_tokens=len(prompt),
                    output_tokens=len(tokens),
                    start_ns=start,
                    end_ns=end,
                    finish="stop" if stopped else "length",
                    token_ns=tuple(clock.times[: len(tokens)]) if self._has_times else None,
                    output_token_ids=tuple(tokens),
                )
            )
        return records

    @property
    def _has_times(self) -> bool:
        """On Apple GPUs `generate` hands over each token one step late: no honest time of it is known."""
        return self._devices[0].type != "mps" or isinstance(self._server, ContinuousServer)

    @property
    def _pad_id(self) -> int:
        assert self._loaded is not None
        pad = self._tokenizer.pad_id
        return pad if pad is not None else min(self._loaded.end_ids, default=0)

    def _run(self, batch: Batch, clock: StepClock) -> list[list[int]]:
        assert self._generator is not None
        if self._ranks is not None:
            self._ranks.order("run", batch)
        return self._generator.run(batch, clock)

    def _batch(self, requests: Sequence[Request], prompts: list[list[int]], max_cache_len: int | None) -> Batch:
        assert self._loaded is not None
        limits = [r.output_tokens for r in requests]
        self._check_context(requests, prompts)
        # Rows that decode through the end rule out looking for it; `answer` still cuts the others.
        end_ids = () if any(r.ignore_eos for r in requests) else self._loaded.end_ids
        return Batch(
            prompts=prompts,
            limits=limits,
            arguments=arguments.generation_arguments(
                self._options,
                self._decoding,
                max_new_tokens=max(limits),
                eos_token_ids=end_ids,
                pad_token_id=self._pad_id,
                max_cache_len=max_cache_len,
            ),
            seed=(self._decoding.seed + requests[0].id) % 2**63,
        )

    def _check_context(self, requests: Sequence[Request], prompts: Sequence[Sequence[int]]) -> None:
        """Refuse what learned positions cannot hold; rotary ones go on, and a caveat says so."""
        assert self._loaded is not None
        self._beyond.note(requests, prompts)
        context = _positions(self._loaded.model)
        tokens = max(len(p) + r.output_tokens for p, r in zip(prompts, requests, strict=True))
        rotary = getattr(self._loaded.model.config.get_text_config(), "rope_parameters", None) is not None
        if context is not None and tokens > context and not rotary:
            raise LlemError(
                f"a prompt with its answer has {tokens} tokens, the model has {context} positions.",
                remedy="Set dataset.input_tokens and dataset.output_tokens so that they fit.",
            )

    def _compile(self, samples: dict[int, Sequence[Request]]) -> None:
        """Compile each batch size before it is measured: a few tokens of a batch of that size."""
        for size, batch in samples.items():
            if size not in self._compiled_sizes:
                prompts = [prompt[:8] for prompt in self._tokenizer.encode(batch)]
                short = self._batch(batch, prompts, self._max_cache_len)
                few = {**short.arguments, "max_new_tokens": 5, "eos_token_id": None}
                self._run(Batch(short.prompts, [5] * size, few), StepClock())
                self._compiled_sizes.add(size)


def _positions(model: object) -> int | None:
    """Positions that the model was trained on."""
    found = getattr(model.config.get_text_config(), "max_position_embeddings", None)  # type: ignore[attr-defined]
    return found if isinstance(found, int) else None


def _load_assistant(
    config: ModelConfig, options: PyTorchConfig, base_dir: str, device: str, vocab_size: int
) -> object | None:
    """The draft model: same dtype, device and attention; never quantized or adapted itself."""
    chosen = arguments.assistant_model(options, config)
    if chosen is None:
        return None
    plain = PyTorchConfig(dtype=options.dtype, device=options.device, attn_implementation=options.attn_implementation)
    model = load_model(chosen, plain, base_dir, device).model
    own = int(model.config.get_text_config().vocab_size)
    if own != vocab_size:
        raise ModelError(
            f"its vocabulary has {own} tokens, that of the model which it assists {vocab_size}.",
            where=f"pytorch.assistant_model: {chosen.source}",
            remedy="Choose an assistant of the same family, with the same vocabulary.",
        )
    drafting = arguments.assistant_generation(options)
    model.generation_config = transformers.GenerationConfig(**drafting)  # type: ignore[no-untyped-call]
    return model  # type: ignore[no-any-return]
