"""Code that backends over engines have in common stands here once, and in neither of them."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

PLUGINS = Path(__file__).parents[2]
BACKENDS = ("llem-vllm", "llem-sglang", "llem-trtllm")
STATEMENTS = 4
"""A function with so many is more than a call with other words."""


def functions(sources: Path) -> Iterator[tuple[str, str]]:
    """Each function of some size as `file:name`, with its code: no docstring, and both engines called by one name."""
    for file in sorted(sources.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            if sum(isinstance(one, ast.stmt) for part in body for one in ast.walk(part)) >= STATEMENTS:
                code = "\n".join(map(ast.unparse, body))
                yield (
                    f"{file.relative_to(sources)}:{node.name}",
                    re.sub("(?i)vllm|sglang|tensorrt-llm|trtllm", "engine", code),
                )


def both(one: Path, other: Path) -> list[tuple[str, str]]:
    """Functions of the same code in two trees."""
    known = {code: name for name, code in functions(one)}
    return [(known[code], name) for name, code in functions(other) if code in known]


def test_no_function_stands_in_two_backends() -> None:
    for one, other in itertools.combinations(BACKENDS, 2):
        assert both(PLUGINS / one / "src", PLUGINS / other / "src") == []


def test_none_is_a_copy_of_what_they_share() -> None:
    for backend in BACKENDS:
        assert both(PLUGINS / "llem-engines" / "src", PLUGINS / backend / "src") == []


def test_a_function_under_another_name_and_with_the_other_engine_in_its_words_is_found(tmp_path: Path) -> None:
    for name, engine in (("one", "vLLM"), ("other", "SGLang")):
        (tmp_path / name).mkdir()
        code = f'def {name}(x):\n    """{engine}."""\n    if x:\n        x += 1\n    y = "{engine} took it"\n    return x, y\n'
        (tmp_path / name / "it.py").write_text(code)
    assert both(tmp_path / "one", tmp_path / "other") == [("it.py:one", "it.py:other")]
