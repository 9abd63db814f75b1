"""The glossary, held to the code: what it lists as to be renamed is still there, and each word is explained once."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "design" / "words.md").read_text(encoding="utf-8")
WORDS, _, TO_CHANGE = PAGE.partition("## Names that are to change")


def first_cells(text: str) -> list[str]:
    """The first cell of each row of every table, without headings."""
    rows = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")]
    return [cell for cell in rows if cell not in ("word", "now", "what")]


@pytest.fixture(scope="module")
def source() -> str:
    """All code that is installed, with the paths of its files."""
    files = [path for folder in ("core", "plugins", "runners") for path in (ROOT / folder).glob("**/src/**/*.py")]
    return "\n".join(f"{path.stem} {path.parent.name}\n{path.read_text(encoding='utf-8')}" for path in files)


def test_every_word_is_explained_once() -> None:
    words = [word.strip() for cell in first_cells(WORDS) for word in cell.split(",")]
    assert len(words) > 60
    assert [word for word, count in Counter(words).items() if count > 1] == []


def test_a_name_that_has_been_brought_to_its_word_has_left_the_list_of_those_to_change(source: str) -> None:
    names, _, _ = TO_CHANGE.partition("### Meanings")
    listed = [name for cell in first_cells(names) for name in re.findall(r"`([\w.]+)(?:\(\))?`", cell)]
    assert len(listed) > 40
    parts = {part for name in listed for part in name.split(".") if part}
    assert [part for part in sorted(parts) if not re.search(rf"\b{part}\b", source) and part != "llem"] == []
