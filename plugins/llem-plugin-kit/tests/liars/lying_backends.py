"""Backends that break one promise each. The name of the test that must notice stands in `lies`."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import replace

from llem.errors import ModelError
from llem.plugin_api import Caveat, LoadContext, LoadReport, MemoryReading, Request, RequestRecord, TokenEvent


class HonestBackend:
    """Answers by a clock, and says what it did."""

    def __init__(self) -> None:
        self._untold = [Caveat("answers_by_a_clock", "no model was asked: figures are those of a clock.")]

    def load(self, context: LoadContext) -> LoadReport:
        if not context.config.model.source.startswith("random:"):
            raise ModelError("it is not there.", remedy="Take another.")
        return LoadReport(vocab_size=100, devices=["cpu"], versions={"liars": "1.0"})

    def batches(self, requests: Sequence[Request]) -> Sequence[Sequence[Request]]:
        return [list(requests)]

    def generate(self, batch: Sequence[Request]) -> Sequence[RequestRecord]:
        return [event.record for request in batch for event in self._answer(request) if event.record is not None]

    async def stream(self, request: Request) -> AsyncIterator[TokenEvent]:
        for event in self._answer(request):
            yield event

    def _answer(self, request: Request) -> Iterator[TokenEvent]:
        start, times = time.monotonic_ns(), []
        said = " ".join(one.content for one in request.messages or ()) or request.prompt or ""
        given = said.split() if request.prompt_token_ids is None else request.prompt_token_ids
        for number in range(request.output_tokens):
            time.sleep(0.0005)
            times.append(time.monotonic_ns())
            if number < request.output_tokens - 1:
                yield TokenEvent(number % 100, times[-1])
        record = RequestRecord(
            id=request.id,
            input_tokens=len(given[: request.max_input_tokens]),
            output_tokens=len(times),
            start_ns=start,
            end_ns=time.monotonic_ns(),
            finish="length",
            token_ns=tuple(times),
            output_token_ids=tuple(number % 100 for number in range(len(times))),
        )
        yield TokenEvent((len(times) - 1) % 100, times[-1], self.told(record))

    def told(self, record: RequestRecord) -> RequestRecord:
        return record

    def decode(self, token_ids: Sequence[int]) -> str | None:
        return None

    def synchronize(self) -> None: ...

    def memory(self, *, reset_peak: bool = False) -> MemoryReading:
        return MemoryReading(None, None, None)

    def metrics(self, *, reset: bool = False) -> Mapping[str, float]:
        return {"answers": 1.0}

    def caveats(self) -> Sequence[Caveat]:
        untold, self._untold = self._untold, []
        return untold

    def close(self) -> None: ...


class CountsPadding(HonestBackend):
    def told(self, record: RequestRecord) -> RequestRecord:
        return replace(record, input_tokens=max(record.input_tokens, 9))


class StopsShort(HonestBackend):
    def told(self, record: RequestRecord) -> RequestRecord:
        n = record.output_tokens - 1
        return replace(
            record, output_tokens=n, token_ns=record.token_ns[:n], output_token_ids=record.output_token_ids[:n]
        )


class InventsTimes(HonestBackend):
    def told(self, record: RequestRecord) -> RequestRecord:
        step = (record.end_ns - record.start_ns) // record.output_tokens
        return replace(record, token_ns=tuple(record.start_ns + step * (i + 1) for i in range(record.output_tokens)))


class TellsOneInstant(HonestBackend):
    def told(self, record: RequestRecord) -> RequestRecord:
        return replace(record, token_ns=(record.end_ns,) * record.output_tokens)


class TakesNoTime(HonestBackend):
    def told(self, record: RequestRecord) -> RequestRecord:
        return replace(record, start_ns=record.end_ns, token_ns=None)


class CountsNothing(HonestBackend):
    def metrics(self, *, reset: bool = False) -> Mapping[str, float]:
        return {"share": float("nan")}


class RepeatsItself(HonestBackend):
    def caveats(self) -> Sequence[Caveat]:
        return self._untold


class CutsChats(HonestBackend):
    def _answer(self, request: Request) -> Iterator[TokenEvent]:
        return super()._answer(replace(request, messages=(request.messages or ())[-1:]))


class TellsTheWallClock(HonestBackend):
    def told(self, record: RequestRecord) -> RequestRecord:
        return replace(record, start_ns=time.time_ns(), end_ns=time.time_ns(), token_ns=None)


class MissesTimes(HonestBackend):
    def told(self, record: RequestRecord) -> RequestRecord:
        return replace(record, token_ns=record.token_ns[:-1])


class InventsTokens(HonestBackend):
    def told(self, record: RequestRecord) -> RequestRecord:
        return replace(record, output_token_ids=tuple(5000 + i for i in range(record.output_tokens)))


class SaysZeroForUnknown(HonestBackend):
    def memory(self, *, reset_peak: bool = False) -> MemoryReading:
        return MemoryReading(0.0, 0.0, "allocator")


class LosesRequests(HonestBackend):
    def batches(self, requests: Sequence[Request]) -> Sequence[Sequence[Request]]:
        return [list(requests)[:-1]] if len(requests) > 1 else [list(requests)]


class IgnoresTheLimit(HonestBackend):
    def _answer(self, request: Request) -> Iterator[TokenEvent]:
        return super()._answer(replace(request, max_input_tokens=None))


class StreamsEverythingAtOnce(HonestBackend):
    async def stream(self, request: Request) -> AsyncIterator[TokenEvent]:
        *_, last = self._answer(request)
        yield last


class LoadsAnything(HonestBackend):
    def load(self, context: LoadContext) -> LoadReport:
        return LoadReport(vocab_size=100, devices=["cpu"], versions={"liars": "1.0"})


class LeavesAProcess(HonestBackend):
    def load(self, context: LoadContext) -> LoadReport:
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(90)"])
        return super().load(context)


class NamesNoDevice(HonestBackend):
    def load(self, context: LoadContext) -> LoadReport:
        return replace(super().load(context), devices=())


class TakesAnything(HonestBackend): ...


class ImportsWhatItNeeds(HonestBackend): ...


class ResolvesTwice(HonestBackend): ...


class FitsTwice(HonestBackend): ...
