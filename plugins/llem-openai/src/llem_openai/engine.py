"""The engine of the backend `openai`: a client of a server."""

from __future__ import annotations

import importlib.metadata
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

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
    TokenEvent,
)
from llem_openai.access import Access, access
from llem_openai.client import Client
from llem_openai.config import OpenaiConfig
from llem_openai.exchange import Exchange
from llem_openai.notes import Notes, unsent
from llem_openai.own_server import find_server
from llem_openai.place import place_of
from llem_openai.server import Server
from llem_openai.streamed_answer import StreamedAnswer

_PROBE = Request(id=0, output_tokens=4, prompt="One, two, three,", ignore_eos=False)


class OpenaiEngine:
    """A server behind llem's `Engine`. It observes what comes over the wire, and nothing else."""

    def __init__(self) -> None:
        self._client: Client | None = None
        self._metrics: dict[str, float] = {}
        self._notes = Notes()
        self._once: Sequence[Caveat] = ()
        self._server: Server | None = None

    def load(self, context: LoadContext) -> LoadReport:
        """See `Engine.load`. Finds the server, or starts it, and asks it something small; nothing is loaded here."""
        config, options = context.config, context.config.options
        assert isinstance(options, OpenaiConfig)
        fields = sampling_fields(config)
        found = find_server(options, config.model.source, context, self._keep)
        self._options = options = found.options
        way = access(options, context.base_dir)
        context.progress(f"asking {options.base_url}")
        name = served_name(way, config)
        entry = next((entry for entry in way.models() or () if entry["id"] == name), {"id": name})
        exchange = Exchange(way, name, {**options.extra, **fields})
        self._client = Client(exchange, self.check_server, self._take)
        heard = exchange.probe(_PROBE)
        # Asked once it has worked: what it works on is held by then.
        place = place_of(options, found.server.processes() if found.server is not None else ())
        each = heard.counted().token_ns is not None
        self._once = unsent(config, options)
        renamed = {"request_fields": dict(options.request_fields)} if options.request_fields else {}
        return LoadReport(
            vocab_size=options.vocab_size,
            devices=place.devices,
            elsewhere=place.elsewhere,
            processes=tuple(found.server.strangers) if found.server is not None else (),
            versions=_versions(way, entry),
            effective={
                "server": options.base_url,
                **({"serve": list(found.command)} if found.command else {}),
                "served_name": name,
                "server_runs_on": place.told,
                "token_times": "of each token" if each else "of pieces of text, whose tokens the server does not count",
                **renamed,
                **{key: entry[key] for key in ("max_model_len", "root") if key in entry},
            },
        )

    def batches(self, requests: Sequence[Request]) -> Sequence[Sequence[Request]]:
        """See `Engine.batches`. One group: the server schedules by itself, at most `concurrency` at once."""
        return [list(requests)] if requests else []

    def generate(self, batch: Sequence[Request]) -> Sequence[RequestRecord]:
        """See `Engine.generate`."""
        assert self._client is not None
        return self._client.answer([self._takes(request) for request in batch], self._options.concurrency)

    def stream(self, request: Request) -> AsyncIterator[TokenEvent]:
        """See `Engine.stream`, and `Client.stream`."""
        assert self._client is not None
        return self._client.stream(self._takes(request))

    def prepare_ahead(self) -> bool:
        """See `Client.prepare_ahead`."""
        assert self._client is not None
        return self._client.prepare_ahead()

    def stream_at(self, request: Request, due_ns: int, left: Callable[[int], None]) -> AsyncIterator[TokenEvent]:
        """See `Client.stream_at`."""
        assert self._client is not None
        return self._client.stream_at(self._takes(request), due_ns, left)

    def decode(self, token_ids: Sequence[int]) -> str | None:
        """See `Engine.decode`. The tokenizer is the server's."""
        return None

    def check_server(self) -> None:
        """Raise ModelError where a server of the experiment's own has ended (llem-serving's `ChecksServer`)."""
        if self._server is not None:
            self._server.check()

    def synchronize(self) -> None:
        """See `Engine.synchronize`. The server's devices are beyond reach; every answer was waited for."""

    def memory(self, *, reset_peak: bool = False) -> MemoryReading:
        """See `Engine.memory`. The server's allocator is beyond reach. Raises ModelError where a server of the experiment's own has
        ended: without it there is no figure of its work."""
        self.check_server()
        return MemoryReading(None, None, None)

    def metrics(self, *, reset: bool = False) -> Mapping[str, float]:
        """See `ReportsMetrics.metrics`. What the server says of its cache and of thinking; and pieces of text that were
        nothing but thinking, or read late, beside all of them, where there were any."""
        found = dict(self._metrics)
        if not found.get("pieces_read_late"):
            found.pop("pieces_read_late", None)
        if not found.get("thinking_pieces"):
            found.pop("thinking_pieces", None)
            if "pieces_read_late" not in found:
                found.pop("pieces", None)
        if reset:
            self._metrics.clear()
        return found

    def caveats(self) -> Sequence[Caveat]:
        """See `ReportsCaveats.caveats`."""
        once, self._once = self._once, ()
        sent = self._client.caveats() if self._client is not None else ()
        return [*once, *sent, *self._notes.tell()]

    def close(self) -> None:
        """See `Engine.close`. A server that was started for the experiment ends; another one goes on."""
        client, self._client = self._client, None
        server, self._server = self._server, None
        try:
            if client is not None:
                client.close()
        finally:
            if server is not None:
                server.close()

    def _keep(self, server: Server) -> None:
        self._server = server

    def _take(self, heard: StreamedAnswer, record: RequestRecord) -> None:
        assert heard.found is not None
        self._notes.take(heard, heard.found, record)
        told = {
            "cached_input_tokens": heard.highest("cached_tokens"),
            "thinking_tokens": heard.highest("thinking_tokens"),
            "thinking_pieces": sum(chunk.thinking for chunk in heard.chunks),
            "pieces": heard.pieces,
            "pieces_read_late": heard.late,
        }
        for name, value in told.items():
            if value is not None:
                self._metrics[name] = self._metrics.get(name, 0.0) + value

    @staticmethod
    def _takes(request: Request) -> Request:
        """The request, if it can be put to a server."""
        ids, limit = request.prompt_token_ids, request.max_input_tokens
        if limit is None or request.messages is not None:
            return request
        if ids is None:
            raise LlemError(
                "a text cannot be cut to a number of tokens here, since the tokenizer is the server's.",
                where="dataset.input_tokens",
                remedy="Leave it out, or use the dataset synthetic with openai.vocab_size.",
            )
        return Request(request.id, request.output_tokens, None, list(ids)[:limit], request.ignore_eos)


