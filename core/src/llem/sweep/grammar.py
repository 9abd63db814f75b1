"""A study's `sweep`, read into dimensions; everything that is wrong is named at once. Its keys are known: `load_study` has looked.

    sweep:
      backend: [pytorch, vllm]                     # an axis: a list,
      dataset.output_tokens: {min: 64, max: 256, num: 4}   # or a range: {min, max, num}, {log: …}, {pow2: [1, 64]}
      pytorch.batch_size: [1, 8]                   # scoped: varies the points of pytorch only
      groups:                                      # keys that vary together; one plain list does for one group
        load: [{dataset.n: 10, dataset.output_tokens: 512}, {dataset.n: 100, dataset.output_tokens: 32}]
    experiments:                                   # added to the grid, each laid over the base
      - {backend: pytorch, pytorch: {dtype: float32}}

Points are counted as digits are: the last axis of the sweep varies fastest; backends come one after another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from llem.config import constraints
from llem.config.introspect import facts_of
from llem.config.keys import Vocabulary
from llem.config.problems import ABSENT, Problem
from llem.sweep.dimensions import BACKEND, Axis, Dimension, Group, Path
from llem.sweep.values import FORMS, AxisError, parse_values

GROUPS = "groups"
_GROUP_FORM = "a list of mappings, or a mapping of names to such lists"


@dataclass
class Grammar:
    """A study's `sweep`, read.

    Attributes:
        dimensions: what varies, in the order written.
        problems: what cannot be read.
    """

    dimensions: list[Dimension] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def parse_sweep(sweep: Mapping[str, Any], vocabulary: Vocabulary) -> Grammar:
    """Read the axes and groups of a sweep."""
    grammar = Grammar()
    for key, written in sweep.items():
        if key == GROUPS:
            for label, rows in _labelled(written, grammar):
                _group(label, rows, vocabulary, grammar)
        else:
            _axis(key, written, vocabulary, grammar)
    _refuse_overlap(grammar)
    return grammar


def _axis(key: str, written: Any, vocabulary: Vocabulary, grammar: Grammar) -> None:
    path: Path = ("sweep", key)
    try:
        values = parse_values(written, whole=isinstance(written, Mapping) and _takes_whole_numbers(key, vocabulary))
    except AxisError as error:
        found = written if not isinstance(written, (list, Mapping)) else ABSENT
        grammar.problems.append(Problem((*path, *error.key), found, f"is no axis: {error}"))
        return
    if len(values) == 0:
        message = "has no values, so that the sweep would have 0 points; give it one or remove the axis"
        grammar.problems.append(Problem(path, written, message, FORMS))
        return
    grammar.dimensions.append(Axis(key, path, values))


def _labelled(written: Any, grammar: Grammar) -> Iterator[tuple[Path, Any]]:
    """Each group of `groups` with its path."""
    groups: list[tuple[Path, Any]]
    if isinstance(written, Mapping):
        groups = [(("sweep", GROUPS, str(label)), rows) for label, rows in written.items()]
    elif isinstance(written, list) and any(isinstance(row, list) for row in written):
        groups = [(("sweep", GROUPS, place), rows) for place, rows in enumerate(written)]
    else:
        groups = [(("sweep", GROUPS), written)]
    for path, rows in groups:
        if isinstance(rows, list):
            yield path, rows
        else:
            grammar.problems.append(Problem(path, rows, "is no group", _GROUP_FORM))


def _group(path: Path, rows: list[Any], vocabulary: Vocabulary, grammar: Grammar) -> None:
    before = len(grammar.problems)
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping):
            grammar.problems.append(Problem((*path, number), row, "is no row of a group", "a mapping of dotted keys"))
            continue
        own = row.get(BACKEND)
        for key in row:
            other = key.partition(".")[0]
            if own is not None and other in vocabulary.backends and other != own:
                message = f"can have no effect: this row is of the backend {own}"
                grammar.problems.append(Problem((*path, number, key), row[key], message))
    if not rows:
        message = "has no rows, so that the sweep would have 0 points; give it one or remove the group"
        grammar.problems.append(Problem(path, rows, message, _GROUP_FORM))
    if len(grammar.problems) == before and rows:
        label = ".".join(str(part) for part in path[1:])
        grammar.dimensions.append(Group(label, path, list(enumerate(rows))))


def _takes_whole_numbers(key: str, vocabulary: Vocabulary) -> bool:
    """Tell whether the field of this key takes whole numbers and no others."""
    section, _, rest = key.partition(".")
    model = vocabulary.sections.get(section)
    facts = facts_of(model).get(rest) if model and rest else None
    kinds = {option.get("type") for option in constraints.alternatives(facts.schema)} if facts else set()
    return "integer" in kinds and "number" not in kinds


def _refuse_overlap(grammar: Grammar) -> None:
    owners: dict[str, Dimension] = {}
    for dimension in grammar.dimensions:
        for key in dimension.keys:
            first = owners.setdefault(key, dimension)
            if first is not dimension:
                message = f"varies `{key}`, which `{first.label}` varies too; keep it in one of them"
                grammar.problems.append(Problem(dimension.path, message=message))
