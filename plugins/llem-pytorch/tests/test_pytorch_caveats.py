"""Caveats of the result for what an engine did otherwise than it was told; a log line reaches nobody."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pytorch_prompts import PROMPTS

from llem.specs.backend import Request
from llem.specs.dataset import Message
from llem_analysis.warning_codes import WARNINGS
from llem_pytorch.caveats import Beyond, Listener, not_taken, settings_caveat
from llem_pytorch.config import PyTorchConfig

if TYPE_CHECKING:
    from pytorch_lab import Session

EFFECTIVE = {"attn_implementation": "sdpa", "num_threads": 2, "num_interop_threads": 1, "float32_matmul": "highest"}


@pytest.fixture
def listener() -> Iterator[Listener]:
    one = Listener()
    yield one
    one.close()


def test_settings_that_the_model_has_need_no_word() -> None:
    assert not_taken(PyTorchConfig(), EFFECTIVE, "bfloat16") == []
    asked = PyTorchConfig(attn_implementation="sdpa", num_threads=2, dtype="float16")
    assert not_taken(asked, EFFECTIVE, "float16") == []


@pytest.mark.parametrize(
    ("options", "dtype", "said"),
    [
        ({"attn_implementation": "eager"}, "float32", "pytorch.attn_implementation is eager, and the model has sdpa"),
        ({"num_threads": 8}, "float32", "pytorch.num_threads is 8, and the model has 2"),
        ({"float32_matmul": "medium"}, "float32", "pytorch.float32_matmul is medium, and the model has highest"),
        ({"dtype": "bfloat16"}, "float32", "pytorch.dtype is bfloat16, and the model has float32"),
    ],
)
def test_a_setting_that_was_not_taken_is_named_with_what_is_there(
    options: dict[str, object], dtype: str, said: str
) -> None:
    (found,) = not_taken(PyTorchConfig.model_validate(options), EFFECTIVE, dtype)
    assert found == said
    (caveat,) = settings_caveat([found])
    assert caveat.code == "setting_ignored"
    assert said in caveat.message


def test_what_transformers_says_of_settings_that_it_leaves_is_heard(listener: Listener) -> None:
    log = logging.getLogger("transformers.generation.utils")
    log.warning("This model does not support `Cache` instances. `cache_implementation` will be ignored.")
    log.warning("Compilation\nwill be skipped.")
    log.warning("Compilation will be skipped.")
    log.warning("Setting `pad_token_id` to `eos_token_id`:2 for open-end generation.")
    log.info("This is ignored.")
    assert listener.drain() == [
        "This model does not support `Cache` instances. `cache_implementation` will be ignored.",
        "Compilation will be skipped.",
    ]
    assert listener.drain() == []


def test_nobody_listens_once_the_engine_is_closed(listener: Listener) -> None:
    listener.close()
    logging.getLogger("transformers").warning("it is ignored")
    assert listener.drain() == []


def test_requests_beyond_the_positions_are_counted_until_they_are_told() -> None:
    beyond = Beyond(100)
    requests = [Request(id=i, output_tokens=20, prompt="x") for i in range(3)]
    beyond.note(requests, [[1] * 80, [1] * 81, [1] * 200])
    (caveat,) = beyond.drain()
    assert "2 of 3 prompts" in caveat.message
    assert "220 tokens" in caveat.message
    assert beyond.drain() == []
    unlimited = Beyond(None)
    unlimited.note(requests, [[1] * 999] * 3)
    assert unlimited.drain() == []


def test_every_code_has_a_row_in_the_table_of_warnings() -> None:
    assert {"context_exceeded", "setting_ignored", "prompts_cut"} <= set(WARNINGS)


@pytest.mark.engine
def test_an_honest_run_has_nothing_to_say(load: Callable[..., Session], model_folder: Path) -> None:
    for options in ({"batch_size": 4}, {"cache_implementation": "static", "attn_implementation": "eager"}):
        session = load(str(model_folder), options)
        session.answer([Request(id=i, prompt=PROMPTS[i], output_tokens=4) for i in range(4)])
        assert session.engine.caveats() == []


@pytest.mark.engine
def test_prompts_that_are_cut_are_counted_with_the_longest(load: Callable[..., Session], model_folder: Path) -> None:
    session = load(str(model_folder), {"batch_size": 8})
    asked = [Request(id=i, prompt=PROMPTS[i], output_tokens=2) for i in range(8)]
    lengths = [session.answer([one])[one.id].input_tokens for one in asked]
    session.engine.caveats()
    limit = sorted(lengths)[4]
    cut = [Request(id=i, prompt=PROMPTS[i], output_tokens=2, max_input_tokens=limit) for i in range(8)]
    session.answer(cut)
    session.answer(cut)
    (caveat,) = session.engine.caveats()
    assert caveat.code == "prompts_cut"
    assert f"{sum(length > limit for length in lengths)} of 8 prompts" in caveat.message
    assert f"has {max(lengths)} tokens" in caveat.message


@pytest.mark.engine
def test_a_chat_with_a_history_reaches_the_model_whole(load: Callable[..., Session], model_folder: Path) -> None:
    session = load(str(model_folder))
    turns = [("system", "be short"), ("user", PROMPTS[0]), ("assistant", "ok"), ("user", PROMPTS[1])]
    chat = tuple(Message(role, content) for role, content in turns)
    whole, last = (
        session.answer([Request(id=0, output_tokens=1, messages=messages)])[0].input_tokens
        for messages in (chat, chat[-1:])
    )
    text = "".join(f"<s>{role}: {content}\n" for role, content in turns) + "me:"
    assert whole == len(session.engine._tokenizer._tokenizer(text, add_special_tokens=False)["input_ids"])  # type: ignore[attr-defined]
    assert whole > last
