"""The backend that a runner's conformance tests run: it answers by a clock, and goes wrong on request.

It is no plugin of an environment. A job carries it along: see `carry`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from llem.plugin_api import (
    API_VERSION,
    BackendSpec,
    LoadContext,
    LoadReport,
    MemoryReading,
    Request,
    RequestRecord,
    Section,
    TokenEvent,
    hookimpl,
)

NAME = "conformance"
MARK = "LLEM_CONFORMANCE_MARK"
"""A variable that the engine prints, so that a test sees what reached it."""


class ConformanceConfig(Section):
    """Options of the backend `conformance`."""

    fail: Literal["no", "raise", "kill", "orphan"] = Field("no", description="how generation goes wrong")


class ConformanceEngine:
    """Answers each request with the tokens 0, 1, 2, …"""

    _fail = "no"

    def load(self, context: LoadContext) -> LoadReport:
        """Nothing to load. Tells its own pid, and the mark, in the log."""
        options = context.config.options
        assert isinstance(options, ConformanceConfig)
        self._fail = options.fail
        print(f"worker pid {os.getpid()}", flush=True)
        print(f"mark {os.environ.get(MARK)}", flush=True)
        return LoadReport(vocab_size=1000, devices=["cpu"], versions={NAME: "1"})

    def batches(self, requests: Sequence[Request]) -> Sequence[Sequence[Request]]:
        """All at once."""
        return [list(requests)]

    def generate(self, batch: Sequence[Request]) -> Sequence[RequestRecord]:
        """Go wrong, or answer."""
        if self._fail == "raise":
            raise RuntimeError("the engine was told to raise")
        if self._fail == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self._fail == "orphan":
            self._leave_a_daemon()
            time.sleep(3600)
        return [self._record(request) for request in batch]

    async def stream(self, request: Request) -> AsyncIterator[TokenEvent]:
        """The same, token by token."""
        record = self._record(request)
        for number, t_ns in enumerate(record.token_ns or (), 1):
            yield TokenEvent(number - 1, t_ns, record if number == record.output_tokens else None)

    def _record(self, request: Request) -> RequestRecord:
        start, times = time.monotonic_ns(), []
        for _ in range(request.output_tokens):
            time.sleep(0.001)
            times.append(time.monotonic_ns())
        given = request.prompt.split() if request.prompt_token_ids is None else request.prompt_token_ids  # type: ignore[union-attr]
        return RequestRecord(
            id=request.id,
            input_tokens=len(given[: request.max_input_tokens]),
            output_tokens=len(times),
            start_ns=start,
            end_ns=time.monotonic_ns(),
            finish="length",
            token_ns=times,
        )

    @staticmethod
    def _leave_a_daemon() -> None:
        """A process in a session of its own, below nobody that llem knows: what an engine leaves at its worst."""
        sleep = "import os, time; print('daemon pid', os.getpid(), flush=True); time.sleep(3600)"
        code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {sleep!r}], start_new_session=True)"
        subprocess.run([sys.executable, "-c", code], check=True)

    def decode(self, token_ids: Sequence[int]) -> str | None:
        """It has no tokenizer."""
        return None

    def synchronize(self) -> None:
        """Nothing is under way."""

    def memory(self, *, reset_peak: bool = False) -> MemoryReading:
        """Not known."""
        return MemoryReading(None, None, None)

    def close(self) -> None:
        """Nothing is held."""


@hookimpl
def llem_backends() -> Sequence[BackendSpec]:
    """The backend `conformance`."""
    return [
        BackendSpec(
            name=NAME,
            api_version=API_VERSION,
            summary="answers by a clock, for the conformance tests of runners",
            config=ConformanceConfig,
            engine="llem_plugin_kit.engine:ConformanceEngine",
            capabilities=frozenset({"cpu", "streaming"}),
        )
    ]


def carry(folder: Path) -> dict[str, str]:
    """Write the backend's registration into a folder, and return the variables with which a worker finds it there."""
    info = folder / "llem_conformance-1.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: llem-conformance\nVersion: 1\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[llem]\n{NAME} = llem_plugin_kit.engine\n", encoding="utf-8")
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))}
