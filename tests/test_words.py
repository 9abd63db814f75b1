"""The glossary: each word is explained once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "design" / "words.md").read_text(encoding="utf-8")
WORDS = PAGE.partition("## Still to be brought here")[0]


def first_cells(text: str) -> list[str]:
    """The first cell of each row of every table, without headings."""
    rows = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")]
    return [cell for cell in rows if cell not in ("word", "now", "what")]


def test_every_word_is_explained_once() -> None:
    words = [word.strip() for cell in first_cells(WORDS) for word in cell.split(",")]
    assert len(words) > 60
    assert [word for word, count in Counter(words).items() if count > 1] == []
