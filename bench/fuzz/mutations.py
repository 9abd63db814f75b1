"""Seeded mutations of bytes: from one recording and a number always the same mutant, and no two numbers need to be alike.

Nothing here knows a format. The steps know what formats are made of: lines, numbers, strings, brackets, UTF-8. Whoever
reads the mutants decides what is right; a mutant is named by its seed and its steps, so that a failure can be had again.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

MOST_STEPS = 4
HUGE = 1 << 20
"""Bytes in a line that is meant to be too long for whoever reads lines."""
LARGEST = 4 * HUGE
"""Bytes in a mutant, at most, so that thousands of them take a machine's time for reading and not for copying."""

NUMBERS = (
    *(b"0", b"-0", b"-1", b"1", b"2147483648", b"18446744073709551616", b"1180591620717411303424", b"1e400", b"-1e400"),
    *(b"1e-400", b"1e308", b"0.5", b"7.0", b"NaN", b"-Infinity", b"Infinity", b"00", b"0x10", b"1_000", b"9" * 5000),
)
"""Takes the place of a number: edges of what a machine's integers and doubles hold, and what only some parsers read."""

VALUES = (
    *(
        b"null",
        b"true",
        b"false",
        b"[]",
        b"{}",
        b'""',
        b"[null]",
        b'[{"a":[]}]',
        b'"0"',
        b'" "',
        b'"\\ud800"',
        b'"\\u0000"',
    ),
    *(b'{"":{}}', b'"' + b"x" * 4096 + b'"', b"-", b"]", b"}", b'"', b"[1,2,3]", b'"../../../etc/x"', b'"=1+1"'),
)
"""Takes the place of a value: every other type of JSON and YAML, and pieces of them that stand alone."""

BYTES = (
    *(b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\xc3", b"\xe2\x82", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\xaf"),
    *(
        "\u2028".encode(),
        "\u2029".encode(),
        "\u0085".encode(),
        "\u202e".encode(),
        "e\u0301".encode(),
        b"\x1b[2J",
        b"\x08",
    ),
    *(b"\r", b"\n", b"\r\n", b"\n\n", b"\t", b"\x0b\x0c\x1c\x1d\x1e", b" " * 64, b"<<: *a", b"!!python/name:os.system"),
)
"""Put in anywhere: what UTF-8 does not hold, what some take for the end of a line, what moves a terminal's cursor."""

_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_STRING = re.compile(rb'"(?:[^"\\\n]|\\.)*"')
_WORD = re.compile(rb"[A-Za-z_]{3,}")


@dataclass(frozen=True)
class Mutant:
    """Outcome of a recording.

    Attributes:
        data: the mutated bytes.
        steps: names of what was done to it, in order.
    """

    data: bytes
    steps: tuple[str, ...]


def mutant(data: bytes, seed: int, others: Sequence[bytes] = (), *, most_steps: int = MOST_STEPS) -> Mutant:
    """One mutant of a recording, the same for the same arguments.

    Args:
        data: the recording.
        seed: names the mutant.
        others: recordings that pieces may be taken from.
        most_steps: it takes between one and so many steps.
    """
    chance = random.Random(seed)
    done = []
    for _ in range(chance.randint(1, most_steps)):
        name = chance.choice(list(STEPS))
        data = STEPS[name](data, chance) if name != "splice" else _splice(data, chance, others)
        data = data[:LARGEST]
        done.append(name)
    return Mutant(data, tuple(done))


def _span(data: bytes, chance: random.Random) -> tuple[int, int]:
    start = chance.randint(0, len(data))
    return start, min(len(data), start + int(chance.expovariate(1 / 40)))


def _cut_off(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randint(0, len(data))]


def _cut_out(data: bytes, chance: random.Random) -> bytes:
    start, end = _span(data, chance)
    return data[:start] + data[end:]


