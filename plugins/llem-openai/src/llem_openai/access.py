"""How the server is reached: its address, the key, what it says of itself. Nothing here lets the key out."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from llem.errors import ModelError
from llem.results.scrub import HIDDEN
from llem_openai.config import OpenaiConfig


@dataclass(frozen=True)
class Access:
    """A way to the server.

    Attributes:
        options: the section of the study.
        headers: with the key, where there is one; not shown where this is printed.
    """

    options: OpenaiConfig
    headers: Mapping[str, str] = field(repr=False)

    @property
    def timeout(self) -> httpx.Timeout:
        """Of every request."""
        return httpx.Timeout(self.options.timeout_s, connect=self.options.connect_timeout_s, pool=None)

    def get(self, url: str) -> httpx.Response:
        """Ask for a page. Raises ModelError where nobody answers."""
        try:
            return httpx.get(url, headers=dict(self.headers), timeout=self.options.connect_timeout_s, trust_env=False)
        except httpx.HTTPError as error:
            raise unreachable(self.options, error) from error

    def models(self) -> list[dict[str, Any]]:
        """What the server serves: one entry for each model, with its `id`. Raises ModelError where it does not say."""
        response = self.get(f"{self.options.base_url}/models")
        if response.status_code != 200:
            raise self.refused(response.status_code, response.text)
        try:
            found = [entry for entry in response.json()["data"] if isinstance(entry.get("id"), str)]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(
                "what answers there is no OpenAI-compatible server: its /models has no list of models.",
                where=self.options.base_url,
                remedy="Correct openai.base_url; it usually ends with /v1.",
            ) from error
        return found

    def version(self) -> str | None:
        """What the server says its version is, where it has a page for that, as vLLM has."""
        try:
            response = self.get(self.options.base_url.removesuffix("/v1") + "/version")
            told = response.json()["version"] if response.status_code == 200 else None
        except (ModelError, ValueError, KeyError, TypeError):
            return None
        return told if isinstance(told, str) else None

    def refused(self, status: int, body: str) -> ModelError:
        """The server answers that it will not. Some repeat the key that they were given; it is taken out."""
        options = self.options
        remedy = {
            401: f"Put the key into the variable {options.api_key_variable}, or name a file by openai.api_key_file.",
            403: f"The key in {options.api_key_variable} may not do this; take another.",
            404: "Correct openai.base_url (it usually ends with /v1) or openai.served_name.",
            429: "Lower openai.concurrency, or ask for a higher limit; a measurement cannot wait for its turn.",
        }.get(status, "Look at the server's log; openai.extra and the decoding section hold what it may not take.")
        reason = _reason(body)
        key = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if key:
            reason = reason.replace(key, HIDDEN)
        return ModelError(f"the server refuses with {status}: {reason}", where=options.base_url, remedy=remedy)


def access(options: OpenaiConfig, base_dir: str) -> Access:
    """The way to the server, with its key.

    Raises:
        ModelError: the key's file cannot be read, or is empty.
    """
    key = os.environ.get(options.api_key_variable, "").strip()
    if options.api_key_file is not None:
        path = Path(base_dir, Path(options.api_key_file).expanduser())
        try:
            key = path.read_text(encoding="ascii").strip()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not plain text"
            raise ModelError(
                f"the key cannot be read: {reason}.", where=str(path), remedy="Correct openai.api_key_file."
            ) from error
        if not key:
            raise ModelError("it holds no key.", where=str(path), remedy="Correct openai.api_key_file.")
    return Access(options, {"Authorization": f"Bearer {key}"} if key else {})


def unreachable(options: OpenaiConfig, error: Exception) -> ModelError:
    """Nobody answers."""
    reason = str(error) or type(error).__name__
    return ModelError(
        f"the server does not answer: {reason.splitlines()[0].rstrip('.')}.",
        where=options.base_url,
        remedy="Start it, correct openai.base_url, or raise openai.timeout_s where it is only slow.",
    )


def _reason(body: str) -> str:
    """The sentence in an error's body, whatever its shape."""
    try:
        found = json.loads(body)
        inner = found.get("error", found)
        text = str(inner.get("message", inner) if isinstance(inner, dict) else inner)
    except (ValueError, AttributeError):
        text = body
    return " ".join(text.split())[:300].rstrip(".") + "." if text.strip() else "it says nothing more."
