"""`audit`: a study held against rules, one by one, with value, limit and source."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from llem.plugin_api import ConfigError, StudyResult, closest
from llem_analysis.audit_facts import FACTS, Audited
from llem_analysis.audit_rules import Rule, RuleSet, read_rules, shown
from llem_analysis.loading import study_name

Status = Literal["passed", "failed", "not_applicable"]

MOST_NAMED = 5
"""Number of runs that a failed rule names."""

_OPEN = re.compile(
    r"(config|point|scenario_metrics|metric)\..|energy\.(gpu|module|cpu|dram|host)\.(counter|power|estimate)\.."
)
"""Beginnings of columns that a study may or may not have."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of one rule.

    Attributes:
        value: the worst of the values; None where there is none.
        limit: in words.
        failing, of: how many of the judged runs (or configurations) fail, and how many were judged.
        where: the first of those that fail.
        reason: why there is no value, or nothing was judged; None else.
    """

    id: str
    says: str
    status: Status
    value: Any
    limit: str
    unit: str
    source: str
    remedy: str
    failing: int
    of: int
    where: tuple[str, ...] = ()
    reason: str | None = None


@dataclass(frozen=True)
class Audit:
    """The outcome of every rule, the worst first.

    Attributes:
        study: its folder's name; rules: name of the set; about: whose rules they are.
        outcomes: failed ones by the share that fails, then those that passed, then those that are not applicable.
    """

    study: str
    study_directory: str
    rules: str
    about: str
    outcomes: tuple[Outcome, ...]

    @property
    def counts(self) -> dict[Status, int]:
        """Number of rules by status."""
        found = Counter(outcome.status for outcome in self.outcomes)
        return {"failed": found["failed"], "passed": found["passed"], "not_applicable": found["not_applicable"]}

    @property
    def exit_code(self) -> int:
        """1 where a rule failed."""
        return int(self.counts["failed"] > 0)

    def document(self) -> dict[str, Any]:
        """As plain data, for JSON."""
        return {**asdict(self), "counts": self.counts, "exit_code": self.exit_code}


def audit(study: Path | str | StudyResult, rules: str | RuleSet = "publication") -> Audit:
    """Hold a study against rules.

    Args:
        study: its folder, or what `llem.load_study` gave.
        rules: the name of a set that comes along, a file, or rules that were read.

    Raises:
        ResultError: there is no study, or no run of it is done.
        ConfigError: there are no such rules, or one asks for what is neither a fact nor a column.
    """
    chosen = rules if isinstance(rules, RuleSet) else read_rules(rules)
    path = study.directory if isinstance(study, StudyResult) else Path(study)
    folder = path.parent if path.suffix == ".parquet" and path.exists() else path
    found = Audited(folder)
    _check_names(chosen, found)
    outcomes = [_outcome(rule, found) for rule in chosen.rules]
    ranks: dict[Status, int] = {"failed": 0, "passed": 1, "not_applicable": 2}
    outcomes.sort(key=lambda one: (ranks[one.status], -one.failing / max(1, one.of)))
    name, where = study_name(folder)
    return Audit(name, where, chosen.name, chosen.about, tuple(outcomes))


def _check_names(rules: RuleSet, found: Audited) -> None:
    known = {*FACTS, *found.columns}
    for rule in rules.rules:
        for name in filter(None, (rule.value, *rule.when)):
            if name in known or _OPEN.match(name):
                continue
            near = closest(name, known)
            raise ConfigError(
                f"rule {rule.id} asks for `{name}`, which is neither a fact nor a column of results.parquet.",
                where=rules.name,
                remedy=f"Did you mean `{near}`?" if near else "docs/audit.md has every fact.",
            )
        fact = None if rule.value is None else FACTS.get(rule.value)
        if rule.when and fact is not None and fact.of != "run":
            raise ConfigError(
                f"rule {rule.id} has `when`, and its value is one of a {fact.of}: `when` chooses among runs.",
                where=rules.name,
                remedy="Leave `when` out.",
            )


def _outcome(rule: Rule, found: Audited) -> Outcome:
    if rule.warnings is not None:
        return _of_warnings(rule, rule.warnings, found)
    assert rule.value is not None
    values = list(_judged(rule, rule.value, found))
    if not values:
        return _ended(rule, "not_applicable", reason=f"no run has {_when(rule)}")
    there = [(name, value) for name, value in values if value is not None]
    lacking = [name for name, value in values if value is None]
    failing = [(name, value) for name, value in there if not rule.keeps(value)]
    named = [name for name, _ in failing]
    if rule.missing == "failed":
        named += lacking
    if not there and rule.missing == "not_applicable":
        return _ended(rule, "not_applicable", reason="there is no value")
    judged = len(values) if rule.missing == "failed" else len(there)
    return _ended(
        rule,
        "failed" if named else "passed",
        value=_worst(rule, failing or there),
        failing=named,
        of=judged,
        reason=f"{len(lacking)} of {len(values)} without a value" if lacking else None,
    )


def _judged(rule: Rule, value: str, found: Audited) -> Iterator[tuple[str, Any]]:
    if not rule.when:
        yield from found.values(value)
        return
    for run in found.runs:
        if rule.judges({name: run.value(name) for name in rule.when}):
            yield run.name, run.value(value)


def _of_warnings(rule: Rule, codes: Sequence[str], found: Audited) -> Outcome:
    runs = [run for run in found.runs if rule.judges({name: run.value(name) for name in rule.when})]
    if not runs:
        return _ended(rule, "not_applicable", reason=f"no run has {_when(rule)}")
    with_some = [(run.name, [code for code in run.codes if code in codes]) for run in runs]
    failing = [(name, some) for name, some in with_some if some]
    count = Counter(code for _, some in failing for code in some)
    value = ", ".join(f"{code} ({runs_of})" for code, runs_of in count.most_common()) or None
    return _ended(
        rule, "failed" if failing else "passed", value=value, failing=[name for name, _ in failing], of=len(runs)
    )


def _ended(
    rule: Rule,
    status: Status,
    *,
    value: Any = None,
    failing: Sequence[str] = (),
    of: int = 0,
    reason: str | None = None,
) -> Outcome:
    return Outcome(
        id=rule.id,
        says=rule.says,
        status=status,
        value=value,
        limit=rule.limit,
        unit=rule.unit,
        source=rule.source,
        remedy=rule.remedy,
        failing=len(failing),
        of=of,
        where=tuple(failing[:MOST_NAMED]),
        reason=reason,
    )


def _worst(rule: Rule, values: Sequence[tuple[str, Any]]) -> Any:
    """The value that is the furthest from keeping the rule, among those that fail where there are such."""
    numbers = [value for _, value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if not numbers or (rule.at_least is None and rule.at_most is None):
        return values[0][1] if values else None

    def room(value: float) -> float:
        above = float("inf") if rule.at_least is None else value - rule.at_least
        below = float("inf") if rule.at_most is None else rule.at_most - value
        return min(above, below)

    return min(numbers, key=room)


def _when(rule: Rule) -> str:
    parts = []
    for name, wanted in rule.when.items():
        values = wanted if isinstance(wanted, tuple) else (wanted,)
        parts.append(f"{name} {' or '.join(map(shown, values))}")
    return " and ".join(parts)