def _flip(data: bytes, chance: random.Random) -> bytes:
    found = bytearray(data)
    for _ in range(chance.randint(1, 8) if found else 0):
        found[chance.randrange(len(found))] ^= 1 << chance.randrange(8)
    return bytes(found)


def _times(piece: bytes, count: int) -> bytes:
    return piece * max(1, min(count, LARGEST // max(1, len(piece))))


def _repeat(data: bytes, chance: random.Random) -> bytes:
    start, end = _span(data, chance)
    return data[:end] + _times(data[start:end], chance.choice((1, 2, 50))) + data[end:]


def _repeat_line(data: bytes, chance: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    if not lines:
        return data
    place = chance.randrange(len(lines))
    return b"".join([*lines[:place], _times(lines[place], chance.choice((2, 3, 100))), *lines[place + 1 :]])


def _drop_line(data: bytes, chance: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    if lines:
        del lines[chance.randrange(len(lines))]
    return b"".join(lines)


def _reorder_lines(data: bytes, chance: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    start, end = sorted((chance.randint(0, len(lines)), chance.randint(0, len(lines))))
    some = lines[start:end]
    chance.shuffle(some)
    return b"".join([*lines[:start], *some, *lines[end:]])


def _other_line_ends(data: bytes, chance: random.Random) -> bytes:
    return data.replace(b"\n", chance.choice((b"\r\n", b"\r", b"\n\n", b"", "\u2028".encode(), b" ")))


def _huge_line(data: bytes, chance: random.Random) -> bytes:
    start, _ = _span(data, chance)
    return data[:start] + chance.choice((b"x", b"9", b"[", b" ", b"\\")) * HUGE + data[start:]


def _deep(data: bytes, chance: random.Random) -> bytes:
    opened, closed = chance.choice(((b"[", b"]"), (b'{"a":', b"}"), (b"[{", b"}]"), (b"- ", b"")))
    depth = chance.choice((50, 1_000, 100_000))
    nested = opened * depth + b"0" + (closed * depth if chance.random() < 0.5 else b"")
    return _in_place_of(_NUMBER if chance.random() < 0.5 else _STRING, data, chance, (nested,))


def _put_in(data: bytes, chance: random.Random) -> bytes:
    start, _ = _span(data, chance)
    return data[:start] + chance.choice(BYTES) + data[start:]


def _number(data: bytes, chance: random.Random) -> bytes:
    return _in_place_of(_NUMBER, data, chance, NUMBERS)


def _value(data: bytes, chance: random.Random) -> bytes:
    return _in_place_of(chance.choice((_STRING, _NUMBER, _WORD)), data, chance, VALUES + NUMBERS)


def _rename(data: bytes, chance: random.Random) -> bytes:
    words = _WORD.findall(data)
    return _in_place_of(_WORD, data, chance, [*words, b"__class__", b"a.b.c", b"x" * 300])


def _splice(data: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    other = chance.choice(others) if others else data
    start, end = _span(data, chance)
    begin = chance.randint(0, len(other))
    return data[:start] + other[begin : begin + chance.randint(0, 2_000)] + data[end:]


def _in_place_of(pattern: re.Pattern[bytes], data: bytes, chance: random.Random, new: Sequence[bytes]) -> bytes:
    found = list(pattern.finditer(data))
    if not found or not new:
        return data
    where = chance.choice(found)
    return data[: where.start()] + chance.choice(new) + data[where.end() :]


STEPS: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "cut_off": _cut_off,
    "cut_out": _cut_out,
    "flip": _flip,
    "repeat": _repeat,
    "repeat_line": _repeat_line,
    "drop_line": _drop_line,
    "reorder_lines": _reorder_lines,
    "other_line_ends": _other_line_ends,
    "huge_line": _huge_line,
    "deep": _deep,
    "put_in": _put_in,
    "number": _number,
    "value": _value,
    "rename": _rename,
    "splice": lambda data, chance: _splice(data, chance, ()),
}
"""Every step by its name."""
