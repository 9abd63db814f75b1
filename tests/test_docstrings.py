"""A docstring's first line says what the thing is or does: a noun phrase or an imperative."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = [
    *("core", "bench", "docs", "examples", "tests", "tools"),
    *(str(folder.parent.relative_to(ROOT)) for kind in ("plugins", "runners") for folder in ROOT.glob(f"{kind}/*/src")),
]
QUESTION = re.compile(r"(What|Whether|Which|How|So|Who|When|Why)\b")


def _texts(file: Path) -> Iterator[tuple[int, str]]:
    """The line and the first line of each docstring of a file: of modules, classes, functions, and names that are assigned."""
    text = (
        re.sub(r"\$\{?\w+\}?", "NAME", file.read_text(encoding="utf-8"))
        if file.suffix == ".txt"
        else file.read_text("utf-8")
    )
    if not re.search(rf"\"\s*{QUESTION.pattern}", text):
        return  # most files, which need no parser
    for node in ast.walk(ast.parse(text)):
        body = getattr(node, "body", None)
        if not isinstance(body, list):
            continue
        owns = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        for previous, statement in zip([None, *body], body, strict=False):
            is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
            documents = (previous is None and owns) or isinstance(previous, ast.Assign | ast.AnnAssign)
            if is_text and documents and isinstance(statement.value.value, str):  # type: ignore[attr-defined]
                yield statement.lineno, statement.value.value.strip().partition("\n")[0]  # type: ignore[attr-defined]


def questions(folder: Path) -> list[str]:
    """Docstrings below a folder that open with a question word, each with its place."""
    return [
        f"{file.relative_to(folder)}:{line}: {text}"
        for file in sorted([*folder.rglob("*.py"), *folder.rglob("*.py.txt")])
        for line, text in _texts(file)
        if QUESTION.match(text)
    ]


@pytest.mark.parametrize("folder", SOURCES)
def test_no_docstring_opens_with_a_question_word(folder: str) -> None:
    assert questions(ROOT / folder) == []


def test_every_place_where_a_docstring_may_stand_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "sample.py").write_text(
        '"""What a module is."""\n'
        'A = 1\n"""Which value this is."""\n'
        "class B:\n"
        '    """How it works."""\n'
        '    c: int = 0\n    """So many."""\n'
        '    def d(self):\n        """Whether it is.\n\n        More.\n        """\n'
        'async def e():\n    """The thing. What follows the first word is free."""\n'
        '    "What is no docstring"\n'
        'print("Why not")\n'
    )
    found = questions(tmp_path)
    assert [line.partition(": ")[2].split()[0] for line in found] == ["What", "Which", "How", "So", "Whether"]
