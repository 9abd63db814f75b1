"""docs/troubleshooting.md quotes what the code says, and docs/reference/messages.md leaves nothing out."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path
from typing import Any

import pytest

from llem.errors import BUGS, FAILED_EXPERIMENTS

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "troubleshooting.md"
QUOTED = re.compile(r"\*\*([^*]+)\*\*")
GAP = "…"


def _quotes() -> list[str]:
    return [quote for line in PAGE.read_text(encoding="utf-8").splitlines() for quote in QUOTED.findall(line)]


@functools.cache
def _literals() -> set[str]:
    """Every text in the sources, with `…` for what an f-string fills in."""
    found = set()
    for folder in ("core/src", *map(str, ROOT.glob("plugins/*/src")), *map(str, ROOT.glob("runners/*/src"))):
        for file in (ROOT / folder).rglob("*.py"):
            if "templates" in file.parts:
                continue
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    found.add("".join(str(v.value) if isinstance(v, ast.Constant) else GAP for v in node.values))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.add(node.value)
    return found


@pytest.mark.parametrize("quote", _quotes())
def test_a_message_that_is_explained_is_in_the_code(quote: str) -> None:
    pieces = [re.escape(piece.strip(" `")) for piece in quote.split(GAP)]
    pattern = re.compile(".*".join(piece for piece in pieces if piece), re.DOTALL)
    assert any(pattern.search(text) for text in _literals()), f"no message says {quote!r}"


@pytest.fixture(scope="module")
def found() -> list[Any]:
    """Every message of the sources, as the generated page has it."""
    from docs.reference_pages.messages import messages

    return list(messages())


def test_each_topic_has_its_messages_and_its_section(found: list[Any]) -> None:
    from docs.reference_pages import messages

    titles = {line.removeprefix("## ") for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:3] == "## "}
    assert titles == {*messages.TITLES.values(), "Failed experiments", "Bugs"}
    assert {FAILED_EXPERIMENTS, BUGS} == {"failed-experiments", "bugs"}
    assert {message.topic for message in found} == set(messages.TITLES)


def test_the_list_of_messages_reads_errors_findings_and_problems(found: list[Any]) -> None:
    from docs.reference_pages.messages import Message

    tell = {(m.topic, m.text) for m in found}
    assert ("results", "there is nothing here.") in tell
    assert ("preflight", "backends … and … cannot share one environment") in tell
    assert ("configuration", "`…` belongs to a backend that no experiment uses") in tell
    assert any(m.topic == "docker" for m in found)
    assert Message("plugins", "analyses need numpy and scipy (…).", "pip install 'llem[analysis]'") in found
