"""The axes that a first study could have: those that the backend's author names, else those that its model shows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llem.plugin_api import (
    BackendSpec,
    Composer,
    FieldFacts,
    LlemError,
    ScenarioSpec,
    Vocabulary,
    facts_of,
    missing_requirements,
    nested,
)
from llem_start.template import axis_values

MOST_OFFERED = 6


@dataclass(frozen=True)
class Offer:
    """One axis that could be.

    Attributes:
        key: dotted, with the backend's name.
        values: two or more that the backend takes.
        about: what the key means.
    """

    key: str
    values: Sequence[Any]
    about: str


def offers_of(spec: BackendSpec, scenarios: Mapping[str, ScenarioSpec]) -> list[Offer]:
    """At most `MOST_OFFERED` axes, the most telling first. Every value stands for itself: it needs no other key."""
    facts = facts_of(spec.config)
    listed = spec.worth_varying or {key: axis_values(f) for key, f in facts.items()}
    found: list[Offer] = []
    for key, values in listed.items():
        taken = [value for value in values if _is_taken(spec, scenarios, key, value)]
        if key in facts and len(taken) > 1:
            found.append(Offer(f"{spec.name}.{key}", taken, facts[key].description))
        if len(found) == MOST_OFFERED:
            break
    return found


def every_key(spec: BackendSpec) -> Iterator[tuple[str, FieldFacts]]:
    """Every key of a backend, dotted with its name."""
    for key, facts in facts_of(spec.config).items():
        yield f"{spec.name}.{key}", facts


def preferred_backend(backends: Collection[BackendSpec]) -> str | None:
    """Of these, the backend to begin with: one that can run here before one that cannot; None where there is none.

    Whoever uses a server that runs already says so: such a backend comes last.
    """

    def rank(spec: BackendSpec) -> tuple[bool, bool, str]:
        return "online" in spec.capabilities, bool(missing_requirements(spec.requires)), spec.name

    return min(backends, key=rank).name if backends else None


def _is_taken(spec: BackendSpec, scenarios: Mapping[str, ScenarioSpec], key: str, value: Any) -> bool:
    section = nested({f"{spec.name}.{key}": value}, Vocabulary({spec.name: spec}))
    try:
        Composer({spec.name: spec}, scenarios).compose({"backend": spec.name, "model": "any", **section})
    except LlemError:
        return False
    return True
