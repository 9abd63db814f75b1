"""The names of an engine, which is all that its messages need to know of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EngineNames:
    """An engine by its names.

    Attributes:
        engine: as its makers write it, such as vLLM.
        backend: in a study, where its section has the same name.
        distributions: under which pip installs it, the usual one first.
        log: the file of an experiment that holds all that it said.
        cache: in which it finds prompts again, such as radix cache.
        context_option: of the section; raises the tokens that prompt and answer may have together.
    """

    engine: str
    backend: str
    distributions: tuple[str, ...]
    log: str
    cache: str
    context_option: str
