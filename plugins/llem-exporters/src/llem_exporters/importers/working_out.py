"""Values that follow from told ones by the definitions that every result keeps, and where told values contradict them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

_ENERGY, _POWER, _WINDOW = "energy.headline.energy_j", "energy.headline.mean_w", "energy.window_s"
_REQUESTS, _INPUT, _OUTPUT = "tokens.requests", "tokens.input", "tokens.output"
_SPEED, _TOTAL_SPEED, _RATE = "throughput.tokens_per_s", "throughput.total_tokens_per_s", "throughput.requests_per_s"
_PER_TOKEN, _PER_ANY, _PER_REQUEST = (
    "energy.headline.j_per_output_token",
    "energy.headline.j_per_token",
    "energy.headline.j_per_request",
)
CONVERTED, WORKED_OUT = ", converted from ", "worked out: "
"""Parts of a source: before the unit that a value came in, and before the definition that it follows by."""

ALLOWED = 0.02
"""Part by which two values may differ that should be one; what tools round, and edges that they take otherwise, is below it."""


@dataclass(frozen=True)
class Told:
    """A value in llem's unit, and where it stood: the file's own name for it, and its unit where it was converted."""

    value: float
    source: str


@dataclass(frozen=True)
class _Rule:
    """One value from others, by a definition of the method."""

    column: str
    of: tuple[str, ...]
    by: Callable[..., float]
    words: str


def _over(a: float, b: float) -> float:
    return a / b


def _times(a: float, b: float) -> float:
    return a * b


def _over_both(a: float, b: float, c: float) -> float:
    return a / (b + c)


_RULES = (
    _Rule(_POWER, (_ENERGY, _WINDOW), _over, "energy / duration"),
    _Rule(_ENERGY, (_POWER, _WINDOW), _times, "mean power x duration"),
    _Rule(_SPEED, (_OUTPUT, _WINDOW), _over, "output tokens / duration"),
    _Rule(_RATE, (_REQUESTS, _WINDOW), _over, "requests / duration"),
    _Rule(_PER_TOKEN, (_ENERGY, _OUTPUT), _over, "energy / output tokens"),
    _Rule(_PER_ANY, (_ENERGY, _INPUT, _OUTPUT), _over_both, "energy / (input and output tokens)"),
    _Rule(_PER_REQUEST, (_ENERGY, _REQUESTS), _over, "energy / requests"),
    _Rule(_PER_TOKEN, (_POWER, _SPEED), _over, "mean power / output tokens per second"),
    _Rule(_PER_ANY, (_POWER, _TOTAL_SPEED), _over, "mean power / tokens per second"),
    _Rule(_PER_REQUEST, (_POWER, _RATE), _over, "mean power / requests per second"),
)
_COUNTS = {
    "latency.ttft_s": (_REQUESTS, "one for each request"),
    "latency.e2e_s": (_REQUESTS, "one for each request"),
    "latency.tpot_s": (_REQUESTS, "one for each request, at most"),
}


def worked_out(told: Mapping[str, Told]) -> dict[str, Told]:
    """The told values with what follows from them. What the rules cannot tell stays missing."""
    found = dict(told)
    for rule in _RULES:
        if rule.column not in found and (value := _applied(rule, found)) is not None:
            found[rule.column] = Told(value, WORKED_OUT + rule.words)
    for family, (column, words) in _COUNTS.items():
        has_any = any(name.startswith(family + ".") for name in found)
        if has_any and f"{family}.n" not in found and column in found:
            found[f"{family}.n"] = Told(found[column].value, WORKED_OUT + words)
    gaps = "latency.itl_s.n"
    if (
        gaps not in found
        and any(name.startswith("latency.itl_s.") for name in found)
        and {_OUTPUT, _REQUESTS} <= set(found)
    ):
        count = found[_OUTPUT].value - found[_REQUESTS].value
        if count > 0:
            found[gaps] = Told(count, WORKED_OUT + "output tokens - requests")
    return found


def contradictions(told: Mapping[str, Told]) -> Iterator[str]:
    """Sentences on told values that other told values contradict by more than `ALLOWED`."""
    seen: set[frozenset[str]] = set()
    for rule in _RULES:
        own = told.get(rule.column)
        value = _applied(rule, told)
        if own is None or value is None or not own.value:
            continue
        about = frozenset((rule.column, *rule.of))
        if abs(value / own.value - 1) > ALLOWED and about not in seen:
            seen.add(about)
            yield (
                f"`{rule.column}` is {own.value:.4g} in the file, and {rule.words} gives {value:.4g}: they differ by "
                f"{abs(value / own.value - 1):.0%}, so that they are not of the same stretch of time or work."
            )


def _applied(rule: _Rule, values: Mapping[str, Told]) -> float | None:
    of = [values[name].value for name in rule.of if name in values]
    if len(of) < len(rule.of) or not all(value > 0 for value in of):
        return None
    return rule.by(*of)
