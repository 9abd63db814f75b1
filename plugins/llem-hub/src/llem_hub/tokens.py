"""Prompts to token ids, for engines that leave it to llem. Takes a tokenizer of transformers, and imports nothing of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from llem.plugin_api import Caveat, LlemError, Request


class Tokenizer(Protocol):
    """The engine's needs of a tokenizer.

    Attributes:
        name: for the result.
        special_ids: ids that stand for no text.
        pad_id: where it has one.
    """

    name: str
    special_ids: frozenset[int]
    pad_id: int | None

    def encode(self, requests: Sequence[Request]) -> list[list[int]]:
        """Token ids of each request's prompt, without padding, cut as the request asks."""

    def decode(self, token_ids: Sequence[int]) -> str | None:
        """Their text without special tokens; None where ids stand for no text."""

    def caveats(self) -> list[Caveat]:
        """Caveat on prompts cut since the last call (see `ReportsCaveats.caveats`)."""


class Cuts:
    """Prompts that were cut to `dataset.input_tokens`, by their ids."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._whole: dict[int, int] = {}
        self._limit = 0

    def cut(self, request: Request, ids: Sequence[int]) -> list[int]:
        """The first ids of a prompt, as many as the request takes."""
        self._seen.add(request.id)
        limit = request.max_input_tokens
        if limit is not None and len(ids) > limit:
            self._whole[request.id], self._limit = len(ids), limit
        return list(ids[:limit])

    def caveats(self) -> list[Caveat]:
        """A caveat where prompts were cut since the last call."""
        whole, seen, self._whole, self._seen = self._whole, len(self._seen), {}, set()
        if not whole:
            return []
        return [
            Caveat(
                "prompts_cut",
                f"{len(whole)} of {seen} prompts were cut to dataset.input_tokens of {self._limit:,}, as the study asks; the "
                f"longest has {max(whole.values()):,} tokens. Their ends were not sent.",
            )
        ]


class TextTokenizer:
    """A tokenizer of transformers.

    Args:
        tokenizer: what `AutoTokenizer` loaded.
        name: where it came from.
    """

    def __init__(self, tokenizer: Any, name: str) -> None:
        self._tokenizer = tokenizer
        self.name = name
        self.special_ids = frozenset(int(i) for i in tokenizer.all_special_ids)
        self.pad_id: int | None = tokenizer.pad_token_id
        self._cuts = Cuts()

    def encode(self, requests: Sequence[Request]) -> list[list[int]]:
        """See `Tokenizer.encode`. With a chat template the message is cut, and the template around it stays whole; a whole
        chat is never cut."""
        encoded: dict[int, list[int]] = {}
        for chat in (False, True):
            texts = {i: r for i, r in enumerate(requests) if r.prompt_token_ids is None and _is_chat(r) is chat}
            if texts:
                encoded |= zip(texts, self._encode(list(texts.values()), chat=chat), strict=True)
        given = {i: self._cuts.cut(r, r.prompt_token_ids or ()) for i, r in enumerate(requests) if i not in encoded}
        return [_checked(r, encoded[i] if i in encoded else given[i]) for i, r in enumerate(requests)]

    def caveats(self) -> list[Caveat]:
        """See `Tokenizer.caveats`."""
        return self._cuts.caveats()

    def decode(self, token_ids: Sequence[int]) -> str | None:
        """See `Tokenizer.decode`."""
        text: str = self._tokenizer.decode(token_ids, skip_special_tokens=True)
        return text

    def _encode(self, requests: Sequence[Request], *, chat: bool) -> list[list[int]]:
        if not chat:
            ids: list[list[int]] = self._tokenizer([r.prompt for r in requests])["input_ids"]
            return [self._cuts.cut(r, one) for one, r in zip(ids, requests, strict=True)]
        if not self._tokenizer.chat_template:
            raise LlemError(
                f"the tokenizer {self.name} has no chat template.",
                where="dataset.chat_template",
                remedy="Give prompts of text, and leave it false; or take a model that was trained to chat.",
            )
        wrapped = [self._wrap(r) for r in requests]
        chats: list[list[int]] = self._tokenizer(wrapped, add_special_tokens=False)["input_ids"]
        return chats

    def _wrap(self, request: Request) -> str:
        if request.messages is None:
            chat = [{"role": "user", "content": self._cut(request)}]
        else:
            chat = [{"role": message.role, "content": message.content} for message in request.messages]
        try:
            text: str = self._tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        except Exception as error:  # a template is a program of the model's maker, and refuses in its own words
            told = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
            raise LlemError(
                f"the chat template of {self.name} does not take prompt {request.id}: {told}.",
                where="dataset",
                remedy="Give chats of the form that the model was trained for, or name a field of text with dataset.field.",
            ) from error
        return text

    def _cut(self, request: Request) -> str:
        text = request.prompt or ""
        if request.max_input_tokens is None:
            return text
        ids = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        first = self._cuts.cut(request, ids)
        if len(first) == len(ids):
            return text
        cut: str = self._tokenizer.decode(first)
        return cut


class ByteTokenizer:
    """One token for each byte, for models without text of their own: id = byte + offset, modulo what the vocabulary has.

    Args:
        vocab_size: ids are below it, whatever it is.
        offset: the first ids are left to special tokens.
    """

    def __init__(self, vocab_size: int, offset: int = 3) -> None:
        self.name = "bytes"
        self._offset = min(offset, vocab_size - 1)
        self._range = vocab_size - self._offset
        self.special_ids = frozenset(range(self._offset))
        self.pad_id: int | None = 0
        self._cuts = Cuts()

    def encode(self, requests: Sequence[Request]) -> list[list[int]]:
        """See `Tokenizer.encode`."""
        return [
            _checked(r, self._encode(r) if r.prompt_token_ids is None else self._cuts.cut(r, r.prompt_token_ids))
            for r in requests
        ]

    def caveats(self) -> list[Caveat]:
        """See `Tokenizer.caveats`."""
        return self._cuts.caveats()

    def decode(self, token_ids: Sequence[int]) -> str | None:
        """None: random weights write no text, and most ids are no byte."""
        return None

    def _encode(self, request: Request) -> list[int]:
        if _is_chat(request):
            raise LlemError(
                "a random: model without a tokenizer has no chat template.",
                where="dataset.chat_template",
                remedy="Give prompts of text, and leave it false; or name a tokenizer in model.tokenizer.",
            )
        data = self._cuts.cut(request, (request.prompt or "").encode())
        return [byte % self._range + self._offset for byte in data]


def _is_chat(request: Request) -> bool:
    return request.chat_template or request.messages is not None


def _checked(request: Request, ids: list[int]) -> list[int]:
    if not ids:
        raise LlemError(f"prompt {request.id} has no tokens.", remedy="Take empty prompts out of the dataset.")
    return ids
