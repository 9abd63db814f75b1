"""The check `models`: every model and tokenizer of a plan is there, before a worker looks for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from llem.plugin_api import BACKENDS, RUNNERS, Finding, LlemError, PreflightContext, error_finding
from llem_hub.availability import Availability
from llem_hub.hub_finding import hub_finding
from llem_hub.sources import is_hub_id, locate_model

_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.json", "vocab.txt", "spiece.model")
"""Files of which a folder with a tokenizer has one at least."""


def check_models(context: PreflightContext) -> Iterator[Finding]:
    """Locate every distinct model and tokenizer: a local one must be there and readable, and the hub must have the others."""
    here = [e for e in context.experiments if not _is_elsewhere_of(context, e.backend)]
    asked: dict[tuple[str, str | None], Availability] = {}
    for source, revision in dict.fromkeys((e.model.source, e.model.revision) for e in context.experiments):
        what = f"model `{source}`"
        try:
            location = locate_model(source, str(context.base_dir))
        except LlemError as error:
            yield error_finding(what, error)
            continue
        if location.kind == "hub" and source in context.registry[BACKENDS]:
            yield Finding(
                level="error",
                message=f"{what}: that is a backend, which runs models",
                remedy=f"Set backend: {source}, and name a model: a hub id, a folder, a .gguf file, or random:ARCHITECTURE.",
            )
        elif location.kind == "hub" and any((e.model.source, e.model.revision) == (source, revision) for e in here):
            yield hub_finding(what, source, revision, asked)
        else:
            yield Finding(level="ok", message=f"{what}: {location.kind}")
    for name in dict.fromkeys(e.model.tokenizer for e in context.experiments if e.model.tokenizer is not None):
        what = f"tokenizer `{name}`"
        folder = Path(context.base_dir, Path(name).expanduser())
        if folder.exists() or not is_hub_id(name):
            yield _tokenizer_folder(what, folder)
        elif any(e.model.tokenizer == name for e in here):
            yield hub_finding(what, name, None, asked)


def _tokenizer_folder(what: str, folder: Path) -> Finding:
    remedy = "Correct model.tokenizer: a folder, or a hub id; a relative path starts from the study's folder."
    if not folder.is_dir():
        if "://" in what:  # joined to a folder an address would be no address any more
            return Finding(level="error", message=f"{what}: that is an address on the web", remedy=remedy)
        found = "a file, not a folder" if folder.exists() else "no such folder"
        return Finding(level="error", message=f"{what}: {folder}: {found}", remedy=remedy)
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        return Finding(
            level="error", message=f"{what}: {folder} has no tokenizer ({', '.join(_TOKENIZERS)})", remedy=remedy
        )
    return Finding(level="ok", message=f"{what}: folder")


def _is_elsewhere_of(context: PreflightContext, backend: str) -> bool:
    """True where experiments of a backend load their model in another environment, which may reach another hub."""
    spec = context.registry.find(BACKENDS, backend)
    runner = context.runners.get(backend)
    return "online" in spec.capabilities or (
        runner is not None and context.registry.find(RUNNERS, runner.partition(":")[0]).location != "here"
    )
