"""A backend for tests that answers several requests at once by a clock, as a server with continuous batching would, and its meter.

Each iteration gives one token to every running request and takes `base_s + request_s × running`. The meter knows the power of
each iteration, so that the energy between any two instants is known in closed form.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import struct
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path

from pydantic import Field

from llem.config.section import Section
from llem.hookspecs import API_VERSION, hookimpl
from llem.plugin_api import (
    BackendSpec,
    Device,
    LoadContext,
    LoadReport,
    MemoryReading,
    Reading,
    Request,
    RequestRecord,
    SamplerSpec,
    TokenEvent,
)

_LAYOUT = struct.Struct("<qqdd")
_DEVICE = Device(
    id="package:0",
    name="a package with a known power",
    scope="cpu",
    methods=frozenset({"counter", "power"}),
    max_power_w=700,
)


class LoadbedConfig(Section):
    """Options of the backend `loadbed`."""

    base_s: float = Field(0.004, ge=0, description="seconds of an iteration")
    request_s: float = Field(0.001, ge=0, description="more of them for each running request")
    max_batch: int = Field(8, ge=1, description="requests that run at once")
    idle_w: float = Field(100.0, description="power at rest")
    request_w: float = Field(10.0, description="more of it for each running request")
    rise_w_per_s: float = Field(
        0.0, description="power rises by so much, whatever runs, as that of leakage in a card that heats up"
    )
    fail_every: int | None = Field(None, ge=1, description="each so many-th request fails")
    stall_at: int | None = Field(None, ge=1, description="after so many iterations nothing happens for stall_s")
    stall_s: float = Field(0.0, ge=0, description="how long")
    pieces: bool = Field(False, description="answers come in pieces whose tokens nobody counts")
    cache: bool | None = Field(
        None, description="true: prefixes are kept for ever; false: never; null: it does not tell"
    )
    text: bool = Field(True, description="answers come with their text")
    deaf_every: int | None = Field(None, ge=1, description="each so many-th request goes on for ever, cancelled or not")


class LoadbedEngine:
    """Iterations by a clock: each begins where the one before ended, however late the loop was."""

    _server: asyncio.Task[None] | None = None

    def load(self, context: LoadContext) -> LoadReport:
        options = context.config.options
        assert isinstance(options, LoadbedConfig)
        self.options = options
        if context.job_dir is not None:
            Path(context.job_dir, "loadbed.log").write_text("as a server of the engine would\n")
        self._waiting: list[tuple[Request, asyncio.Queue[int | None], int]] = []
        self._running: list[list[object]] = []
        self._asked = 0
        self._iterations = 0
        self._loaded_ns = time.monotonic_ns()
        self._kept: set[int] = set()
        self._journal = Journal()
        self._power = Power.write(options.idle_w, self._journal)
        return LoadReport(vocab_size=1000, devices=["cpu"], versions={"loadbed": "1.0"})

    def batches(self, requests: Sequence[Request]) -> Sequence[Sequence[Request]]:
        return [requests]

    def generate(self, batch: Sequence[Request]) -> Sequence[RequestRecord]:
        raise NotImplementedError

    async def stream(self, request: Request) -> AsyncIterator[TokenEvent]:
        self._asked += 1
        number = self._asked
        if self.options.fail_every is not None and self._asked % self.options.fail_every == 0:
            raise RuntimeError("the loadbed was told to fail")
        while self.options.deaf_every is not None and number % self.options.deaf_every == 0:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(1)
        if self._server is None or self._server.done():
            self._server = asyncio.get_running_loop().create_task(self._serve())
        tokens: asyncio.Queue[int | None] = asyncio.Queue()
        start = time.monotonic_ns()
        self._waiting.append((request, tokens, start))
        times: list[int] = []
        while len(times) < request.output_tokens:
            times.append(await tokens.get() or 0)
            if len(times) < request.output_tokens:
                yield TokenEvent(len(times) - 1, times[-1])
        self._journal.write("answered", request.id, start, times)
        end = max(time.monotonic_ns(), times[-1])
        prompt = prompt_of(request)
        said = [f"said{place}" for place in range(len(times))]
        links = list(accumulate((*prompt, *said), lambda link, token: hash((link, token)), initial=0))
        cached = sum(link in self._kept for link in links[1 : len(prompt)])
        if self.options.cache:
            self._kept.update(links)
        record = RequestRecord(
            id=request.id,
            input_tokens=len(prompt),
            output_tokens=len(times),
            start_ns=start,
            end_ns=end,
            finish="length",
            token_ns=None if self.options.pieces else tuple(times),
            piece_ns=tuple(times) if self.options.pieces else None,
            text=" ".join(said) if self.options.text else None,
            cached_tokens=None if self.options.cache is None else cached,
        )
        yield TokenEvent(len(times) - 1, times[-1], record)

    async def _serve(self) -> None:
        options = self.options
        due_ns = self._waiting[0][2]
        running: list[tuple[asyncio.Queue[int | None], list[int]]] = []
        while self._waiting or running:
            if not running:
                due_ns = max(due_ns, self._waiting[0][2])
            # However late the loop is, nobody joins an iteration that began before they came.
            while self._waiting and len(running) < options.max_batch and self._waiting[0][2] <= due_ns:
                request, tokens, _ = self._waiting.pop(0)
                running.append((tokens, [request.output_tokens]))
            risen_w = options.rise_w_per_s * (due_ns - self._loaded_ns) / 1e9
            self._power.set(due_ns, options.idle_w + options.request_w * len(running) + risen_w)
            self._iterations += 1
            took_s = options.base_s + options.request_s * len(running)
            if options.stall_at == self._iterations:
                took_s += options.stall_s
                self._journal.write("stalled", due_ns)
            due_ns += round(took_s * 1e9)
            while (left_s := (due_ns - time.monotonic_ns()) / 1e9) > 0:
                await asyncio.sleep(left_s)
            for tokens, left in running:
                tokens.put_nowait(due_ns)
                left[0] -= 1
            running = [one for one in running if one[1][0]]
            if not running and not self._waiting:
                await asyncio.sleep(0)  # those that were answered may ask again at once
        self._power.set(due_ns, options.idle_w)

    def decode(self, token_ids: Sequence[int]) -> str | None:
        return None

    def synchronize(self) -> None: ...

    def memory(self, *, reset_peak: bool = False) -> MemoryReading:
        return MemoryReading(None, None, None)

    def close(self) -> None:
        self._server = None


def prompt_of(request: Request) -> tuple[object, ...]:
    """The tokens of a prompt: ids, or words, with a word before each answer of a chat."""
    if request.messages is not None:
        words = [("answer:" if one.role == "assistant" else "", *one.content.split()) for one in request.messages]
        return (*(word for one in words for word in one if word), "answer:")
    given = request.prompt_token_ids if request.prompt is None else request.prompt.split()
    return tuple(given or ())[: request.max_input_tokens]


class Journal:
    """Everything that an engine did, a JSON list in each line of a file of its own, in the folder LOADBED_JOURNAL; none without it.

    `power` with an instant and the watts from there on; `answered` with a request's id, when it came, and the times of its
    tokens; `stalled` with when that began. Instants are monotonic ns.
    """

    def __init__(self) -> None:
        folder = os.environ.get("LOADBED_JOURNAL")
        path = Path(folder, f"{time.monotonic_ns()}.jsonl") if folder else None
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND) if path is not None else None

    def write(self, *entry: object) -> None:
        if self._file is not None:
            os.write(self._file, json.dumps(entry).encode() + b"\n")


def power_file() -> Path:
    """The file between engine and meter: LOADBED_POWER, or one in the worker's own temporary folder, on whatever machine that is."""
    return Path(os.environ.get("LOADBED_POWER") or Path(tempfile.gettempdir(), "loadbed-power"))