def served_name(way: Access, config: ExperimentConfig) -> str:
    """The model's name on the server. Raises ModelError where it is not served, with what is."""
    options = way.options
    name = options.served_name or config.model.source
    served = way.models()
    if served is None:
        if options.served_name:
            return name  # the first request tells whether it is served
        raise ModelError(
            "the server has no page /models that says what it serves.",
            where=options.base_url,
            remedy="Correct openai.base_url (it usually ends with /v1), or name the model by openai.served_name.",
        )
    names = [entry["id"] for entry in served]
    if name not in names:
        key = "openai.served_name" if options.served_name else "model"
        raise ModelError(
            f"the server does not serve `{name}`; it serves {', '.join(names) or 'nothing'}.",
            where=options.base_url,
            remedy=f"Correct {key}"
            + (f", or set openai.served_name: {names[0]}." if names and not options.served_name else "."),
        )
    return name


def sampling_fields(config: ExperimentConfig) -> dict[str, Any]:
    """The decoding section in the API's words. Raises ModelError for what the API has no word for."""
    decoding, model = config.decoding, config.model
    unknown = [key for key in ("top_k", "min_p", "repetition_penalty") if getattr(decoding, key) is not None]
    if unknown:
        raise ModelError(
            f"the OpenAI API has no {' and no '.join(unknown)}, and a server may pass over it in silence.",
            where=f"decoding.{unknown[0]}",
            remedy="Put it into openai.extra under the name that your server has for it.",
        )
    loaded = [key for key in ("revision", "tokenizer") if getattr(model, key) is not None]
    loaded += ["trust_remote_code"] if model.trust_remote_code else []
    if loaded:
        raise ModelError(
            "the server has loaded its model already, so that this has no effect.",
            where=f"model.{loaded[0]}",
            remedy="Leave it out, and start the server with it.",
        )
    fields: dict[str, Any] = {"temperature": decoding.temperature or 0.0, "seed": decoding.seed}
    if decoding.top_p is not None:
        fields["top_p"] = decoding.top_p
    return fields


def _versions(way: Access, entry: Mapping[str, Any]) -> dict[str, str]:
    versions = {"llem-openai": importlib.metadata.version("llem-openai")}
    owner, version = entry.get("owned_by"), way.version()
    if isinstance(owner, str) and owner:
        versions["server"] = f"{owner} {version}" if version else owner
    elif version:
        versions["server"] = version
    return versions
