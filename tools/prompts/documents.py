"""Puts sentences together to texts whose length lies between two bounds, in characters."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from tools.prompts.grammar import Dice, Rules, Voice

Piece = tuple[str | None, str]
"""A separator, and the text that follows it; without a separator the text stands alone, as a candidate for the whole."""

Kind = Callable[[Voice, int], Iterator[Piece]]
"""Yields the pieces of a text without end, in the order in which they may stand; is told about how long it becomes."""

_ARTICLES = ("town", "river", "person", "bird", "album", "ship", "building", "club")
_POSTS = (
    "travel",
    "recipe",
    "review",
    "news",
    "howto",
    "firm",
    "forum",
    "pets",
    "column",
    "diary",
    "story",
    "science",
    "match",
    "garden",
    "event",
    "book",
    "vacancy",
)
_TASKS = ("plan", "plan", "tale", "coding", "short")
_ENDS = (".", "?", "!", "=", '"', ":")
"""A text ends with one of these: never with a title."""

_RECENT = 30
"""Within so many pieces no two begin alike."""

_POST = 1_600
"""Characters that a post has at most before another one begins."""


def encyclopedia(voice: Voice, length: int) -> Iterator[Piece]:
    """A section's heading, a sentence, or a paragraph of an article, as there is room."""
    kind = voice.one_of(_ARTICLES)
    while length < 60:
        level = 1 + voice.below(3)
        yield None, f"{'= ' * level}{voice.title('heading')}{' =' * level}"
    while length < 140:
        yield None, voice.say(f"{kind}_article")
    yield "", voice.say(f"{kind}_intro")
    while True:
        yield " ", voice.say(f"{kind}_article")


def web(voice: Voice, length: int) -> Iterator[Piece]:
    """A post, or where one is not enough a page of many, each with a title and a line about it."""
    if length < _POST:
        yield from _post(voice, voice.one_of(_POSTS), length)
    yield "", voice.say("siteintro")
    while True:
        kind = voice.one_of(_POSTS)
        voice.forget()
        room = _POST // 3 + voice.below(_POST)
        yield "\n\n", voice.title(f"{kind}_title")
        yield "\n", voice.title("separator")
        used, between = 0, "\n"
        for _, text in _post(voice, kind, room):
            yield between, text
            used, between = used + len(text), " "
            if used > room:
                break
        yield " ", voice.say(f"{kind}_end")


def chat(voice: Voice, length: int) -> Iterator[Piece]:
    """A question, a task with conditions, or a task on a text that comes with it."""
    while length < 200:
        rules = ("tiny",) if length < 45 else ("tiny", "short") if length < 120 else _TASKS
        yield None, voice.say(voice.one_of(rules))
    if length > 900 or voice.below(3) == 0:
        yield "", voice.say("passage_also")
        other = web if voice.below(4) or length > 1_500 else encyclopedia
        between = "\n\n"
        for separator, text in other(voice, max(length - 100, 140)):
            yield between or separator, text
            between = ""
    kind = voice.one_of(_TASKS[:-1])
    yield "", voice.say(kind)
    while True:
        yield " ", voice.say("task_more" if voice.below(2) else f"{kind}_more")


def _post(voice: Voice, kind: str, length: int) -> Iterator[Piece]:
    while length < 140:
        yield None, voice.title(kind)
    yield "", voice.title(f"{kind}_intro" if length > 250 else kind)
    while True:
        yield "\n" if voice.below(6) == 0 else " ", voice.title(kind)


def write(kind: Kind, rules: Rules, seed: str, low: int, high: int) -> str:
    """A text of this kind with `low` to `high` characters, the same for the same seed.

    Pieces are added while they fit. One that would make the text too long is passed over, and after too many of those
    in a row the last piece is taken back, and after too many attempts another text begun.
    """
    for attempt in range(300):
        text = _attempt(kind, rules, f"{seed}/{attempt}", low, high)
        if text is not None:
            return text
    raise ValueError(f"no text of {low} to {high} characters for {seed}")


def _attempt(kind: Kind, rules: Rules, seed: str, low: int, high: int) -> str | None:
    voice = Voice(rules, Dice(seed))
    parts: list[str] = []
    size, passed_over, taken_back = 0, 0, 0
    recent: deque[str] = deque(maxlen=_RECENT)
    for separator, piece in kind(voice, (low + high) // 2):
        if separator is None:
            if low <= len(piece) <= high:
                return piece
            passed_over += 1
            if passed_over > 400:
                return None
            continue
        part = separator + piece
        if size + len(part) > high or _shape(piece) in recent:
            passed_over += 1
            if passed_over > 150:
                if taken_back == 20 or len(parts) < 3:
                    return None
                size -= len(parts.pop())
                recent.pop()
                passed_over, taken_back = 0, taken_back + 1
            continue
        passed_over = 0
        parts.append(part)
        recent.append(_shape(piece))
        size += len(part)
        if size >= low and piece.endswith(_ENDS):
            return "".join(parts)
    return None


def _shape(piece: str) -> str:
    """The common part of two expansions of one phrase: how they begin, without the numbers."""
    return "".join(c for c in piece if not c.isdigit())[:14]
