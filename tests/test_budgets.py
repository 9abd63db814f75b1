"""The core stays minimal: lines of its code, and packages and megabytes of an environment that holds nothing else."""

from __future__ import annotations

import ast
import importlib.metadata
import io
import subprocess
import sys
import tokenize
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = ROOT / "core" / "src"

LINES = 18_392
"""Of code in the core. The aim is 18,000; until then this number goes down, never up."""

PACKAGES = 25
"""In an environment into which nothing but the core was installed, itself counted, pip not."""

MEGABYTES = 230
"""Of the same, with the bytecode that pip compiles."""

_NO_CODE = frozenset(
    {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
    }
)


def lines_of_code(source: str) -> int:
    """Lines that hold code: no blank ones, no comments, no docstrings, those of attributes included."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in _NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines)


def test_only_code_is_counted() -> None:
    source = '''"""A module."""

# A comment.
LIMIT = 3  # with a comment
"""An attribute's docstring,
of two lines."""


def say(
    word: str,
) -> str:
    """A function."""
    return f"""{word}
    and more"""
'''
    assert lines_of_code(source) == 1 + 3 + 2


def test_the_core_has_no_more_lines_than_it_may() -> None:
    count = {path: lines_of_code(path.read_text(encoding="utf-8")) for path in SOURCES.rglob("*.py")}
    assert len(count) > 200
    assert sum(count.values()) <= LINES


@pytest.mark.install
@pytest.mark.timeout(600)
def test_the_core_alone_is_light_to_install(wheels: dict[str, Path], tmp_path: Path) -> None:
    home = tmp_path / "env"
    venv.create(home, with_pip=False)
    pip = [sys.executable, "-m", "pip", "--python", str(home / "bin" / "python"), "install", "--quiet"]
    subprocess.run([*pip, "-c", str(ROOT / "constraints.txt"), str(wheels["llem"])], check=True)
    (site,) = home.glob("lib/python*/site-packages")
    packages = sorted(d.name for d in importlib.metadata.distributions(path=[str(site)]))
    size = sum(path.stat().st_size for path in site.rglob("*") if path.is_file()) / 1e6
    assert "llem" in packages
    assert len(packages) <= PACKAGES, packages
    assert size <= MEGABYTES, f"{size:.0f} MB"
