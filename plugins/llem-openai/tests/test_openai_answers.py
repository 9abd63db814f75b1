"""The record of an answer is what came over the wire; whatever goes wrong is one paragraph, without the key."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llem.config.compose import Composer
from llem.errors import LlemError, ModelError
from llem.plugins import default_registry
from llem.specs.backend import LoadContext, LoadReport, Request, RequestRecord
from llem.specs.dataset import Message
from llem.specs.kinds import BACKENDS, SCENARIOS
from llem_openai.chunk import read_chunk
from llem_openai.engine import OpenaiEngine

sys.path.insert(0, str(Path(__file__).parent))
from openai_server import KEY, Behaviour, serving

Loaded = Callable[..., tuple[OpenaiEngine, LoadReport]]

APART_S = 0.05
"""Between chunks that are to be read one by one, on a busy machine too."""


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Loaded]:
    """Takes a server's address, the section `openai` and further sections; an engine that is closed with the test."""
    engines: list[OpenaiEngine] = []

    def one(address: str, openai: dict[str, Any] | None = None, **sections: Any) -> tuple[OpenaiEngine, LoadReport]:
        document = {
            "model": "small",
            "backend": "openai",
            "openai": {"base_url": address, **(openai or {})},
            **sections,
        }
        config = Composer(default_registry()[BACKENDS], default_registry()[SCENARIOS]).compose(document)
        engines.append(OpenaiEngine())
        return engines[-1], engines[-1].load(
            LoadContext(config=config, base_dir=str(tmp_path), progress=lambda _: None)
        )

    yield one
    for engine in engines:
        engine.close()


def ask(engine: OpenaiEngine, n: int = 1, output_tokens: int = 7, **fields: Any) -> list[RequestRecord]:
    given = {"prompt": "three plain words"} | fields
    return list(engine.generate([Request(id=i, output_tokens=output_tokens, **given) for i in range(n)]))


def test_tokens_have_times_where_each_chunk_is_counted(load: Loaded) -> None:
    with serving(Behaviour(token_s=APART_S)) as address:
        engine, report = load(address)
        (record,) = ask(engine)
    assert record.token_ns is not None
    assert len(set(record.token_ns)) == 7
    assert record.piece_ns is None
    assert record.output_token_ids == tuple(range(7))
    assert report.effective["token_times"] == "of each token"
    assert report.versions["server"] == "a-test 1.2.3"


def test_tokens_that_one_chunk_brought_have_its_time(load: Loaded) -> None:
    with serving(Behaviour(token_s=APART_S, a_piece=3)) as address:
        (record,) = ask(load(address)[0])
    assert record.token_ns is not None
    assert (len(record.token_ns), len(set(record.token_ns))) == (7, 3)
    assert record.output_token_ids == tuple(range(7))


def test_pieces_of_text_are_no_tokens(load: Loaded) -> None:
    with serving(Behaviour(counts=False, a_piece=3)) as address:
        engine, report = load(address)
        (record,) = ask(engine)
    assert record.token_ns is None
    assert record.output_token_ids is None
    assert record.piece_ns is not None
    assert len(record.piece_ns) == 3
    assert (record.input_tokens, record.output_tokens) == (3, 7)
    assert str(report.effective["token_times"]).startswith("of pieces")


def test_as_many_chunks_as_tokens_are_one_token_each(load: Loaded) -> None:
    with serving(Behaviour(counts=False)) as address:
        (record,) = ask(load(address)[0])
    assert record.piece_ns is None
    assert record.token_ns is not None
    assert len(record.token_ns) == 7


def test_so_many_requests_are_under_way_at_once_and_no_more(load: Loaded) -> None:
    behaviour = Behaviour(token_s=0.02)
    with serving(behaviour) as address:
        records = ask(load(address, {"concurrency": 3})[0], n=10)
    assert [record.id for record in records] == list(range(10))
    assert behaviour.most == 3


def test_a_chat_is_asked_where_the_template_is_wanted(load: Loaded) -> None:
    behaviour = Behaviour()
    with serving(behaviour) as address:
        (record,) = ask(load(address, dataset={"chat_template": True})[0], chat_template=True)
    assert behaviour.paths[-1] == "/v1/chat/completions"
    assert behaviour.asked[-1]["messages"] == [{"role": "user", "content": "three plain words"}]
    assert record.input_tokens == 5  # the template's own, as the server counts them
    assert record.token_ns is not None
    assert len(record.token_ns) == 7


