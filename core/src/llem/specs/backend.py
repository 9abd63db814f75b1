"""A backend: the software that runs the model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from llem.config.experiment import ExperimentConfig
from llem.config.section import Section
from llem.specs.caveat import Caveat
from llem.specs.dataset import Message

Capability = Literal["cpu", "gpu", "streaming", "batching", "online", "multi_gpu", "chat", "concurrent"]


@dataclass(frozen=True, kw_only=True)
class BackendSpec:
    """Registration of a backend, by `llem_backends`.

    Attributes:
        name: the word in `backend:`, and the key of its section.
        api_version: the `API_VERSION` that it was written for.
        summary: one line for `llem plugins`.
        config: the model of its section. Every field has a default and a description.
        capabilities: what the engine can do. `concurrent`: it streams several requests at once, from one event loop, and may
            meanwhile be asked for memory and metrics from another thread. `chat`: it answers requests with `messages`; others never get one.
        engine: `package.module:Class` of the `Engine`, imported in the worker only.
        requires: import names that must be present where it runs, such as `("torch",)`; looked up, never imported.
        install: the command that brings them, for messages.
        cpu_install: the one for a machine without a GPU, or None where `install` serves there too.
        image: name of its container image, or None. Whatever builds, lists, pulls or runs it goes by this name; the folder
            `image/` of the engine's package holds its Dockerfile.
        cpu_image: the one for a machine without an NVIDIA GPU, or None where `image` serves there too.
        conflicts: backends that cannot be installed in one environment with it.
        resolve: maps its section to the canonical one of the same effect (fields without effect at their default),
            without importing the engine. Sections that resolve to one are one experiment.
        fit: maps a resolved section to the canonical one of the same effect on so many requests at once (the dataset's n, or the
            most that the scenario has under way): a batch size beyond them goes to the largest that can be reached. Only
            what changes nothing else may be changed: neither memory nor what is compiled.
        batch_size: how many requests run at once at the most, from a section; None where it says nothing of it.
        gpus: how many GPUs of one machine an experiment takes, from its section: 0 where it runs on the CPU, None where it
            takes all that it may see. Without it, an experiment of a backend that can use GPUs takes all.
        warm_start: whether a worker may be forked from a process that has imported the engine's module. False forbids it,
            for an engine whose processes must not be forked.
        preload: modules that the engine imports while it loads a model; that process imports them too. None of them may
            start threads that stay, or touch a device, with its import: then no worker is forked at all.
        worth_varying: keys of its section to values that a first study may compare, the most telling key first; `llem init`
            offers them. Each value is taken without any other key. Without it, what the model shows is offered.
    """

    name: str
    api_version: int
    summary: str
    config: type[Section]
    engine: str
    capabilities: frozenset[Capability] = frozenset()
    requires: tuple[str, ...] = ()
    install: str | None = None
    cpu_install: str | None = None
    image: str | None = None
    cpu_image: str | None = None
    conflicts: frozenset[str] = frozenset()
    resolve: Callable[[Section], Section] | None = None
    fit: Callable[[Section, int], Section] | None = None
    batch_size: Callable[[Section], int | None] | None = None
    gpus: Callable[[Section], int | None] | None = None
    warm_start: bool = True
    preload: tuple[str, ...] = ()
    worth_varying: Mapping[str, Sequence[Any]] = field(default_factory=dict, hash=False)

    def gpus_of(self, section: Section) -> int | None:
        """Number of GPUs that an experiment takes: 0 for none, None for all that it may see."""
        if "gpu" not in self.capabilities:
            return 0
        return self.gpus(section) if self.gpus is not None else None


@dataclass(frozen=True, slots=True)
class Request:
    """One prompt on its way to the engine. Exactly one of `prompt`, `prompt_token_ids` and `messages` is given.

    Attributes:
        id: index of the prompt in the dataset; unique within one pass over it.
        prompt: text, tokenized by the engine.
        prompt_token_ids: token ids, taken as they are.
        output_tokens: exactly so many where `ignore_eos`, else at most so many.
        ignore_eos: decode through the end-of-sequence token (`decoding.length: fixed`).
        max_input_tokens: the prompt is cut to its first so many tokens.
        chat_template: wrap `prompt` as one user message in the model's chat template.
        messages: a whole chat, in the model's chat template whatever `chat_template` says, and never cut; only asked of a
            backend with the capability `chat`.
        session: number of the conversation that it is a turn of; None where it stands alone. Of no concern to an engine.
    """

    id: int
    output_tokens: int
    prompt: str | None = None
    prompt_token_ids: Sequence[int] | None = None
    ignore_eos: bool = True
    max_input_tokens: int | None = None
    chat_template: bool = False
    messages: Sequence[Message] | None = None
    session: int | None = None


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """The course of one request. What the engine cannot observe is None. It holds no metric.

    Attributes:
        id: the request's id.
        input_tokens: prompt tokens without padding.
        output_tokens: generated tokens up to and including the stop token, without padding.
        start_ns: when the engine took it, `time.monotonic_ns()`.
        end_ns: when the engine was done with it.
        token_ns: one time for each output token, in order; None where the engine does not stream.
        output_token_ids: the tokens; None where the engine only counts.
        finish: `length` or `stop`.
        piece_ns: in place of `token_ns`, where the answer came in pieces whose tokens the engine cannot count, as from a
            server that sends text: one time for each piece, in order. The first piece has the first token, the last the last.
        text: the answer, where it comes as text; None where `Engine.decode` tells it.
        cached_tokens: prompt tokens that the engine took from a cache instead of computing them.
    """

    id: int
    input_tokens: int
    output_tokens: int
    start_ns: int
    end_ns: int
    finish: Literal["length", "stop"]
    token_ns: Sequence[int] | None = None
    output_token_ids: Sequence[int] | None = None
    piece_ns: Sequence[int] | None = None
    text: str | None = None
    cached_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class TokenEvent:
    """One token of a streamed request, as the engine gave it out, or one piece where the record has `piece_ns`; the last
    carries the record."""

    token_id: int | None
    t_ns: int
    record: RequestRecord | None = None


@dataclass(frozen=True, slots=True)
class MemoryReading:
    """Device memory that this process's engine holds, summed over its devices (MiB).

    Attributes:
        allocated_mb: allocated now, by the engine's own allocator; None where it cannot tell.
        peak_mb: the most since the last reset; None likewise.
        source: `allocator` where the engine's allocator tells, else None.
    """

    allocated_mb: float | None
    peak_mb: float | None
    source: Literal["allocator"] | None


@dataclass(frozen=True, kw_only=True)
class LoadContext:
    """An engine's context: the configuration, and what it needs to know beyond it.

    Attributes:
        config: the experiment.
        base_dir: the folder that relative paths in the configuration start from.
        progress: tells the user (and the silence timeout) that loading goes on; takes one short line.
        job_dir: the experiment's folder, for logs (`*.log`) of what the engine starts; None outside of an experiment.
    """

    config: ExperimentConfig
    base_dir: str
    progress: Callable[[str], None]
    job_dir: str | None = None


@dataclass(frozen=True, kw_only=True)
class LoadReport:
    """An engine's facts once the model is loaded.

    Attributes:
        vocab_size: ids that a synthetic prompt draws from are below it; None where the engine cannot tell, and then it
            takes datasets of text only.
        special_token_ids: ids that a synthetic prompt avoids.
        devices: stable ids of the devices in use: `GPU-…` UUIDs, or `cpu`; empty where the work is done elsewhere.
        elsewhere: the machine that does the work where it is not this one. The meters of this machine tell nothing about
            it, so that the result has no energy of the work, and says so.
        processes: pids of this machine that do the work and were not started by the engine; they and all below them count as
            the experiment's own. What the engine starts is its own anyway.
        dtype: the dtype of the weights as they were loaded.
        parameters: number of parameters; active_parameters: of those used for a token (mixture of experts).
        architecture: what FLOPs are computed from (see `llem.models.flops`), or None where it is unknown.
        revision: the commit or hash of what was loaded.
        versions: of the packages that made the figures: torch, transformers, …
        effective: settings as the engine took them, where it decided itself (attention implementation, threads …).
    """

    vocab_size: int | None
    special_token_ids: frozenset[int] = frozenset()
    devices: Sequence[str]
    elsewhere: str | None = None
    processes: Sequence[int] = ()
    dtype: str | None = None
    parameters: int | None = None
    active_parameters: int | None = None
    architecture: Mapping[str, Any] | None = None
    revision: str | None = None
    tokenizer: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    effective: Mapping[str, Any] = field(default_factory=dict)


class Engine(Protocol):
    """A loaded model that answers requests. Made without arguments, used by one thread, closed once."""

    def load(self, context: LoadContext) -> LoadReport:
        """Load the model and whatever answers need. Raises `llem.errors.ModelError` where the model is at fault."""

    def batches(self, requests: Sequence[Request]) -> Sequence[Sequence[Request]]:
        """Group requests as the engine will run them: each request once. An engine that schedules itself returns one group."""

    def generate(self, batch: Sequence[Request]) -> Sequence[RequestRecord]:
        """Answer one group of `batches` and return a record for each request, in any order."""

    def stream(self, request: Request) -> AsyncIterator[TokenEvent]:
        """Answer one request, token by token. Only asked of a backend with the capability `streaming`.

        What came before it fails or is cancelled was given out too: an engine that holds events back gives them before it raises.
        """

    def decode(self, token_ids: Sequence[int]) -> str | None:
        """The text of these tokens, special ones left out; None from an engine without a tokenizer. Asked in the window only where a conversation
        goes on with the model's own answers."""

    def synchronize(self) -> None:
        """Return when the devices have finished all work given so far."""

    def memory(self, *, reset_peak: bool = False) -> MemoryReading:
        """Read the allocator; with `reset_peak` the peak counts afresh from here."""

    def close(self) -> None:
        """Release devices and end every process that the engine started. Called also after a failed load."""


@runtime_checkable
class ReportsMetrics(Protocol):
    """Interface that an engine has besides `Engine` where it counts on its own account: preemptions, use of its cache, queueing."""

    def metrics(self, *, reset: bool = False) -> Mapping[str, float]:
        """The engine's counts since the last `reset`, by name with the unit in it; with `reset` it counts afresh.

        What it could not observe is left out. Called when the measured window opens and right after it closed.
        """


@runtime_checkable
class ReportsCaveats(Protocol):
    """Interface that an engine has besides `Engine` where something can happen in it that qualifies figures or changes the work: a
    kernel that it fell back to, a cache that it could not empty, a setting that the model ignores."""

    def caveats(self) -> Sequence[Caveat]:
        """Caveats since the last call, each code once; then it counts as told.

        Called after load, after warm-up and after the window. Of two that have one code, the later one stands.
        """
