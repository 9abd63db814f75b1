"""Chats through a tokenizer: whole, in the model's template, or refused."""

from __future__ import annotations

import pytest
import tokenizers
import transformers

from llem.errors import LlemError
from llem.specs.backend import Request
from llem.specs.dataset import Message
from llem_hub.tokens import ByteTokenizer, TextTokenizer

pytestmark = pytest.mark.engine

WHOLE = (
    Message("system", "be short"),
    Message("user", "first"),
    Message("assistant", "ok"),
    Message("user", "last"),
)
TEMPLATE = (
    "{% for m in messages %}{% if m.role == 'developer' %}{{ raise_exception('no developers here') }}{% endif %}"
    "<{{ m.role }}>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)


def tokenizer(template: str | None = TEMPLATE) -> TextTokenizer:
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"<unk>": 0, "x": 1}, unk_token="<unk>"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.Split(tokenizers.Regex("<[a-z]+>|[a-z ]+"), "isolated")
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=words, chat_template=template)
    fast.add_tokens(["<system>", "<user>", "<assistant>", "be short", "first", "ok", "last"])
    return TextTokenizer(fast, "words")


def test_the_template_gets_every_message_and_the_model_the_next_turn() -> None:
    used = tokenizer()
    (ids,) = used.encode([Request(id=0, output_tokens=1, messages=WHOLE)])
    assert used.decode(ids).replace(" <", "<").replace("> ", ">") == (
        "<system>be short<user>first<assistant>ok<user>last<assistant>"
    )


def test_a_template_that_refuses_a_chat_is_told_in_its_own_words() -> None:
    with pytest.raises(LlemError, match="does not take prompt 7: no developers here"):
        tokenizer().encode([Request(id=7, output_tokens=1, messages=(Message("developer", "x"), *WHOLE))])


def test_a_model_without_a_template_takes_no_chat() -> None:
    request = Request(id=0, output_tokens=1, messages=WHOLE)
    for without in (tokenizer(None), ByteTokenizer(100)):
        with pytest.raises(LlemError, match="has no chat template"):
            without.encode([request])
