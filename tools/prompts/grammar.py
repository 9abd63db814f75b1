"""A grammar of text: named lists of phrases that refer to each other.

In a phrase, braces are replaced:

    {bird}       a phrase of the rule `bird`, expanded anew; a text sees all phrases of a rule before one returns
    {Town}       a rule whose name begins with a capital: expanded once in a text, the same ever after
    {3-40}       a whole number of that range
    {1700-1980y} the same, without a separator of thousands
    {a bird}     with the indefinite article that fits
    {^bird}      with a capital first letter
    <a|b {bird}> one of these, which may hold braces
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

Rules = Mapping[str, Sequence[str]]

_SLOT = re.compile(r"\{(\^?)(a )?([^{}]+)\}")
_CHOICE = re.compile(r"<([^<>]*)>")
_RANGE = re.compile(r"(\d+)-(\d+)(y?)")
_FOLDER = Path(__file__).parent / "grammar"


class Dice:
    """Random choices that are the same on every machine and Python: only `Random.random` is promised to be."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big"))

    def below(self, n: int) -> int:
        """A whole number from 0 to n - 1."""
        return int(self._random.random() * n)

    def shuffled(self, n: int) -> list[int]:
        """0 to n - 1 in some order."""
        order = list(range(n))
        for i in range(n - 1, 0, -1):
            j = self.below(i + 1)
            order[i], order[j] = order[j], order[i]
        return order


def read_rules() -> dict[str, list[str]]:
    """Every rule of every file of the folder `grammar`."""
    rules: dict[str, list[str]] = {}
    for file in sorted(_FOLDER.glob("*.yaml")):
        for name, phrases in yaml.safe_load(file.read_text(encoding="utf-8")).items():
            if name in rules:
                raise ValueError(f"{file}: the rule {name} stands in another file too")
            rules[name] = [str(phrase) for phrase in phrases]
    return rules


class Voice:
    """One text's way through the grammar: it remembers names that were fixed, and which phrases were used."""

    def __init__(self, rules: Rules, dice: Dice) -> None:
        self._rules = rules
        self._dice = dice
        self._fixed: dict[str, str] = {}
        self._left: dict[str, list[int]] = {}

    def say(self, rule: str) -> str:
        """A phrase of a rule, expanded."""
        return self._expand(self._rules[rule][self._next(rule)])

    def title(self, rule: str) -> str:
        """As `say`, with a capital first letter."""
        text = self.say(rule)
        return text[:1].upper() + text[1:]

    def one_of(self, names: Sequence[str]) -> str:
        """One of these, any."""
        return names[self._dice.below(len(names))]

    def below(self, n: int) -> int:
        """A whole number from 0 to n - 1."""
        return self._dice.below(n)

    def forget(self, *names: str) -> None:
        """Let go of what was fixed under these names; without names, of everything."""
        for name in names or list(self._fixed):
            self._fixed.pop(name, None)

    def _next(self, rule: str) -> int:
        left = self._left.get(rule)
        if not left:
            left = self._left[rule] = self._dice.shuffled(len(self._rules[rule]))
        return left.pop()

    def _expand(self, phrase: str) -> str:
        return _SLOT.sub(self._fill, _CHOICE.sub(lambda found: self.one_of(found[1].split("|")), phrase))

    def _fill(self, slot: re.Match[str]) -> str:
        capital, article, name = slot[1], slot[2], slot[3]
        text = self._value(name)
        if article:
            text = ("an " if text[0].lower() in "aeiou" and not text.startswith(("one", "uni", "eu")) else "a ") + text
        return text[0].upper() + text[1:] if capital else text

    def _value(self, name: str) -> str:
        numbers = _RANGE.fullmatch(name)
        if numbers:
            low, high = int(numbers[1]), int(numbers[2])
            value = low + self._dice.below(high - low + 1)
            return str(value) if numbers[3] else f"{value:,}"
        if name[0].isupper():
            if name not in self._fixed:
                self._fixed[name] = self.say(name)
            return self._fixed[name]
        return self.say(name)
