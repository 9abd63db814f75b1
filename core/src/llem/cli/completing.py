"""Words that a shell offers to complete one that is not finished. Whatever goes wrong meanwhile, it offers nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from llem.cli.registered import offered, registry_of
from llem.plugins import Registry
from llem.specs.kinds import BACKENDS, CHECKS, DATASETS, RUNNERS, SCENARIOS

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from llem.specs.registry import HookKind

COMPLETE_VARIABLE = "_LLEM_COMPLETE"
"""Set by the script of `llem completion` when it asks."""


def is_asked() -> bool:
    """Tell whether it is the shell that calls, and not a user."""
    return COMPLETE_VARIABLE in os.environ


def answer(group: click.Command, registry: Registry) -> int:
    """Print what the shell asked for; returns the exit code."""
    try:
        group.main([], prog_name="llem", complete_var=COMPLETE_VARIABLE, standalone_mode=False, obj=registry)
    except SystemExit as leave:
        return int(leave.code or 0)
    except Exception:  # noqa: BLE001 - a message in the middle of a line that is typed would only disturb
        return 1
    return 0


def study_folders(_: click.Context, __: click.Parameter, typed: str) -> list[CompletionItem[str]]:
    """Studies in the folder results, the newest first; below a study, and elsewhere, any path."""
    from click.shell_completion import CompletionItem

    from llem.results.places import RESULTS, studies_in

    found = [CompletionItem(str(folder)) for folder in studies_in(RESULTS) if str(folder).startswith(typed)]
    return found or [CompletionItem(typed, type="file")]


def _names_of(kind: HookKind[Any]) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem[str]]]:
    """Completes the names of one kind."""
    return lambda context, _, typed: offered(registry_of(context)[kind].values(), typed)


checks, runners = _names_of(CHECKS), _names_of(RUNNERS)


def installed_backends(context: click.Context, _: click.Parameter, typed: str) -> list[CompletionItem[str]]:
    """Installed backends."""
    return offered(registry_of(context)[BACKENDS].values(), typed)


def installed_datasets(context: click.Context, _: click.Parameter, typed: str) -> list[CompletionItem[str]]:
    """Installed datasets; any path where none begins so."""
    from click.shell_completion import CompletionItem

    return offered(registry_of(context)[DATASETS].values(), typed) or [CompletionItem(typed, type="file")]


def settings_keys(context: click.Context, _: click.Parameter, typed: str) -> list[CompletionItem[str]]:
    """Keys of a study as `KEY=`, section by section: what follows the next dot is offered once that is typed."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(key) for key in _keys(registry_of(context), typed) if key.startswith(typed)]


def _keys(registry: Registry, typed: str) -> Iterator[str]:
    from llem.config.keys import Vocabulary

    depth = typed.count(".") + 1
    sections: set[str] = set()
    for key in Vocabulary(registry[BACKENDS], registry[RUNNERS], registry[SCENARIOS]).settings:
        parts = key.split(".")
        if len(parts) <= depth:
            yield f"{key}="
        elif (section := ".".join(parts[:depth])) not in sections:
            sections.add(section)
            yield f"{section}."
