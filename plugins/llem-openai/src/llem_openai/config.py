"""The section `openai:` of a study."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from llem.plugin_api import Section
from llem_openai.serve_command import secrets_in, words_of

RESERVED = frozenset(
    {
        "model",
        "prompt",
        "messages",
        "max_tokens",
        "max_completion_tokens",
        "stream",
        "stream_options",
        "n",
        "echo",
        "stop",
    }
    | {"temperature", "top_p", "seed", "ignore_eos"}
)
"""Fields of a request that llem sets from the rest of the study, or that would make its counts wrong."""

FIELDS = ("model", "max_tokens", "temperature", "top_p", "seed", "ignore_eos", "stream_options", "return_token_ids")
"""Fields that a server may know by another name, or not at all."""

NEEDED = frozenset({"max_tokens"})
"""Those of `FIELDS` without which the work would be another one: they can be renamed, and not left out."""


class OpenaiConfig(Section):
    """Options of the backend `openai`. The server is yours, and runs already, unless `serve` starts it for each experiment."""

    base_url: str = Field(
        "http://127.0.0.1:8000/v1", min_length=1, description="address of the API, with /v1; without a password in it"
    )
    serve: str | list[str] | None = Field(
        None,
        min_length=1,
        description="command that starts the server for the experiment and is ended with it, as one line or a list of words; "
        "{port} in it is the port of base_url, or a free one where that is taken, and {model} is model.source; null: it runs already",
    )
    serve_timeout_s: float = Field(
        600.0, gt=0, le=86_400, description="as long may the server of serve take until it answers"
    )
    pid: int | None = Field(
        None,
        ge=2,
        description="first process of a server that runs on this machine already: its processes count as the experiment's own",
    )
    served_name: str | None = Field(
        None, min_length=1, description="the model's name on the server; null is model.source"
    )
    api_key_variable: str = Field(
        "OPENAI_API_KEY",
        min_length=1,
        description="name of the environment variable that holds the key; none is sent where it is not set",
    )
    api_key_file: str | None = Field(
        None, min_length=1, description="a file that holds the key, in place of the variable"
    )
    concurrency: int = Field(16, ge=1, le=4096, description="requests under way at once, in the scenario offline")
    timeout_s: float = Field(
        600.0, gt=0, le=86_400, description="without a sign of the server for so long, a request fails"
    )
    connect_timeout_s: float = Field(10.0, gt=0, le=3_600, description="as long may a connection take")
    extra: dict[str, Any] = Field(
        default_factory=dict,
        description="further fields of each request, as this server calls them, such as {top_k: 20}",
    )
    request_fields: dict[str, str | None] = Field(
        default_factory=dict,
        description="fields of each request that this server does not take: null leaves one out, a word is the server's own "
        "name for it, such as {seed: null, max_tokens: max_completion_tokens}",
    )
    vocab_size: int | None = Field(
        None,
        ge=2,
        description="of the model: synthetic prompts are drawn below it and sent as token ids; null: datasets of text only",
    )
    same_machine: bool | None = Field(
        None,
        description="whether the server runs on this machine; null: by its address. A tunnel looks local and is not",
    )
    devices: list[str] | None = Field(
        None,
        min_length=1,
        description="ids of this machine's GPUs that the server uses, or [cpu]; null: all that are seen",
    )

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("it is no address such as http://127.0.0.1:8000/v1")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("it holds more than an address; a key belongs into a variable or a file")
        return value.rstrip("/")

    @field_validator("serve")
    @classmethod
    def _is_a_command(cls, value: str | list[str] | None) -> str | list[str] | None:
        if value is None:
            return None
        words = words_of(value)
        if not words or not words[0]:
            raise ValueError("it names no program")
        if secret := sorted(set(secrets_in(words))):
            raise ValueError(
                f"{', '.join(secret)} looks like a secret, and this stands in results; the server inherits llem's variables"
            )
        return value

    @field_validator("extra")
    @classmethod
    def _is_not_llems(cls, value: dict[str, Any]) -> dict[str, Any]:
        if taken := sorted(RESERVED & value.keys()):
            raise ValueError(f"llem sets {', '.join(taken)} from the study")
        if secret := sorted(key for key in value if "key" in key.lower() or key.lower() == "token"):
            raise ValueError(f"{', '.join(secret)} looks like a secret, and this stands in results")
        return value

    @field_validator("request_fields")
    @classmethod
    def _is_a_field_that_is_sent(cls, value: dict[str, str | None]) -> dict[str, str | None]:
        if unknown := sorted(value.keys() - set(FIELDS)):
            raise ValueError(f"llem sends no {', '.join(unknown)}; it sends {', '.join(FIELDS)}")
        if needed := sorted(field for field in NEEDED if field in value and value[field] is None):
            raise ValueError(
                f"without {', '.join(needed)} no answer would have its length; give the server's name for it"
            )
        names = [name for name in value.values() if name is not None]
        taken = {"prompt", "messages", "stream", "n", "echo", "stop", *FIELDS}
        if wrong := sorted(name for name in names if name in taken or not name.isidentifier() or names.count(name) > 1):
            raise ValueError(f"{', '.join(dict.fromkeys(wrong))} is no name that a field can be sent under")
        return value

    @model_validator(mode="after")
    def _has_one_server(self) -> OpenaiConfig:
        if self.serve is not None and self.pid is not None:
            raise ValueError("openai.serve starts a server and openai.pid names one that runs: give one of them")
        if self.same_machine is False and (self.serve is not None or self.pid is not None):
            raise ValueError("a server of openai.serve or openai.pid runs here: leave out same_machine: false")
        return self

    @model_validator(mode="after")
    def _names_no_field_twice(self) -> OpenaiConfig:
        if twice := sorted(name for name in self.request_fields.values() if name in self.extra):
            raise ValueError(f"openai.extra and openai.request_fields both name {', '.join(map(str, twice))}")
        return self


def batch_size(section: Section) -> int | None:
    """Requests under way at once."""
    assert isinstance(section, OpenaiConfig)
    return section.concurrency
