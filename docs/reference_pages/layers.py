"""The drawing of the core's layers in docs/design/architecture.md: their order as import-linter holds it, their imports as the
code has them."""

from __future__ import annotations

import ast
import textwrap
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "core" / "src" / "llem"
WIDTH = 118


def layers() -> list[list[str]]:
    """The layers of the core from top to bottom, each with the names that share it."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contract = next(
        c
        for c in settings["tool"]["importlinter"]["contracts"]
        if any("llem.errors" in layer for layer in c.get("layers", ()))
    )
    return [[name.strip().removeprefix("llem.") for name in layer.split(":")] for layer in contract["layers"]]


def imports() -> dict[str, set[str]]:
    """Part of the core to those of its parts that it imports when it runs; what only type checkers read is left out."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in SOURCES.rglob("*.py"):
        part = path.relative_to(SOURCES).parts[0].removesuffix(".py")
        for module in _imported(ast.parse(path.read_text(encoding="utf-8"))):
            if module.startswith("llem."):
                found[part].add(module.split(".")[1])
        found[part].discard(part)
    return found


def drawing() -> str:
    """The layers as a block of text: each with what it imports of those below it."""
    known, found = layers(), imports()
    below = {name: place for place, layer in enumerate(known) for name in layer}
    width = max(len(name) for name in below) + 2
    lines = []
    for layer in known:
        for name in layer:
            of = sorted(found[name] & set(below), key=lambda other: (below[other], other))
            mark = "┌" if len(layer) > 1 and name == layer[0] else "└" if name == layer[-1] and len(layer) > 1 else " "
            mark = "│" if len(layer) > 1 and name not in (layer[0], layer[-1]) else mark
            head = f"{mark} {name:{width}}"
            lines += textwrap.wrap(
                " ".join(of) or "–",
                WIDTH,
                initial_indent=head,
                subsequent_indent=" " * len(head),
                break_on_hyphens=False,
            )
    return "\n".join(["```text", *lines, "```"])


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom) and node.module == "llem":
            yield from (f"llem.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        else:
            yield from _imported(node)
