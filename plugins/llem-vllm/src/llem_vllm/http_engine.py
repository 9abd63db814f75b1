"""vLLM's HTTP server, started for the experiment and asked over loopback: the engine of `vllm.frontend: http`."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from llem.plugin_api import (
    Caveat,
    ExperimentConfig,
    LlemError,
    LoadContext,
    LoadReport,
    MemoryReading,
    ModelError,
    Request,
    RequestRecord,
    Section,
    TokenEvent,
)
from llem_engines.caveats import Untold
from llem_engines.facts import Facts
from llem_engines.loading import Prepared
from llem_engines.passes import Passes, has_passes
from llem_engines.report import load_report
from llem_engines.section import given
from llem_hub.tokens import Tokenizer
from llem_openai.access import Access
from llem_openai.client import Client
from llem_openai.config import OpenaiConfig
from llem_openai.exchange import Exchange
from llem_openai.listening import free_port
from llem_openai.started_server import LOG, AskedBy, StartedServer, answers_by
from llem_openai.streamed_answer import StreamedAnswer
from llem_vllm.arguments import (
    check_lengths,
    completed,
    engine_arguments,
    environment_variables,
    sampling_arguments,
)
from llem_vllm.caveats import CAVEATS, replica_caveats
from llem_vllm.facts import replicas_of
from llem_vllm.flags import request_fields, serve_flags
from llem_vllm.guard import KEY
from llem_vllm.loading import adapter_of, prepare
from llem_vllm.replicas import Workers
from llem_vllm.scraped import ServerCounter

SERVED = "model"
"""Name of the model on the server."""

_ADAPTER = "adapter"
_PROBE = Request(id=0, output_tokens=2, prompt_token_ids=(5, 6, 7), ignore_eos=True)
_ANSWERS_S = 60.0
"""As long may a page take: the server may be busy with what it was given before."""

_WAITS_S = 86_400.0
"""As long may a request be silent: half of them wait in vLLM, and a server that has ended closes their connections."""

_BY = AskedBy(
    "vllm.frontend: http",
    f"See how far it came in {LOG} in the experiment's folder, or raise vllm.serve_timeout_s.",
    "Run it again: another program took the port meanwhile.",
)


class HttpEngine:
    """`vllm serve` behind llem's `Engine`: a process of its own, and a client of it here."""

    def __init__(self) -> None:
        self._prepared: Prepared | None = None
        self._server: StartedServer | None = None
        self._client: Client | None = None
        self._tokenizer: Tokenizer | None = None
        self._untold = Untold(CAVEATS)

    def load(self, context: LoadContext) -> LoadReport:
        """See `Engine.load`."""
        config, options = context.config, context.config.options
        check_lengths(config)
        self._prepared = prepare(config.model, context.base_dir)
        self._passes = Passes(has_passes(config), self._forget)
        command = self._start(config, context)
        facts = self._facts(options)
        self._at_once = 2 * int(facts["effective"].get("max_num_seqs", 128)) * replicas_of(facts)
        self._workers = Workers(self._ask, replicas_of(facts))
        # For what the server cannot be asked for: prompts that are cut, and the text of tokens.
        self._tokenizer = self._prepared.load_tokenizer(facts["vocab_size"])
        name = SERVED if getattr(options, "lora_adapter", None) is None else _ADAPTER
        exchange = Exchange(self._access, name, request_fields(sampling_arguments(options, config.decoding)))
        self._client = Client(exchange, self.check_server, _took)
        with _in_words_of_vllm():
            exchange.probe(_PROBE)
        self._counter = ServerCounter(lambda: self._page("/metrics"))
        report = load_report(facts, self._prepared, self._tokenizer, config.model, self._devices())
        self._untold.at_start(CAVEATS.settings(options, report.effective, report.dtype))
        self._untold.at_start(replica_caveats(self._workers.unheard))
        return replace(report, effective={**report.effective, "frontend": "http", "serve": command})

    def batches(self, requests: Sequence[Request]) -> Sequence[Sequence[Request]]:
        """See `Engine.batches`. One group: vLLM schedules by itself."""
        return [list(requests)] if requests else []

    def generate(self, batch: Sequence[Request]) -> Sequence[RequestRecord]:
        """See `Engine.generate`. Twice as many requests are under way as vLLM runs together: it always finds one that waits."""
        assert self._client is not None
        self._passes.before(batch)
        with _in_words_of_vllm():
            return self._client.answer([self._sent(request) for request in batch], self._at_once)

    async def stream(self, request: Request) -> AsyncIterator[TokenEvent]:
        """See `Engine.stream`, and llem-openai's `Client.stream`."""
        assert self._client is not None
        if self._passes.are_emptied:
            self._passes.before([request])
        with _in_words_of_vllm():
            async for event in self._client.stream(self._sent(request)):
                yield event

    def prepare_ahead(self) -> bool:
        """Begin what `stream_at` takes."""
        assert self._client is not None
        return self._client.prepare_ahead()

    async def stream_at(self, request: Request, due_ns: int, left: Callable[[int], None]) -> AsyncIterator[TokenEvent]:
        """As `stream`, but asked ahead: the request leaves at an instant (monotonic ns), and `left` is told when it did."""
        assert self._client is not None
        with _in_words_of_vllm():
            async for event in self._client.stream_at(self._sent(request), due_ns, left):
                yield event

    def decode(self, token_ids: Sequence[int]) -> str | None:
        """See `Engine.decode`."""
        assert self._tokenizer is not None
        return self._tokenizer.decode(token_ids)

    def check_server(self) -> None:
        """Raise ModelError where the server has ended (llem-serving's `ChecksServer`)."""
        if self._server is not None:
            self._server.check()

    def synchronize(self) -> None:
        """See `Engine.synchronize`. Asks every worker, since the devices are theirs."""
        self._ask("llem_synchronize")

    def memory(self, *, reset_peak: bool = False) -> MemoryReading:
        """See `Engine.memory`. Raises ModelError where the server has ended: without it there is no figure of its work."""
        self.check_server()
        found = [one for one in self._workers.ask("llem_memory", reset_peak) if one is not None]
        if not found or self._workers.unheard:
            return MemoryReading(None, None, None)
        return MemoryReading(sum(now for now, _ in found), sum(peak for _, peak in found), "allocator")

    def metrics(self, *, reset: bool = False) -> Mapping[str, float]:
        """See `ReportsMetrics.metrics`."""
        if reset:
            self._untold.window_begins()
        return self._counter.figures(reset=reset)

    def caveats(self) -> Sequence[Caveat]:
        """See `ReportsCaveats.caveats`. What vLLM counts is told of a window, which begins where its counts are reset."""
        assert self._tokenizer is not None
        sent = self._client.caveats() if self._client is not None else ()
        found = self._untold.tell(self._passes.kept(), self._counter.figures, *sent)
        return [*found, *self._tokenizer.caveats()]

    def close(self) -> None:
        """See `Engine.close`. The server ends, with all below it."""
        client, self._client = self._client, None
        server, self._server = self._server, None
        prepared, self._prepared = self._prepared, None
        with ExitStack() as after:
            if prepared is not None:
                after.callback(prepared.remove)
            if server is not None:
                after.callback(server.close)
            if client is not None:
                client.close()

    def _start(self, config: ExperimentConfig, context: LoadContext) -> list[str]:
        """Start the server and wait until it answers; returns the words of its command."""
        assert self._prepared is not None
        options, port, key = config.options, free_port(), secrets.token_hex(16)
        arguments = completed(
            {**engine_arguments(options, config.decoding), **self._prepared.arguments}, options, context.base_dir
        )
        words = [*serve_flags(arguments), "--served-model-name", SERVED, "--host=127.0.0.1", f"--port={port}"]
        words += [
            "--middleware=llem_vllm.guard.Guard",
            "--enable-prompt-tokens-details",
            "--disable-uvicorn-access-log",
        ]
        if (adapter := adapter_of(options, context.base_dir)) is not None:
            words += ["--lora-modules", f"{_ADAPTER}={adapter}"]
        # A key of the user's own would shut the server against llem; the pages that only its developers' mode has empty the
        # prefix cache and ask the workers.
        environment = {name: value for name, value in os.environ.items() if name != "VLLM_API_KEY"}
        environment |= {**environment_variables(options), "VLLM_SERVER_DEV_MODE": "1", KEY: key}
        address = OpenaiConfig(base_url=f"http://127.0.0.1:{port}/v1", connect_timeout_s=_ANSWERS_S, timeout_s=_WAITS_S)
        self._access = Access(address, {"Authorization": f"Bearer {key}"})
        context.progress(f"starting vllm serve with {config.model.source} on port {port}")
        job_dir = Path(context.job_dir) if context.job_dir is not None else None
        # Without -P a folder `vllm` beside the study would be imported in place of vLLM.
        command = [sys.executable, "-P", "-m", "llem_vllm.serve", *words]
        self._server = StartedServer(command, port, Path(context.base_dir), job_dir, _BY, environment)
        limit = float(getattr(options, "serve_timeout_s"))  # noqa: B009 - the section's model is built from a schema
        self._server.await_ready(answers_by(self._access.get), limit, context.progress)
        return ["vllm", "serve", *words]

    def _sent(self, request: Request) -> Request:
        """The request as the server gets it: text and chats as they are, for its own tokenizer, unless a prompt is to be cut or
        the model has none."""
        assert self._tokenizer is not None
        assert self._prepared is not None
        is_cut = request.max_input_tokens is not None and request.messages is None
        if self._prepared.tokenizer is not None and not is_cut:
            return request
        (ids,) = self._tokenizer.encode([request])
        return Request(request.id, request.output_tokens, None, ids, request.ignore_eos)

    def _facts(self, options: Section) -> Facts:
        facts = cast(Facts, self._ask("llem_facts")[0])
        # A replica of a dense model knows of no other one.
        if (replicas := given(options).get("data_parallel_size")) is not None:
            facts["effective"]["data_parallel_size"] = replicas
        # Where vLLM fits the context to the memory, the server is told after the workers.
        for entry in self._access.models() or ():
            if isinstance(limit := entry.get("max_model_len"), int):
                facts["effective"]["max_model_len"] = limit
        return facts

    def _devices(self) -> list[str]:
        return list(dict.fromkeys(self._workers.ask("llem_device")))

    def _forget(self) -> bool:
        return bool(json.loads(self._page("/reset_prefix_cache", {})).get("success"))

    def _ask(self, method: str, *arguments: Any) -> list[Any]:
        """Call a method of every worker; the answers are those of the first replica's."""
        found: list[Any] = json.loads(self._page("/collective_rpc", {"method": method, "args": arguments}))["results"]
        return found

    def _page(self, page: str, document: Mapping[str, Any] | None = None) -> str:
        """Text of one of the server's pages, asked with a document or without."""
        try:
            status, text = self._access.get(page) if document is None else self._access.post(page, document)
        except ModelError as error:
            self.check_server()
            raise ModelError(f"vLLM's server: {error.what}", where=_BY.key, remedy=_REMEDY) from error
        if status != 200:
            raise ModelError(
                f"vLLM's server answers {status} at {page}: {self._access.said(text)}", where=_BY.key, remedy=_REMEDY
            )
        return text


_REMEDY = f"{LOG} in the experiment's folder has all that vLLM said."


@contextmanager
def _in_words_of_vllm() -> Iterator[None]:
    """Errors of llem-openai, whose remedies name the section `openai` that such a study does not have."""
    try:
        yield
    except LlemError as error:
        if "openai." not in (error.remedy or ""):
            raise
        again = ModelError if isinstance(error, ModelError) else LlemError
        raise again(error.what, where=_BY.key, remedy=_REMEDY) from error


def _took(heard: StreamedAnswer, record: RequestRecord) -> None:
    """Raise LlemError for an answer that the server cut for its context, which it does without a word."""
    if record.finish == "length" and record.output_tokens < heard.request.output_tokens:
        raise LlemError(
            f"a prompt of {record.input_tokens:,} tokens and an answer of up to {heard.request.output_tokens:,} do not fit into vLLM's context.",
            where=f"prompt {record.id}",
            remedy="Set dataset.input_tokens and dataset.output_tokens so that they fit, or raise vllm.max_model_len.",
        )