class Power:
    """Joules up to an instant and watts from there on, in a file that the meter reads."""

    def __init__(self, path: Path, watts: float, journal: Journal) -> None:
        self._path, self._joules, self._watts, self._since_ns = path, 0.0, watts, time.monotonic_ns()
        self._number, self._journal = 0, journal
        self._file = path.open("w+b", buffering=0)
        self._put()

    @classmethod
    def write(cls, watts: float, journal: Journal) -> Power:
        return cls(power_file(), watts, journal)

    def set(self, t_ns: int, watts: float) -> None:
        self._joules += self._watts * (t_ns - self._since_ns) / 1e9
        self._since_ns, self._watts = t_ns, watts
        self._put()

    def _put(self) -> None:
        self._number += 1
        self._journal.write("power", self._since_ns, self._watts)
        os.pwrite(self._file.fileno(), _LAYOUT.pack(self._number, self._since_ns, self._joules, self._watts), 0)


class LoadbedMeter:
    """Reads what the engine wrote; before there is an engine the package is at rest."""

    def open(self, settings: Mapping[str, object]) -> Sequence[Device]:
        self._path = power_file()
        self._begun_ns = time.monotonic_ns()
        return [_DEVICE]

    def environment(self) -> Mapping[str, object]:
        return {}

    def read(self) -> Sequence[Reading]:
        try:
            data = self._path.read_bytes()
        except OSError:
            data = b""
        t_ns = time.monotonic_ns()
        if len(data) != _LAYOUT.size:
            return [Reading(_DEVICE.id, t_ns, energy_j=100.0 * (t_ns - self._begun_ns) / 1e9, power_w=100.0)]
        _, since_ns, joules, watts = _LAYOUT.unpack(data)
        return [Reading(_DEVICE.id, t_ns, energy_j=1e4 + joules + watts * (t_ns - since_ns) / 1e9, power_w=watts)]

    def close(self) -> None: ...


@hookimpl
def llem_backends() -> Sequence[BackendSpec]:
    return [
        BackendSpec(
            name="loadbed",
            api_version=API_VERSION,
            summary="answers several requests at once by a clock",
            config=LoadbedConfig,
            engine="llem_loadbed:LoadbedEngine",
            capabilities=frozenset({"cpu", "streaming", "batching", "concurrent", "chat"}),
        )
    ]


@hookimpl
def llem_energy_samplers() -> Sequence[SamplerSpec]:
    return [
        SamplerSpec(
            name="loadbed",
            api_version=API_VERSION,
            summary="the power that the loadbed has by its own account",
            methods=frozenset({"counter", "power"}),
            scopes=frozenset({"cpu"}),
            sampler="llem_loadbed:LoadbedMeter",
        )
    ]
