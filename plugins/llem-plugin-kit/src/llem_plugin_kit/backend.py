"""The promises that every backend must keep: registered lightly, honest in its records, closed cleanly.

The tests drive the real engine in the test's own process, with a small model that the subclass names.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, ClassVar

import pytest
from pydantic import ValidationError

from llem.plugin_api import (
    BACKENDS,
    SCENARIOS,
    BackendSpec,
    Composer,
    Engine,
    LlemError,
    LoadContext,
    LoadReport,
    Message,
    ReportsCaveats,
    ReportsMetrics,
    Request,
    RequestRecord,
    TokenEvent,
    Vocabulary,
    load_object,
    nested,
)
from llem_plugin_kit.processes import nothing_left
from llem_plugin_kit.registering import imported_by_registering, installed

_WORDS = ("an", "answer", "is", "counted", "by", "what", "was", "asked", "of", "it", "and", "by", "nothing", "else")


class BackendConformance:
    """Subclass it in a test module; pytest collects the tests below for your backend.

    Attributes:
        backend: the name that your plugin registers.
        model: a small model that it can load without a download.
        options: your backend's section for these tests.
        broken_model: one that it cannot load, or None for a backend that loads none.
        broken_options: your backend's section where that model is asked for, or None for `options`.
    """

    backend: ClassVar[str]
    model: ClassVar[str]
    options: ClassVar[Mapping[str, Any]] = {}
    broken_model: ClassVar[str | None] = "./no-such-model.gguf"
    broken_options: ClassVar[Mapping[str, Any] | None] = None

    @pytest.fixture(scope="class")
    @classmethod
    def spec(cls) -> BackendSpec:
        return installed().find(BACKENDS, cls.backend)

    @pytest.fixture(scope="class")
    @classmethod
    def given(cls, spec: BackendSpec) -> Mapping[str, Any]:
        """The section `options`. Override it where an option is only known once something runs, such as an address."""
        return cls.options

    @pytest.fixture(scope="class")
    @classmethod
    def loaded(cls, spec: BackendSpec, given: Mapping[str, Any]) -> Iterator[tuple[Engine, LoadReport]]:
        engine: Engine = load_object(spec.engine)()
        with nothing_left(threads=False, files=False):
            try:
                yield engine, engine.load(cls.context(spec, cls.model, given))
            finally:
                engine.close()

    @classmethod
    def context(cls, spec: BackendSpec, model: str, options: Mapping[str, Any]) -> LoadContext:
        """The engine's context of one experiment."""
        document = {"model": model, "backend": cls.backend, cls.backend: dict(options)}
        config = Composer({cls.backend: spec}, installed()[SCENARIOS]).compose(document)
        return LoadContext(config=config, base_dir=".", progress=lambda _: None)

    def requests(self, report: LoadReport, lengths: Sequence[int] = (3, 9, 5), output_tokens: int = 6) -> list[Request]:
        """Prompts of these lengths in token ids that the model knows; in words where its vocabulary is not known."""
        if report.vocab_size is None:
            return [self.text(n, length, output_tokens) for n, length in enumerate(lengths)]
        ids = [i for i in range(min(report.vocab_size, 200)) if i not in report.special_token_ids]
        return [
            Request(
                id=n, output_tokens=output_tokens, prompt_token_ids=[ids[(n + k) % len(ids)] for k in range(length)]
            )
            for n, length in enumerate(lengths)
        ]

    @staticmethod
    def text(id_: int, words: int, output_tokens: int = 6) -> Request:
        """A prompt of so many words."""
        return Request(id=id_, output_tokens=output_tokens, prompt=" ".join(_WORDS[:words]))

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

    def test_an_unknown_option_is_refused(self, spec: BackendSpec) -> None:
        with pytest.raises(ValidationError):
            spec.config.model_validate({"an_option_that_nobody_has": 1})

    def test_each_value_that_is_worth_varying_is_taken_by_itself(self, spec: BackendSpec) -> None:
        backends = {spec.name: spec}
        for key, values in spec.worth_varying.items():
            assert len(values) > 1, f"worth_varying: one value of {key} compares nothing"
            for value in values:
                section = nested({f"{spec.name}.{key}": value}, Vocabulary(backends))
                Composer(backends, installed()[SCENARIOS]).compose({"backend": spec.name, "model": "any", **section})

    def test_registering_imports_no_engine(self, spec: BackendSpec) -> None:
        assert imported_by_registering(BACKENDS, spec.name, spec.engine, spec.requires) == []

    def test_resolving_twice_changes_nothing_more(self, spec: BackendSpec) -> None:
        if spec.resolve is None:
            return
        once = spec.resolve(spec.config.model_validate(dict(self.options)))
        assert spec.resolve(once) == once

    def test_fitting_twice_changes_nothing_more(self, spec: BackendSpec) -> None:
        section = spec.config.model_validate(dict(self.options))
        for together in (1, 3, 10**6):
            if spec.fit is not None:
                once = spec.fit(section, together)
                assert spec.fit(once, together) == once
            if spec.batch_size is not None:
                size = spec.batch_size(section)
                assert size is None or size >= 1, "what the section says nothing of is None"

    def test_it_says_what_it_loaded(self, loaded: tuple[Engine, LoadReport]) -> None:
        _, report = loaded
        assert report.vocab_size is None or report.vocab_size > 0
        assert bool(report.devices) != bool(report.elsewhere), (
            "devices of this machine, or the machine that does the work"
        )
        assert report.versions
        assert all(isinstance(version, str) and version for version in report.versions.values())

    def test_batches_hold_each_request_once(self, loaded: tuple[Engine, LoadReport]) -> None:
        engine, report = loaded
        requests = self.requests(report, lengths=(4, 1, 7, 2, 2))
        batches = engine.batches(requests)
        assert sorted(r.id for batch in batches for r in batch) == [0, 1, 2, 3, 4]
        assert all(batches)

    def test_input_is_counted_without_padding(self, loaded: tuple[Engine, LoadReport]) -> None:
        requests = self.requests(loaded[1], lengths=(3, 9, 5))
        records = self.answer(loaded, requests)
        if loaded[1].vocab_size is not None:
            assert [records[i].input_tokens for i in range(3)] == [3, 9, 5]
        for request in requests:
            alone = self.answer(loaded, [request])[request.id]
            assert alone.input_tokens == records[request.id].input_tokens, "a prompt has its own length in any company"

    def test_a_prompt_of_text_is_answered_and_counted(self, loaded: tuple[Engine, LoadReport]) -> None:
        records = self.answer(loaded, [self.text(0, 3), self.text(1, 12)])
        assert 1 <= records[0].input_tokens < records[1].input_tokens

    def test_a_fixed_length_is_exact(self, loaded: tuple[Engine, LoadReport]) -> None:
        records = self.answer(loaded, self.requests(loaded[1], output_tokens=7))
        assert [r.output_tokens for r in records.values()] == [7, 7, 7]
        assert {r.finish for r in records.values()} == {"length"}

    def test_ids_and_times_match_the_counts(self, loaded: tuple[Engine, LoadReport]) -> None:
        for record in self.answer(loaded, self.requests(loaded[1])).values():
            for series in (record.output_token_ids, record.token_ns):
                assert series is None or len(series) == record.output_tokens
            assert record.piece_ns is None or 1 <= len(record.piece_ns) <= record.output_tokens
            assert record.piece_ns is None or record.token_ns is None, "pieces are for who cannot tell tokens"

    def test_token_ids_are_of_the_vocabulary(self, loaded: tuple[Engine, LoadReport]) -> None:
        size = loaded[1].vocab_size
        for record in self.answer(loaded, self.requests(loaded[1])).values():
            ids = record.output_token_ids or ()
            assert all(i >= 0 and (size is None or i < size) for i in ids)

    def test_times_are_observed_and_not_worked_out(self, loaded: tuple[Engine, LoadReport]) -> None:
        for record in self.answer(loaded, self.requests(loaded[1], output_tokens=24)).values():
            assert record.end_ns > record.start_ns, "tokens take time: look at the clock before and after"
            if (seen := record.token_ns or record.piece_ns) and record.output_tokens > 1:
                assert seen[0] < seen[-1], "all tokens at one instant: nobody saw them come, say None"
            gaps = [later - earlier for earlier, later in pairwise(record.token_ns or ())]
            even = len(gaps) > 2 and max(gaps) - min(gaps) <= 2 and max(gaps) > 0
            assert not even, f"tokens that come every {gaps[0]} ns to the nanosecond were spread, not seen: say None"

    def test_times_are_in_order_and_within_the_call(self, loaded: tuple[Engine, LoadReport]) -> None:
        before = time.monotonic_ns()
        records = self.answer(loaded, self.requests(loaded[1]))
        after = time.monotonic_ns()
        for record in records.values():
            seen = record.token_ns or record.piece_ns or ()
            times = [before, record.start_ns, *seen, record.end_ns, after]
            assert times == sorted(times)

    def test_a_prompt_is_cut_to_its_limit(self, loaded: tuple[Engine, LoadReport]) -> None:
        engine, report = loaded
        request = replace(self.requests(report, lengths=(9,))[0], output_tokens=2, max_input_tokens=4)
        if report.vocab_size is not None:
            assert self.answer((engine, report), [request])[0].input_tokens == 4
            return
        try:
            counted = self.answer((engine, report), [request])[0].input_tokens
        except LlemError as error:
            told = error
        else:
            assert counted <= 4
            return
        assert told.remedy, "who cannot cut a text says so, and what to do"

    def test_streaming_gives_each_token_and_then_the_record(
        self, spec: BackendSpec, loaded: tuple[Engine, LoadReport]
    ) -> None:
        if "streaming" not in spec.capabilities:
            return
        engine, report = loaded

        async def collect() -> list[TokenEvent]:
            return [event async for event in engine.stream(self.requests(report, output_tokens=5)[0])]

        events = asyncio.run(collect())
        record = events[-1].record
        assert record is not None
        assert record.output_tokens == 5
        assert len(events) == 5 if record.piece_ns is None else len(record.piece_ns)
        assert [e.record is not None for e in events] == [False] * (len(events) - 1) + [True]
        assert [e.t_ns for e in events] == sorted(e.t_ns for e in events)

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

    def test_what_it_counts_is_a_finite_number(self, loaded: tuple[Engine, LoadReport]) -> None:
        engine, report = loaded
        if not isinstance(engine, ReportsMetrics):
            return
        engine.metrics(reset=True)
        self.answer(loaded, self.requests(report))
        for name, value in engine.metrics().items():
            assert math.isfinite(value), f"{name}: what could not be observed is left out"

    def test_a_caveat_is_a_word_and_a_paragraph_and_told_once(self, loaded: tuple[Engine, LoadReport]) -> None:
        engine, report = loaded
        if not isinstance(engine, ReportsCaveats):
            return
        self.answer(loaded, self.requests(report))
        told = engine.caveats()
        codes = [caveat.code for caveat in told]
        assert all(re.fullmatch(r"[a-z][a-z0-9_]*", code) for code in codes), (
            "a stable word, such as `context_exceeded`"
        )
        assert len(set(codes)) == len(codes), "each code once"
        for caveat in told:
            assert caveat.message.strip(), "a caveat says what was seen"
            assert "\n" not in caveat.message.strip(), "one paragraph"
        assert not engine.caveats(), "what has been told is not told again before it happens again"

    def test_a_chat_is_sent_whole_or_refused(self, spec: BackendSpec, loaded: tuple[Engine, LoadReport]) -> None:
        if "chat" not in spec.capabilities:
            return
        last = Message("user", " ".join(_WORDS[:3]))
        history = (Message("user", " ".join(_WORDS[:9])), Message("assistant", " ".join(_WORDS[3:7])), last)
        try:
            alone = self.answer(loaded, [Request(id=0, output_tokens=2, messages=(last,))])[0]
            whole = self.answer(loaded, [Request(id=0, output_tokens=2, messages=history)])[0]
        except LlemError as error:
            told = error
        else:
            assert whole.input_tokens > alone.input_tokens, "every message of a chat is sent"
            return
        assert told.remedy, "a model that takes no chats is told, with what to do"

    def test_a_model_that_is_not_there_is_told_and_leaves_nothing(
        self, spec: BackendSpec, given: Mapping[str, Any]
    ) -> None:
        if self.broken_model is None:
            return
        options = given if self.broken_options is None else self.broken_options
        engine: Engine = load_object(spec.engine)()
        with nothing_left(threads=False, files=False):
            try:
                with pytest.raises(LlemError) as caught:
                    engine.load(self.context(spec, self.broken_model, options))
            finally:
                engine.close()
        assert caught.value.what.strip()
        assert "\n" not in caught.value.what.strip(), "one paragraph"
