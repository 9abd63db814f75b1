"""The backend of a study that names none, and advice on one that is not installed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from llem.config.backends_in_use import backends_in_use
from llem.config.compose import not_installed
from llem.config.keys import RUNNER_OPTIONS, Vocabulary
from llem.config.merging import Merged, Origin, keys_below
from llem.config.problems import listed
from llem.errors import LlemError


def choose_backend(merged: Merged, vocabulary: Vocabulary) -> None:
    """Where no experiment names a backend and only one can be meant, take it, and say so."""
    if "backend" in merged.data or backends_in_use(merged.data):
        return
    written = [name for name in vocabulary.backends if name in merged.data]
    candidates = written or list(vocabulary.backends)
    if len(candidates) == 1:
        merged.data["backend"] = candidates[0]
        why = "the only one with a section" if written else "the only backend installed"
        merged.origins["backend"] = Origin("default", f"({why})")


def drop_unused(merged: Merged, vocabulary: Vocabulary, used: Mapping[str, Any]) -> None:
    """The user file and the environment serve every study: what they say of backends that this one does not use is left out."""
    for name in vocabulary.backends:
        keys = keys_below(merged.origins, name)
        general = keys and all(merged.origins[k].kind in {"user file", "environment"} for k in keys)
        if name not in used and name in merged.data and general:
            del merged.data[name]
            for key in keys:
                del merged.origins[key]
    runners = merged.data.get("runners")
    if isinstance(runners, dict):
        for name in [n for n in runners if n not in vocabulary.backends]:
            if merged.origins.get(f"runners.{name}", Origin("default")).kind == "user file":
                del runners[name]
                del merged.origins[f"runners.{name}"]
    options = merged.data.get(RUNNER_OPTIONS)
    if isinstance(options, dict):
        for name in [n for n in options if n not in vocabulary.runners]:
            keys = keys_below(merged.origins, f"{RUNNER_OPTIONS}.{name}")
            if all(merged.origins[k].kind == "user file" for k in keys):
                del options[name]
                for key in keys:
                    del merged.origins[key]


def one_of(names: Sequence[str]) -> str:
    """The installed backends in words."""
    return ", ".join(names) if names else "none is installed: pip install llem-pytorch"


def raise_missing(
    missing: Mapping[str, str],
    problems: Sequence[tuple[str, str]],
    vocabulary: Vocabulary,
    find_backend: Callable[[str], object] | None,
) -> NoReturn:
    """Raise for backends that are not installed, with whatever else is wrong with the study.

    Args:
        missing: each backend's name to the place where the study names it.
        problems: place and text of everything else.
    """
    errors = [_missing(name, where, vocabulary, find_backend) for name, where in sorted(missing.items())]
    if len(errors) == 1 and not problems:
        raise errors[0]
    lines = [(e.where or "study", f"{e.what} {e.remedy}" if e.remedy else e.what) for e in errors]
    found = listed([*lines, *problems])
    raise type(errors[0])("\n".join([f"{len({*lines, *problems}):,} problems in the study:", *found]))


def _missing(name: str, where: str, vocabulary: Vocabulary, find_backend: Callable[[str], object] | None) -> LlemError:
    """The error on one backend, with the registry's own reason where it has one."""
    if find_backend is not None:
        try:
            find_backend(name)
        except LlemError as error:
            return type(error)(error.what, where=error.where or where, remedy=error.remedy)
    return not_installed(name, vocabulary.backends, where)
