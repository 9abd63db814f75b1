"""TensorRT-LLM itself, on a GPU: answers, streams, the cache of prompts, and engines that TensorRT builds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

import llem
from llem.config.compose import Composer
from llem.plugins import default_registry, load_object
from llem.specs.backend import Engine, LoadContext, Request, TokenEvent
from llem.specs.kinds import BACKENDS, SCENARIOS
from llem_plugin_kit import BackendConformance

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(1800)]

MODEL = "random:llama-3.2-1b"
OPTIONS = {"max_seq_len": 256, "max_batch_size": 4, "kv_cache_config": {"max_tokens": 8192}}


class TestConformance(BackendConformance):
    backend = "trtllm"
    model = MODEL
    options: ClassVar = OPTIONS


@pytest.fixture(scope="module")
def engine() -> Iterator[Any]:
    document = {"model": MODEL, "backend": "trtllm", "trtllm": OPTIONS}
    config = Composer(default_registry()[BACKENDS], default_registry()[SCENARIOS]).compose(document)
    made: Engine = load_object(default_registry().find(BACKENDS, "trtllm").engine)()
    try:
        made.load(LoadContext(config=config, base_dir=".", progress=lambda _: None))
        yield made
    finally:
        made.close()


def asked(number: int, output: int = 16) -> Request:
    return Request(id=number, prompt_token_ids=list(range(100 + number, 200 + number)), output_tokens=output)


def test_the_schema_is_what_tensorrt_llm_says_of_itself(capsys: pytest.CaptureFixture[str]) -> None:
    from llem_trtllm.schema.__main__ import main

    assert main(["--check"]) == 0, capsys.readouterr().out


def test_answers_have_their_length_and_a_time_for_each_token(engine: Any) -> None:
    records = engine.generate([asked(number) for number in range(6)])
    for record in records:
        assert (record.input_tokens, record.output_tokens, record.finish) == (100, 16, "length")
        assert list(record.token_ns) == sorted(record.token_ns)
        assert len(record.output_token_ids) == 16


def test_a_stream_has_the_tokens_of_a_batch(engine: Any) -> None:
    (record,) = engine.generate([asked(20)])

    async def read() -> list[TokenEvent]:
        return [event async for event in engine.stream(asked(20))]

    events = asyncio.run(read())
    assert [event.token_id for event in events] == list(record.output_token_ids)
    assert events[-1].record is not None


def test_a_second_pass_finds_nothing_of_the_first(engine: Any) -> None:
    engine.generate([asked(40)])
    (again,) = engine.generate([asked(40)])
    assert again.cached_tokens == 0


def test_a_prompt_that_does_not_fit_is_refused_with_its_size(engine: Any) -> None:
    with pytest.raises(llem.LlemError, match="prompt 7 of 300 tokens"):
        engine.generate([Request(id=7, prompt_token_ids=[5] * 300, output_tokens=4)])


def test_an_engine_is_built_once_and_its_building_is_in_no_window(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def run(name: str) -> llem.ExperimentResult:
        return llem.run_experiment(
            MODEL,
            backend="trtllm",
            output=tmp_path / name,
            dataset={"name": "synthetic", "n": 8, "input_tokens": 64, "output_tokens": 32},
            measurement={"min_window_s": 5.0},
            trtllm={"engine": "tensorrt", "max_batch_size": 8, "max_seq_len": 128, "max_input_len": 96},
        )

    first, again = run("first"), run("again")
    for result, origin in ((first, "built"), (again, "cached")):
        assert result.status == "done", result.failure
        assert result.model is not None
        assert result.model.effective["engine_origin"] == origin
        assert result.model.effective["engine_build_s"] > 0