def test_decoding_and_extra_fields_reach_the_server(load: Loaded) -> None:
    behaviour = Behaviour()
    with serving(behaviour) as address:
        ask(load(address, {"extra": {"top_k": 5}}, decoding={"temperature": 0.7, "top_p": 0.9, "seed": 3})[0])
    body = behaviour.asked[-1]
    assert (body["temperature"], body["top_p"], body["seed"], body["top_k"]) == (0.7, 0.9, 3, 5)
    assert (body["max_tokens"], body["ignore_eos"]) == (7, True)


def test_a_natural_answer_ends_with_its_stop_token(load: Loaded) -> None:
    with serving(Behaviour(counts=False, stop_after=4)) as address:
        (record,) = ask(load(address)[0], ignore_eos=False)
    assert (record.output_tokens, record.finish) == (4, "stop")


def test_what_the_server_took_from_its_cache_is_told(load: Loaded) -> None:
    with serving(Behaviour()) as address:
        engine, _ = load(address)
        engine.metrics(reset=True)
        ask(engine, n=3)
        assert engine.metrics() == {"cached_input_tokens": 3.0}


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (Behaviour(counts=False, stop_after=5), "5 tokens where exactly 7"),
        (Behaviour(fail="filter"), "content_filter"),
        (Behaviour(fail="no usage"), "does not say how many tokens"),
        (Behaviour(fail="break"), "ended in the middle of an answer, after 1 pieces"),
        (Behaviour(fail="429"), "429: not now"),
        (Behaviour(fail="500"), "500: not now"),
    ],
)
def test_what_a_server_does_wrong_is_told_in_a_paragraph(load: Loaded, behaviour: Behaviour, said: str) -> None:
    with serving(behaviour) as address, pytest.raises(LlemError, match=said) as caught:
        ask(load(address)[0])
    assert caught.value.remedy
    assert "\n" not in str(caught.value)


def test_a_silent_server_is_given_up(load: Loaded) -> None:
    with serving(Behaviour(fail="hang")) as address, pytest.raises(ModelError, match="does not answer"):
        ask(load(address, {"timeout_s": 0.2})[0])


@pytest.mark.parametrize("where", ["variable", "file"])
def test_the_key_opens_the_door_and_is_told_nowhere(
    load: Loaded, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    options: dict[str, Any] = {"api_key_file": "key"} if where == "file" else {"api_key_variable": "A_KEY"}

    def keep(key: str) -> None:
        (tmp_path / "key").write_text(key + "\n")
        monkeypatch.setenv("A_KEY", key)

    with serving(Behaviour(key=KEY)) as address:
        keep(KEY)
        engine, report = load(address, options)
        assert ask(engine)[0].output_tokens == 7
        assert KEY not in repr(report) + repr(vars(engine))
        keep("sk-wrong-key-of-somebody")
        with pytest.raises(ModelError, match="401") as caught:
            load(address, options)
    assert "sk-wrong" not in str(caught.value)
    assert "openai.api_key_file" in str(caught.value)


def test_without_a_key_the_way_to_give_one_is_told(load: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with serving(Behaviour(key=KEY)) as address, pytest.raises(ModelError, match="OPENAI_API_KEY"):
        load(address)


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"decoding": {"top_k": 5, "temperature": 0.7}}, "no top_k"),
        ({"model": {"source": "small", "tokenizer": "x"}}, "has no effect"),
        ({"model": "another"}, "it serves small"),
    ],
)
def test_what_has_no_effect_is_refused(load: Loaded, sections: dict[str, Any], said: str) -> None:
    with serving(Behaviour()) as address, pytest.raises(ModelError, match=said) as caught:
        load(address, **sections)
    assert caught.value.remedy


@pytest.mark.parametrize("chat", [False, True])
def test_an_answer_comes_with_its_text_and_its_share_of_the_cache(load: Loaded, chat: bool) -> None:
    asked: dict[str, Any] = {"prompt": None, "messages": (Message("user", "one two"),)} if chat else {}
    with serving(Behaviour(a_piece=2)) as address:
        engine, _ = load(address)
        (record,) = ask(engine, output_tokens=3, **asked)
    assert record.text == " w0 w1 w2"
    assert record.cached_tokens == 1


def test_thinking_is_no_part_of_the_text() -> None:
    deltas = [{"reasoning_content": "hm"}, {"content": "yes"}, {"content": None, "reasoning": "so"}, {"content": "."}]
    assert [read_chunk({"choices": [{"delta": delta}]}, 1).said for delta in deltas] == ["", "yes", "", "."]
    assert read_chunk({"choices": [{"message": {"content": "whole"}}]}, 1).said == "whole"
