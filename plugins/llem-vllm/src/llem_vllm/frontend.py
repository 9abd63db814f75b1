"""The engine of the backend `vllm`: vLLM in the worker, or its HTTP server as another process (`vllm.frontend`)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from llem.plugin_api import (
    Caveat,
    LoadContext,
    LoadReport,
    MemoryReading,
    ModelError,
    Request,
    RequestRecord,
    TokenEvent,
)
from llem_vllm.config import is_served

if TYPE_CHECKING:
    from llem_vllm.engine import VllmEngine
    from llem_vllm.http_engine import HttpEngine

NO_CLIENT = "`vllm.frontend: http` needs llem-openai, which asks the server, and it is not installed."
INSTALL_CLIENT = "Install it where vLLM runs: pip install 'llem-vllm[http]'"


class VllmFrontend:
    """The one of two engines that the study asks for, behind llem's `Engine`. Which one, `load` finds out."""

    def __init__(self) -> None:
        self._chosen: VllmEngine | HttpEngine | None = None

    def load(self, context: LoadContext) -> LoadReport:
        """See `Engine.load`."""
        self._chosen = _http_engine() if is_served(context.config.options) else _engine()
        return self._chosen.load(context)

    def batches(self, requests: Sequence[Request]) -> Sequence[Sequence[Request]]:
        """See `Engine.batches`. One group: vLLM schedules by itself."""
        return [list(requests)] if requests else []

    def generate(self, batch: Sequence[Request]) -> Sequence[RequestRecord]:
        """See `Engine.generate`."""
        return self._engine.generate(batch)

    def stream(self, request: Request) -> AsyncIterator[TokenEvent]:
        """See `Engine.stream`."""
        return self._engine.stream(request)

    def prepare_ahead(self) -> bool:
        """Begin what `stream_at` takes. False for vLLM in the worker, to which nothing is sent."""
        return self._engine.prepare_ahead()

    def stream_at(self, request: Request, due_ns: int, left: Callable[[int], None]) -> AsyncIterator[TokenEvent]:
        """As `stream`, but asked ahead: the request leaves at an instant (monotonic ns), and `left` is told when it did."""
        return self._engine.stream_at(request, due_ns, left)

    def decode(self, token_ids: Sequence[int]) -> str | None:
        """See `Engine.decode`."""
        return self._engine.decode(token_ids)

    def synchronize(self) -> None:
        """See `Engine.synchronize`. Asks every worker, since the devices are theirs."""
        self._engine.synchronize()

    def memory(self, *, reset_peak: bool = False) -> MemoryReading:
        """See `Engine.memory`. Holds vLLM's key-value cache, which is reserved whole at the start."""
        return self._engine.memory(reset_peak=reset_peak)

    def check_server(self) -> None:
        """Raise ModelError where vLLM's server, or its own process, has ended (llem-serving's `ChecksServer`)."""
        self._engine.check_server()

    def metrics(self, *, reset: bool = False) -> Mapping[str, float]:
        """See `ReportsMetrics.metrics`."""
        return self._engine.metrics(reset=reset)

    def caveats(self) -> Sequence[Caveat]:
        """See `ReportsCaveats.caveats`."""
        return self._engine.caveats()

    def close(self) -> None:
        """See `Engine.close`."""
        chosen, self._chosen = self._chosen, None
        if chosen is not None:
            chosen.close()

    @property
    def _engine(self) -> VllmEngine | HttpEngine:
        assert self._chosen is not None
        return self._chosen


def _engine() -> VllmEngine:
    from llem_vllm.engine import VllmEngine

    return VllmEngine()


def _http_engine() -> HttpEngine:
    try:
        import llem_openai  # noqa: F401 - only whether it is there
    except ImportError as error:
        raise ModelError(NO_CLIENT, where="vllm.frontend", remedy=f"{INSTALL_CLIENT}.") from error
    from llem_vllm.http_engine import HttpEngine

    return HttpEngine()
