"""The options of each supported SGLang version: facts read out of that SGLang by `python -m llem_sglang.schema`, judged by hand.

A file `VERSION.json` holds two groups of fields: `engine` (ServerArgs) and `sampling` (SamplingParams). Each field has

    name          as SGLang has it
    type          its annotation
    value         JSON Schema of the values that a study may give; absent where none can be written down
    default       as plain data; text where it is no plain value
    choices       the values that SGLang names one by one
    energy        whether it changes what is computed, moved or kept powered
    why           what it decides and the reason, in our words, which describe the key of a study
    set_by        the key of a study that decides it, in its place

SGLang's own help texts are in none: `python -m sglang.launch_server --help` shows them where SGLang is installed.
"""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
DEFAULT = "0.5.23"
"""The version that the extra brings, and with which the backend was tried."""

GROUPS = ("engine", "sampling")

Field = Mapping[str, Any]
Schema = Mapping[str, Any]


def versions() -> Sequence[str]:
    """The SGLang versions with a schema, oldest first."""
    return sorted((path.stem for path in FOLDER.glob("[0-9]*.json")), key=_order)


def installed() -> str | None:
    """The version of the SGLang in this environment without its local part, or None. Imports nothing of it."""
    try:
        return importlib.metadata.version("sglang").partition("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return None


def chosen() -> str:
    """The version whose options a study may give here: the installed one where its schema is known, else `DEFAULT`."""
    found = installed()
    return found if found is not None and found in versions() else DEFAULT


@cache
def load(version: str) -> Schema:
    """The schema of one of `versions()`."""
    schema: Schema = json.loads((FOLDER / f"{version}.json").read_text(encoding="utf-8"))
    return schema


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
