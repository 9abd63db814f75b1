"""Assignment of tokens to chunks: decided when the whole answer is there, since servers count in different ways.

A total is a running one (vLLM, SGLang, where asked) or one for the whole answer, on any chunk: the last, the one with the
finish reason, a first one of 0 on each. Some count what each chunk holds. What fits the answer as a whole is taken; where
nothing does, the chunks are pieces, whose tokens nobody counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from llem_openai.chunk import Chunk


@dataclass(frozen=True, slots=True)
class Counted:
    """Knowledge of an answer's tokens.

    Attributes:
        total: output tokens as the server counts them.
        token_ns: one time for each, in order; None where they cannot be told apart.
        piece_ns: times of pieces, no more than there are tokens; None where tokens have times.
        pieces: chunks with text.
        ids: the tokens, where the server sends them all.
    """

    total: int
    token_ns: tuple[int, ...] | None
    piece_ns: tuple[int, ...] | None
    pieces: int
    ids: tuple[int, ...] | None


def count(chunks: Sequence[Chunk], asked: int, end_ns: int) -> Counted | None:
    """The tokens of an answer.

    Args:
        chunks: all of it.
        asked: the most tokens that it may have.
        end_ns: when it ended; the one piece of an answer in which no text was seen.

    Returns:
        None where the server does not say how many there are.
    """
    total = _total(chunks, asked)
    if total is None:
        return None
    pieces = [chunk.t_ns for chunk in chunks if chunk.text]
    found = [token for chunk in chunks for token in chunk.ids]
    ids = tuple(found) if len(found) == total else None
    # A server may claim a thousand million tokens: the answer is refused by that, and a time for each would fill the memory.
    readings = _readings(chunks, asked) if total <= max(asked, len(chunks)) else ()
    for counts in readings:
        if _fits(chunks, counts, total):
            times = tuple(chunk.t_ns for chunk, count in zip(chunks, counts, strict=True) for _ in range(count))
            return Counted(total, times, None, len(pieces), ids)
    return Counted(total, None, _at_most(total, pieces) or (end_ns,), len(pieces), ids)


def _total(chunks: Sequence[Chunk], asked: int) -> int | None:
    """Number of tokens that the server counts: the highest total, since a total of 0 stands for none so far, or for nothing."""
    told = [chunk.told for chunk in chunks if chunk.told]
    if not told:
        ids = sum(len(chunk.ids) for chunk in chunks)
        return ids if ids and all(chunk.ids for chunk in chunks if chunk.text) else None
    if _counts_each(chunks, asked):
        # A total of the whole answer may follow; it is the largest number then, and no further addend.
        return max(max(told), sum(chunk.told or 0 for chunk in chunks if chunk.text))
    return max(told)


def _counts_each(chunks: Sequence[Chunk], asked: int) -> bool:
    """True where counts are those of each chunk, because as running totals they cannot be true."""
    told = [chunk.told or 0 for chunk in chunks if chunk.text]
    if not told or not all(told) or all(earlier < later for earlier, later in pairwise(told)):
        return False
    rest = max((chunk.told or 0 for chunk in chunks if not chunk.text), default=0)
    added = sum(told)
    if rest > max(told):
        return rest == added
    falls = any(later < earlier for earlier, later in pairwise(told))
    return added <= asked and (falls or max(told) < len(told) or added == asked > max(told))


def _readings(chunks: Sequence[Chunk], asked: int) -> Iterator[list[int]]:
    """Ways to tell how many tokens each chunk brought, the surest first."""
    highest, running = 0, []
    for chunk in chunks:
        running.append(max(0, (chunk.told or 0) - highest))
        highest = max(highest, chunk.told or 0)
    yield running
    yield [len(chunk.ids) for chunk in chunks]
    yield [chunk.logprobs for chunk in chunks]
    if _counts_each(chunks, asked):
        yield [(chunk.told or 0) if chunk.text else 0 for chunk in chunks]
    yield [int(chunk.text) for chunk in chunks]


def _fits(chunks: Sequence[Chunk], counts: Sequence[int], total: int) -> bool:
    """True where a way of counting agrees with the answer: it adds up, no text comes without a token, and no more tokens
    come without a text (held back, or a stop token) than others come at once with one: more is a total told late."""
    if sum(counts) != total:
        return False
    with_text = [count for chunk, count in zip(chunks, counts, strict=True) if chunk.text]
    rest = [(chunk.choice, count) for chunk, count in zip(chunks, counts, strict=True) if not chunk.text and count]
    most = max(with_text, default=1)
    return all(with_text) and all(choice and count <= most for choice, count in rest)


def _at_most(total: int, pieces: Sequence[int]) -> tuple[int, ...]:
    """Times of pieces. Where there are more pieces than tokens, those of as many that lie evenly among them, from the first to the
    last: the last piece ends the last token."""
    if len(pieces) <= total:
        return tuple(pieces)
    last = len(pieces) - 1
    return tuple(pieces[place * last // (total - 1)] for place in range(total)) if total > 1 else (pieces[-1],)
