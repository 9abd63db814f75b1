"""Identity: the SHA-256 of what defines an experiment, and of what defines a study.

The identity of an experiment is taken over canonical JSON: `[IDENTITY_VERSION, {…}]`, compact, keys sorted, ASCII.
Values equal to their default are left out, so that a field added later with a neutral default changes no identity.
Whole numbers are written without a fraction, so that 1 and 1.0 agree. `limits` is left out: when an experiment is given
up says nothing about what it is. Name, paths of the study, runner, cycle and order are no part of it either.

IDENTITY_VERSION is raised where the same text would come to mean another experiment: a default that changes its
meaning, or a field whose value does.
"""

from __future__ import annotations

import hashlib
import json
import typing
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from llem.config.experiment import ExperimentConfig
from llem.config.section import Section
from llem.config.study import ExecutionConfig

IDENTITY_VERSION = 1

_EXACT = 2**53


def section_text(section: Section) -> str:
    """Canonical JSON of one section without its defaults: `{}` where everything is at its default."""
    return _dump(_reduced(section))


def fragment(name: str, section: Section) -> str:
    """A section in an experiment's canonical JSON: `,"name":{…}`, or nothing where all is at its default or it defines nothing."""
    text = section_text(section) if section.identifying else "{}"
    return "" if text == "{}" else f',"{name}":{text}'


def experiment_text(backend: str, fragments: Iterable[str]) -> str:
    """Canonical JSON of an experiment, from the fragments of its sections in the order of their names."""
    return f"{identity_head(backend)}{''.join(fragments)}}}]"


def identity_head(backend: str) -> str:
    """The beginning of the canonical JSON of every experiment of a backend; `,"section":{…}` follow, then `}]`."""
    return f'[{IDENTITY_VERSION},{{"backend":{_dump(backend)}'


def config_hash(config: ExperimentConfig) -> str:
    """Identity of an experiment: 64 hex digits.

    Two configurations of the same effect have one identity only once they are resolved, which is what `Composer` does.
    """
    own = {name: part for name in type(config).model_fields if isinstance(part := getattr(config, name), Section)}
    fragments = (fragment(name, part) for name, part in sorted({**own, **config.sections}.items()))
    return hashlib.sha256(experiment_text(config.backend, fragments).encode()).hexdigest()


def design_hash(digests: Iterable[bytes], execution: ExecutionConfig) -> str:
    """Identity of a study's design: 64 hex digits.

    Taken over the set of its experiments and over what shapes their figures: cycles or until when they are repeated,
    order, the seed of a shuffled order, where cycles are placed, what runs side by side, and the gaps in which the machine
    cools down. Timeouts, budget and the other limits decide when a study is given up, not what it measures, and are left
    out; so is how workers start.

    Args:
        digests: identities in binary form (32 bytes each); their order and repetitions have no effect.
    """
    design = {name: getattr(execution, name) for name in ("cycles", "order", "experiment_gap_s", "cycle_gap_s")}
    if execution.until.ci_width is not None:
        # Its defaults are written out: which figure, and how many cycles at the most, is part of what a study does.
        design["until"] = _plain(execution.until, full=True)
    if execution.search.goal is not None:
        design["search"] = _plain(execution.search, full=True)
    if execution.placement != "any":
        design["placement"] = execution.placement
    if execution.parallel != "none":
        design["parallel"] = execution.parallel
    if execution.order == "shuffled":
        design["seed"] = execution.seed
    found = hashlib.sha256(_dump([IDENTITY_VERSION, _plain(design)]).encode())
    last = b""
    for digest in sorted(digests):
        if digest != last:
            found.update(digest)
            last = digest
    return found.hexdigest()


def _dump(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _reduced(section: BaseModel) -> dict[str, Any]:
    """The fields of a section that differ from their default, as plain data."""
    found: dict[str, Any] = {}
    for name, (default, text, is_union) in _defaults(type(section)).items():
        value = getattr(section, name)
        if value is default:
            continue
        plain = _plain(value, full=is_union)
        if text is None or _dump(plain) != text:
            found[name] = plain
    return found


def _plain(value: Any, *, full: bool = False) -> Any:
    """Plain data. Sections inside are reduced; with `full` they are written out, since their type must show too."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < _EXACT else value
    if isinstance(value, BaseModel):
        if full:
            return {name: _plain(getattr(value, name), full=True) for name in type(value).model_fields}
        return _reduced(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item, full=full) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted((_plain(item, full=full) for item in value), key=_dump)
    if isinstance(value, Sequence):
        return [_plain(item, full=full) for item in value]
    return _plain(to_jsonable_python(value), full=full)


_NO_DEFAULT: Any = object()


@cache
def _defaults(model: type[BaseModel]) -> dict[str, tuple[Any, str | None, bool]]:
    """Each field's default, its canonical text (None where it is required), and whether several sections may stand there."""
    found: dict[str, tuple[Any, str | None, bool]] = {}
    for name, field in model.model_fields.items():
        is_union = len(_sections_in(field.annotation)) > 1
        if field.is_required():
            found[name] = (_NO_DEFAULT, None, is_union)
        else:
            default = field.get_default(call_default_factory=True, validated_data={})
            found[name] = (default, _dump(_plain(default, full=is_union)), is_union)
    return found


def _sections_in(annotation: Any) -> set[type[BaseModel]]:
    if isinstance(annotation, type):
        return {annotation} if issubclass(annotation, BaseModel) else set()
    return set().union(*(_sections_in(part) for part in typing.get_args(annotation)))
