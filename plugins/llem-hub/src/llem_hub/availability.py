"""The Hugging Face hub as seen from this machine: its cache, its token, and a question whether it has a model.

Nothing of the hub's library is imported; places and variables are those that it documents.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

ENDPOINT = "https://huggingface.co"
ANSWER_S = 1.5
"""The hub is waited for so long. Whoever asks for a plan will not wait for a network."""

_TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
_YES = {"1", "ON", "YES", "TRUE"}
_REFUSED = (401, 403, 404)
"""Unauthorized, forbidden, not found: the hub does not tell a private model from one that is not there."""
_MOST, _LONGEST = 2**20, 200
"""Limits on an answer: how much of it is read (bytes), and how much of its words is shown (characters)."""

State = Literal["cached", "there", "missing", "unreachable", "offline"]


@dataclass(frozen=True, slots=True)
class Availability:
    """The answer to whether a model can be had.

    Attributes:
        state: `cached` here; `there` on the hub; `missing` there, or private; the hub is `unreachable`; or variables keep its
            library `offline`, and the model is not cached.
        detail: the hub's words, or the reason why it cannot be reached.
        commit: the one that the revision names now, where that is known.
    """

    state: State
    detail: str = ""
    commit: str | None = None


def hf_home(environ: Mapping[str, str]) -> Path:
    """The hub library's own folder."""
    if environ.get("HF_HOME"):
        return Path(environ["HF_HOME"]).expanduser().absolute()
    cache = environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser().absolute() / "huggingface"


def hub_cache(environ: Mapping[str, str]) -> Path:
    """The cache of the Hugging Face hub, as its library finds it."""
    if environ.get("HF_HUB_CACHE"):
        return Path(environ["HF_HUB_CACHE"]).expanduser().absolute()
    return hf_home(environ) / "hub"


def hub_token(environ: Mapping[str, str] = os.environ) -> str | None:
    """The token that the hub's library would use here, or None."""
    for name in _TOKENS:
        if environ.get(name, "").strip():
            return environ[name].strip()
    file = Path(environ["HF_TOKEN_PATH"]) if environ.get("HF_TOKEN_PATH") else hf_home(environ) / "token"
    try:
        return file.expanduser().read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def is_cached(name: str, revision: str | None, hub: Path) -> bool:
    """Tell whether a snapshot of a hub model is whole in the cache: a configuration, weights or a tokenizer."""
    return _cached_commit(name, revision, hub) is not None


def _cached_commit(name: str, revision: str | None, hub: Path) -> str | None:
    folder = hub / f"models--{name.replace('/', '--')}"
    try:
        commit = (folder / "refs" / (revision or "main")).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        commit = revision or ""
    snapshot = folder / "snapshots" / commit
    if not commit or "/" in commit or not snapshot.is_dir() or any((folder / "blobs").glob("*.incomplete")):
        return None
    files = [path for path in snapshot.rglob("*") if not path.is_dir()]
    named = {".safetensors", ".bin", ".gguf", ".model", "tokenizer.json"}
    is_whole = all(path.exists() for path in files) and any({path.suffix, path.name} & named for path in files)
    return commit if is_whole else None


def availability(name: str, revision: str | None, environ: Mapping[str, str] = os.environ) -> Availability:
    """Ask the cache, then the hub, for a model or tokenizer. Takes `ANSWER_S` at the most, and downloads nothing."""
    if commit := _cached_commit(name, revision, hub_cache(environ)):
        return Availability("cached", commit=commit)
    if environ.get("HF_HUB_OFFLINE", "").upper() in _YES or environ.get("TRANSFORMERS_OFFLINE", "").upper() in _YES:
        return Availability("offline")
    found: list[Availability] = []
    # Looking a name up cannot be given a limit: that the network is silent shall cost no more than another silence.
    asking = threading.Thread(target=lambda: found.append(_ask(name, revision, environ)), daemon=True)
    asking.start()
    asking.join(ANSWER_S)
    return found[0] if found else Availability("unreachable", f"no answer within {ANSWER_S:g} s")


def endpoint(environ: Mapping[str, str] = os.environ) -> str:
    """The address of the hub, or of the mirror that the environment names."""
    return (environ.get("HF_ENDPOINT") or ENDPOINT).rstrip("/")


def _ask(name: str, revision: str | None, environ: Mapping[str, str]) -> Availability:
    # Here and not above: it takes a tenth of a second, and most studies ask nobody.
    import urllib.error
    import urllib.parse
    import urllib.request

    at = f"/revision/{urllib.parse.quote(revision, safe='')}" if revision else ""
    request = urllib.request.Request(f"{endpoint(environ)}/api/models/{urllib.parse.quote(name)}{at}")
    if token := hub_token(environ):
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:
            return Availability("there", commit=_word(answer, "sha"))
    except urllib.error.HTTPError as error:
        with error:
            if error.code in _REFUSED:
                return Availability("missing", _word(error, "error") or f"HTTP {error.code}")
            return Availability("unreachable", f"it answers with HTTP {error.code}")
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        return Availability("unreachable", str(getattr(reason, "strerror", None) or reason))


def _word(body: IO[bytes], key: str) -> str | None:
    """The text of one key of the hub's answer, such as `Repository not found`; None where there is none that can be shown."""
    from http.client import HTTPException

    try:
        told = json.loads(body.read(_MOST)).get(key)
    except (OSError, ValueError, AttributeError, HTTPException):
        return None
    return told if isinstance(told, str) and told.isprintable() and len(told) <= _LONGEST else None
