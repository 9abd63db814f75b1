"""docs/reference/plugin-api.md: every name that plugins import of the core, and what it is."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import itertools
import types
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from docs.reference_pages.markdown import code, document, escaped, table
from llem import plugin_api
from llem.plugin_api import API_VERSION, HookKind

INTRODUCTION = f"""A plugin imports `llem.plugin_api`, and nothing else of the core; import-linter holds every plugin of the repository
to it. What stands here is public and kept: `API_VERSION`, now {API_VERSION}, rises where it breaks. Names are imported on first use,
so that registering stays light. [Hooks and interfaces](hooks.md) has specs and protocols field by field;
[writing a plugin](../plugins.md) shows them at work."""


def page() -> str:
    """The whole page."""
    return document("What plugins import", INTRODUCTION, _parts())


def _parts() -> Iterator[str]:
    for topic, modules in plugin_api.TOPICS.items():
        yield f"## {topic}"
        names = sorted(
            ((name, module) for module, listed in modules.items() for name in listed.split()),
            key=lambda entry: entry[0].lower(),
        )
        yield table(["name", "what it is"], ([code(name), escaped(_sentence(name, module))] for name, module in names))


def _sentence(name: str, module: str) -> str:
    """The first paragraph of what its author says of it; of a plain constant its value."""
    value = getattr(plugin_api, name)
    if isinstance(value, HookKind):
        return f"The kind `{value.word}`: specs that plugins return from `{value.hook}`. The key to them in a registry."
    if isinstance(value, type | types.ModuleType) or inspect.isfunction(inspect.unwrap(value)):
        return " ".join((inspect.getdoc(value) or "").split("\n\n")[0].split())
    told = _attributes(module).get(name)
    return " ".join((told or code(repr(value))).split("\n\n")[0].split())


@cache
def _attributes(module: str) -> dict[str, str]:
    """Docstrings of a module's attributes: the string that follows an assignment."""
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    body = ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body
    found = {}
    for statement, after in itertools.pairwise(body):
        if not isinstance(after, ast.Expr) or not isinstance(after.value, ast.Constant):
            continue
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        for target in targets:
            if isinstance(target, ast.Name):
                found[target.id] = inspect.cleandoc(str(after.value.value))
    return found
