"""Contexts carry the registry: a stage, a runner or a check that asked for a global one would not see the one it was given."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOORS = {
    "core/src/llem/plugins.py",  # where it is made
    "core/src/llem/cli/invoke.py",  # the command line's entry
    "core/src/llem/api.py",  # the library's
    "plugins/llem-plugin-kit/src/llem_plugin_kit/registering.py",  # that of suites for plugins
    "plugins/llem-analysis/src/llem_analysis/installed.py",  # the analyses', which notebooks call
}


def test_the_registry_of_this_environment_is_asked_for_at_the_doors_only() -> None:
    sources = [path for tree in ("core", "plugins/*", "runners/*") for path in ROOT.glob(f"{tree}/src/**/*.py")]
    asking = {str(path.relative_to(ROOT)) for path in sources if "default_registry" in _names(path)}
    assert asking == DOORS


def _names(path: Path) -> set[str]:
    text = path.read_text(encoding="utf-8")
    if "default_registry" not in text:
        return set()  # most files, which need no parser
    tree = ast.parse(text)
    found = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return found | {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.alias)}
