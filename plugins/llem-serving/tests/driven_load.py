"""A load that is driven without a worker: an engine that answers by sleeping, and a window that measures nothing."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from virtual_loop import run_virtually

from llem.config.compose import Composer
from llem.plugin_api import DriveContext, Request, RequestRecord, TokenEvent
from llem.plugins import default_registry
from llem.specs.kinds import BACKENDS, SCENARIOS
from llem_serving.config import LoadConfig
from llem_serving.course import Course
from llem_serving.driving import Drive


@dataclass
class SleepingEngine:
    """Answers each request after a sleep, at most `at_once` together.

    Attributes:
        answer_s: how long an answer takes; first_s: how much of it its first token does.
        at_once: others wait.
        text: of each answer, with the prompt's id; None: it tells none.
        decodes: text of token ids, where the record has ids in place of text.
        fails: ids of requests that fail.
        deaf: goes on for ever, also when cancelled.
    """

    answer_s: float = 0.01
    at_once: int = 1_000
    text: str | None = "said {}"
    decodes: str | None = None
    fails: frozenset[int] = frozenset()
    deaf: bool = False
    asked: list[Request] = field(default_factory=list)
    under_way: int = 0
    cancelled: int = 0
    _places: asyncio.Semaphore | None = None

    async def stream(self, request: Request) -> AsyncIterator[TokenEvent]:
        self.asked.append(request)
        self._places = self._places or asyncio.Semaphore(self.at_once)
        self.under_way += 1
        start_ns = time.monotonic_ns()
        try:
            while self.deaf:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(0.05)
            async with self._places:
                await asyncio.sleep(self.answer_s)
            if request.id in self.fails:
                raise RuntimeError("told to fail")
            now_ns = time.monotonic_ns()
            record = RequestRecord(
                id=request.id,
                input_tokens=5,
                output_tokens=1,
                start_ns=start_ns,
                end_ns=now_ns,
                finish="length",
                token_ns=[now_ns],
                text=None if self.text is None else self.text.format(request.id),
                output_token_ids=None if self.decodes is None else [request.id],
            )
            yield TokenEvent(None, now_ns, record)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.under_way -= 1

    def decode(self, token_ids: Sequence[int]) -> str | None:
        return None if self.decodes is None else self.decodes.format(*token_ids)


@dataclass
class PlainWindow:
    """Edges are now. `told` is what was said of the way."""

    told: list[str] = field(default_factory=list)
    edges: list[str] = field(default_factory=list)

    def open(self) -> int:
        self.edges.append("open")
        return time.monotonic_ns()

    def instant(self) -> int:
        self.edges.append("instant")
        return time.monotonic_ns()

    def energy_j(self, start_ns: int, end_ns: int) -> float | None:
        return None

    def close(self) -> int:
        self.edges.append("close")
        return time.monotonic_ns()

    def progress(self, what: str, done: float, total: float, unit: str) -> None:
        self.told.append(what)


SHORT = {"ramp_s": 0.0, "steady_s": 0.0, "duration_s": 0.3, "drain_s": 5.0}


def load_of(**fields: Any) -> LoadConfig:
    """A load of a third of a second, where nothing else is said."""
    return LoadConfig.model_validate({**SHORT, **fields})


def drive_of(
    engine: SleepingEngine,
    requests: Sequence[Request],
    load: LoadConfig,
    *,
    window: PlainWindow | None = None,
    dataset: dict[str, Any] | None = None,
    base_dir: str = ".",
) -> Drive:
    """A drive, to be run in an event loop."""
    registry = default_registry()
    config = Composer(registry[BACKENDS], registry[SCENARIOS]).compose(
        {
            "model": {"source": "random:tiny-llama"},
            "backend": "openai",
            "openai": {"base_url": "http://127.0.0.1:9/v1"},
            "dataset": dataset or {"name": "synthetic", "input_tokens": 5, "n": len(requests)},
            "measurement": {"scenario": "server"},
            "load": load.model_dump(mode="json"),
        }
    )
    context = DriveContext(config=config, base_dir=base_dir, cycle=1, requests=requests, window=window or PlainWindow())
    return Drive(engine, load, context)  # type: ignore[arg-type]


def driven(engine: SleepingEngine, requests: Sequence[Request], load: LoadConfig, **more: Any) -> Course:
    """The course of a load, driven to its end in virtual time."""
    return run_virtually(lambda: drive_of(engine, requests, load, **more).run())
