"""A dataset: where prompts come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llem.specs.caveat import Caveat


@dataclass(frozen=True, kw_only=True)
class DatasetSpec:
    """Registration of a dataset, by `llem_datasets`.

    Attributes:
        name: the word in `dataset.name`.
        api_version: the `API_VERSION` that it was written for.
        summary: one line for `llem plugins`.
        loader: `package.module:function`; takes a `DatasetConfig` and the folder that relative paths start from (str),
            returns a `LoadedDataset`, raises `llem.errors.DatasetError`.
        requires: import names that must be present; looked up, never imported.
        install: the command that brings them, for messages.
    """

    name: str
    api_version: int
    summary: str
    loader: str
    requires: tuple[str, ...] = ()
    install: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat: who says it (`system`, `developer`, `user` or `assistant`), and its text."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Piece:
    """A recipe for a part of a prompt: so many random token ids, drawn with a seed.

    Prompts that have a piece in common have its tokens in common. A shorter piece of the same seed is the beginning of a
    longer one.
    """

    tokens: int
    seed: int


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt: text, a chat, a recipe for random token ids (`input_tokens` of them, drawn with `seed`), or several such pieces.

    A chat is sent whole, in the model's chat template; its last message is what the model answers.

    Attributes:
        output_tokens: length of this prompt's answer, as `dataset.output_tokens` says it of all; None for that.
        session: number of the conversation that it is a turn of: its turns follow one another in the dataset, each the chat so far
            with its recorded answers. None for a prompt that stands alone.
    """

    text: str | None = None
    messages: tuple[Message, ...] | None = None
    input_tokens: int | None = None
    seed: int = 0
    pieces: tuple[Piece, ...] = ()
    output_tokens: int | None = None
    session: int | None = None


@dataclass(frozen=True, kw_only=True)
class LoadedDataset:
    """Prompts that were drawn, and what they are.

    Attributes:
        name: the dataset's name as in the configuration.
        provenance: who made it, where it came from, at which revision.
        sha256: over the whole dataset as read (file bytes; for a generated one its recipe), not over the n drawn prompts.
        prompts: exactly `DatasetConfig.n`; fewer in the dataset is an error, never a silent repetition.
        available: how many prompts the dataset holds; None where it holds as many as are asked for, such as a generated one.
        caveats: what was changed in what the dataset holds; a warning of the result each.
    """

    name: str
    provenance: str
    sha256: str
    prompts: Sequence[Prompt]
    available: int | None = None
    caveats: Sequence[Caveat] = ()
