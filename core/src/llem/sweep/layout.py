"""A study laid out as blocks: one for each backend of the grid, one for each explicit experiment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from llem.config.compose import Composer
from llem.config.keys import Vocabulary
from llem.config.merging import nested
from llem.config.problems import Problem, raise_all
from llem.config.study import StudyConfig
from llem.sweep.block import Block
from llem.sweep.dimensions import BACKEND, Dimension, Group, Path
from llem.sweep.grammar import parse_sweep
from llem.sweep.overlay import laid_document


def lay_out(
    study: StudyConfig, composer: Composer, vocabulary: Vocabulary, locate: Callable[[Sequence[str | int]], str]
) -> list[Block]:
    """The blocks of a study, the grid's first; nothing in them is validated yet.

    Raises:
        ConfigError: the sweep cannot be read, or an experiment has no backend.
        PluginError: a backend is not installed.
    """
    grammar = parse_sweep(study.sweep, vocabulary)
    raise_all(grammar.problems, locate)
    base = nested(study.base, vocabulary)
    blocks: list[Block] = []
    if study.sweep or not study.experiments:
        blocks += _grid(base, grammar.dimensions, composer, vocabulary, locate)
    for number, written in enumerate(study.experiments):
        over, values = laid_document(base, written, vocabulary)
        spec = composer.backend(_name(over.get(BACKEND), ("experiments", number, BACKEND), locate))
        blocks.append(
            Block(
                composer, spec, over, (), vocabulary, values=values, origin=_origin_in(written, ("experiments", number))
            )
        )
    return blocks


def _grid(
    base: Mapping[str, Any],
    dimensions: Sequence[Dimension],
    composer: Composer,
    vocabulary: Vocabulary,
    locate: Callable[[Sequence[str | int]], str],
) -> Iterator[Block]:
    filled = [_with_backend(dimension, base.get(BACKEND)) for dimension in dimensions]
    swept = [(d, place, name) for d in filled for place, name in enumerate(d.backends())]
    if swept:
        names = [_name(name, d.where(place, BACKEND), locate) for d, place, name in swept]
    else:
        names = [_name(base.get(BACKEND), (BACKEND,), locate)]
    for name in dict.fromkeys(names):
        others = set(vocabulary.backends) - {name}
        own = [left for d in filled if (left := d.within(name, others)) is not None]
        yield Block(composer, composer.backend(name), base, own, vocabulary)


def _with_backend(dimension: Dimension, base: Any) -> Dimension:
    """A group that names the backend in some rows has the base's in the others."""
    if not isinstance(dimension, Group) or BACKEND not in dimension.keys:
        return dimension
    return Group(dimension.label, dimension.path, [(n, {BACKEND: base, **row}) for n, row in dimension.rows])


def _name(name: Any, key: Path, locate: Callable[[Sequence[str | int]], str]) -> str:
    if isinstance(name, str) and name:
        return name
    message = "is missing" if name is None else "is not accepted"
    problem = Problem(key, message=message, accepted="the name of an installed backend")
    raise_all([problem], locate)
    raise AssertionError("unreachable: a problem was raised")


def _origin_in(written: Mapping[str, Any], place: Path) -> Callable[[Path], Path]:
    """Maps a key to where an explicit experiment gives it, dotted or nested; to itself where the base does."""

    def origin(key: Path) -> Path:
        for length in range(len(key), 0, -1):
            given = ".".join(map(str, key[:length]))
            if given in written:
                return (*place, given, *key[length:])
        return key

    return origin
