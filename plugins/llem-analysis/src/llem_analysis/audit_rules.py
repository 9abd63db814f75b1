"""The rules of an audit: data in YAML, of a vocabulary that is written down and holds no expressions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
    model_validator,
)

from llem.plugin_api import ConfigError, closest, read_yaml_file

FOLDER = Path(__file__).with_name("rules")
"""The sets of rules that come along."""

Scalar = StrictBool | StrictInt | StrictFloat | StrictStr


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Rule(_Part):
    """One rule: a value and what it has to be, or warnings that must not be there."""

    id: str = Field(pattern=r"^[a-z][a-z0-9-]*$", description="word by which the rule is called")
    says: str = Field(min_length=1, description="the rule as a sentence")
    value: str | None = Field(None, min_length=1, description="a fact of docs/audit.md, or a column of results.parquet")
    at_least: float | None = None
    at_most: float | None = None
    equals: Scalar | None = None
    one_of: tuple[Scalar, ...] | None = Field(None, min_length=1)
    present: Literal[True] | None = Field(None, description="the value has to be there, whatever it is")
    warnings: tuple[str, ...] | None = Field(None, min_length=1, description="codes of which no run may have one")
    when: Mapping[str, Scalar | tuple[Scalar, ...]] = Field(
        default_factory=dict,
        description="runs that are judged: fact or column to the value, or the values, that it has there",
    )
    missing: Literal["failed", "not_applicable"] = Field("failed", description="the outcome where there is no value")
    unit: str = ""
    source: str = Field(min_length=1, description="where the limit comes from")
    remedy: str = Field(min_length=1, description="what to do where it fails")

    @model_validator(mode="after")
    def _one_test(self) -> Self:
        is_number = self.at_least is not None or self.at_most is not None
        tests = [is_number, *(test is not None for test in (self.equals, self.one_of, self.present))]
        if (self.value is None) == (self.warnings is None):
            raise ValueError("a rule has either `value` or `warnings`")
        if sum(tests) != (0 if self.value is None else 1):
            raise ValueError(
                "a `value` has one test: `at_least`, `at_most` or both, `equals`, `one_of`, or `present`; `warnings` have none"
            )
        return self

    @property
    def limit(self) -> str:
        """The limit in words."""
        unit = f" {self.unit}" if self.unit else ""
        if self.warnings is not None:
            return "none of these warnings"
        if self.present:
            return "there"
        if self.at_least is not None and self.at_most is not None:
            return f"{self.at_least:g} to {self.at_most:g}{unit}"
        if self.at_least is not None:
            return f"at least {self.at_least:g}{unit}"
        if self.at_most is not None:
            return f"at most {self.at_most:g}{unit}"
        return " or ".join(map(shown, (self.equals,) if self.one_of is None else self.one_of))

    def keeps(self, value: Any) -> bool:
        """Tell whether a value that is there keeps the rule; one of another kind does not."""
        if self.present:
            return True
        if self.one_of is not None or self.equals is not None:
            return any(_same(value, one) for one in ((self.equals,) if self.one_of is None else self.one_of))
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)

    def judges(self, values: Mapping[str, Any]) -> bool:
        """Tell whether a run with these values of the keys of `when` is judged."""
        return all(
            any(_same(values.get(name), one) for one in (wanted if isinstance(wanted, tuple) else (wanted,)))
            for name, wanted in self.when.items()
        )


class RuleSet(_Part):
    """A file of rules."""

    name: str = Field(min_length=1)
    about: str = Field(min_length=1, description="whose rules these are, a sentence")
    rules: tuple[Rule, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _ids_once(self) -> Self:
        ids = [rule.id for rule in self.rules]
        twice = sorted({one for one in ids if ids.count(one) > 1})
        if twice:
            raise ValueError(f"the id `{twice[0]}` is there twice")
        return self


def shown(value: Any) -> str:
    """A value as YAML writes it: `true`, `shuffled`, `0.9`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _same(value: Any, other: Any) -> bool:
    return isinstance(value, bool) == isinstance(other, bool) and bool(value == other)


def names() -> list[str]:
    """The sets that come along; the one that is taken where none is named comes first."""
    return sorted((path.stem for path in FOLDER.glob("*.yaml")), key=lambda name: (name != "publication", name))


def read_rules(wanted: str) -> RuleSet:
    """A set of rules by its name, or from a file.

    Raises:
        ConfigError: there is none, or the file holds no rules.
    """
    path = FOLDER / f"{wanted}.yaml" if wanted in names() else Path(wanted)
    near = closest(wanted, names())
    hint = f"Did you mean `{near}`? " if near else ""
    try:
        data = read_yaml_file(path, may_be_empty=True).data
    except ConfigError as error:
        place = (error.where or "").removeprefix(str(path))
        raise ConfigError(
            error.what,
            where=f"{wanted}{place}",
            remedy="Mend it there." if place else f"{hint}There are {', '.join(names())}, or a file of your own.",
        ) from error
    try:
        return RuleSet.model_validate(data)
    except ValidationError as error:
        raise ConfigError(
            _first(error, data), where=wanted, remedy="docs/audit.md has every word of a rule."
        ) from error


def _first(error: ValidationError, data: Any) -> str:
    """The first mistake, by the id of its rule where it has one."""
    first = error.errors()[0]
    place: Sequence[int | str] = first["loc"]
    words = [str(part) for part in place]
    if len(place) > 1 and place[0] == "rules" and isinstance(place[1], int):
        rule = data["rules"][place[1]]
        told = rule.get("id") if isinstance(rule, dict) else None
        words = [f"rule {told or place[1] + 1}", *words[2:]]
    said = str(first["msg"]).removeprefix("Value error, ")
    return f"{', '.join(words)}: {said}." if words else f"{said}."
