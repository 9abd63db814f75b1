"""What every backend must hold: registered lightly, honest in its records, closed cleanly.

The tests drive the real engine in the test's own process, with a small model that the subclass names.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import pytest

from llem.config.compose import Composer
from llem.plugins import default_registry, load_object
from llem.specs.backend import BackendSpec, Engine, LoadContext, LoadReport, Request, RequestRecord, TokenEvent


class BackendConformance:
    """Subclass it in a test module; pytest collects the tests below for your backend.

    Attributes:
        backend: the name that your plugin registers.
        model: a small model that it can load without a download.
        options: your backend's section for these tests.
    """

    backend: ClassVar[str]
    model: ClassVar[str]
    options: ClassVar[Mapping[str, Any]] = {}

    @pytest.fixture(scope="class")
    @classmethod
    def spec(cls) -> BackendSpec:
        return default_registry().backend(cls.backend)

    @pytest.fixture(scope="class")
    @classmethod
    def loaded(cls, spec: BackendSpec) -> Iterator[tuple[Engine, LoadReport]]:
        document = {"model": cls.model, "backend": cls.backend, cls.backend: dict(cls.options)}
        config = Composer({cls.backend: spec}).compose(document)
        engine: Engine = load_object(spec.engine)()
        try:
            yield engine, engine.load(LoadContext(config=config, base_dir=".", progress=lambda _: None))
        finally:
            engine.close()

    def requests(self, report: LoadReport, lengths: Sequence[int] = (3, 9, 5), output_tokens: int = 6) -> list[Request]:
        """Prompts of these lengths in token ids that the model knows."""
        ids = [i for i in range(min(report.vocab_size, 200)) if i not in report.special_token_ids]
        return [
            Request(
                id=n, output_tokens=output_tokens, prompt_token_ids=[ids[(n + k) % len(ids)] for k in range(length)]
            )
            for n, length in enumerate(lengths)
        ]

    def answer(self, loaded: tuple[Engine, LoadReport], requests: Sequence[Request]) -> dict[int, RequestRecord]:
        """Every request's record by id, through the engine's own batches."""
        engine, _ = loaded
        records = [record for batch in engine.batches(requests) for record in engine.generate(batch)]
        assert sorted(r.id for r in records) == sorted(r.id for r in requests), "every request is answered exactly once"
        return {record.id: record for record in records}

    def test_every_option_has_a_default_and_a_description(self, spec: BackendSpec) -> None:
        spec.config()
        undescribed = [name for name, field in spec.config.model_fields.items() if not field.description]
        assert not undescribed

    def test_registering_imports_no_engine(self, spec: BackendSpec) -> None:
        engine = spec.engine.partition(":")[0]
        # A plugin of one module holds its engine beside its registration: then only what that needs must stay out.
        heavy = [*([] if engine == spec.config.__module__ else [engine]), *spec.requires]
        code = (
            "import sys; from llem.plugins import Registry; Registry().backends; "
            f"print([name for name in {heavy!r} if name in sys.modules])"
        )
        answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert answer.stdout.strip() == "[]"

    def test_resolving_twice_changes_nothing_more(self, spec: BackendSpec) -> None:
        if spec.resolve is None:
            return
        once = spec.resolve(spec.config.model_validate(dict(self.options)))
        assert spec.resolve(once) == once

    def test_it_says_what_it_loaded(self, loaded: tuple[Engine, LoadReport]) -> None:
        _, report = loaded
        assert report.vocab_size > 0
        assert report.devices
        assert report.versions

    def test_batches_hold_each_request_once(self, loaded: tuple[Engine, LoadReport]) -> None:
        engine, report = loaded
        requests = self.requests(report, lengths=(4, 1, 7, 2, 2))
        batches = engine.batches(requests)
        assert sorted(r.id for batch in batches for r in batch) == [0, 1, 2, 3, 4]
        assert all(batches)

    def test_input_is_counted_without_padding(self, loaded: tuple[Engine, LoadReport]) -> None:
        records = self.answer(loaded, self.requests(loaded[1], lengths=(3, 9, 5)))
        assert [records[i].input_tokens for i in range(3)] == [3, 9, 5]

    def test_a_fixed_length_is_exact(self, loaded: tuple[Engine, LoadReport]) -> None:
        records = self.answer(loaded, self.requests(loaded[1], output_tokens=7))
        assert [r.output_tokens for r in records.values()] == [7, 7, 7]
        assert {r.finish for r in records.values()} == {"length"}

    def test_ids_and_times_match_the_counts(self, loaded: tuple[Engine, LoadReport]) -> None:
        for record in self.answer(loaded, self.requests(loaded[1])).values():
            for series in (record.output_token_ids, record.token_ns):
                assert series is None or len(series) == record.output_tokens

    def test_times_are_in_order_and_within_the_call(self, loaded: tuple[Engine, LoadReport]) -> None:
        before = time.monotonic_ns()
        records = self.answer(loaded, self.requests(loaded[1]))
        after = time.monotonic_ns()
        for record in records.values():
            times = [before, record.start_ns, *(record.token_ns or ()), record.end_ns, after]
            assert times == sorted(times)

    def test_a_prompt_is_cut_to_its_limit(self, loaded: tuple[Engine, LoadReport]) -> None:
        engine, report = loaded
        given = self.requests(report, lengths=(9,))[0]
        request = Request(id=0, output_tokens=2, prompt_token_ids=given.prompt_token_ids, max_input_tokens=4)
        assert self.answer((engine, report), [request])[0].input_tokens == 4

    def test_streaming_gives_each_token_and_then_the_record(
        self, spec: BackendSpec, loaded: tuple[Engine, LoadReport]
    ) -> None:
        if "streaming" not in spec.capabilities:
            return
        engine, report = loaded

        async def collect() -> list[TokenEvent]:
            return [event async for event in engine.stream(self.requests(report, output_tokens=5)[0])]

        events = asyncio.run(collect())
        assert len(events) == 5
        assert [e.record is not None for e in events] == [False] * 4 + [True]
        assert [e.t_ns for e in events] == sorted(e.t_ns for e in events)
        record = events[-1].record
        assert record is not None
        assert record.output_tokens == 5

    def test_tokens_decode_to_text_or_to_nothing(self, loaded: tuple[Engine, LoadReport]) -> None:
        engine, report = loaded
        prompt = list(self.requests(report, lengths=(6,))[0].prompt_token_ids or ())
        text = engine.decode(prompt)
        assert text is None or text, "an engine without a tokenizer says None"
        assert engine.decode(prompt) == text

    def test_memory_that_is_not_known_is_null(self, loaded: tuple[Engine, LoadReport]) -> None:
        memory = loaded[0].memory(reset_peak=True)
        for figure in (memory.allocated_mb, memory.peak_mb):
            assert figure is None or figure > 0, "what is not known is None, never 0"
        assert (memory.source is None) == (memory.peak_mb is None)
