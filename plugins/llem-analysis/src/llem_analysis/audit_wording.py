"""An audit in words: a row for each rule, and what to do where one failed."""

from __future__ import annotations

from collections.abc import Iterator

from llem.plugin_api import NOTHING, one_line
from llem_analysis.audit_rules import shown
from llem_analysis.auditing import Audit, Outcome

HEADINGS = ("rule", "outcome", "value", "limit", "source")


def summary(found: Audit) -> str:
    """A study, the rules, and how many failed, passed and were not applicable."""
    counts = found.counts
    return (
        f"{found.study} by the rules {found.rules}: {counts['failed']} failed, {counts['passed']} passed, "
        f"{counts['not_applicable']} not applicable"
    )


def cells(one: Outcome) -> list[str]:
    """The row of a rule, by `HEADINGS`."""
    word = {"failed": "failed", "passed": "passed", "not_applicable": "not applicable"}[one.status]
    many = f" ({one.failing} of {one.of})" if one.of > 1 and one.failing else ""
    unit = f" {one.unit}" if one.unit and isinstance(one.value, int | float) else ""
    value = NOTHING if one.value is None else f"{one_line(shown(one.value), 50)}{unit}"
    return [one.id, f"{word}{many}", value, one.limit, one_line(one.source, 60)]


def to_mend(one: Outcome) -> Iterator[str]:
    """A rule that failed: what it asks and what to do, then the runs that it concerns, then why values lack."""
    yield f"{one.id} asks that {one.says}. {one.remedy}"
    more = one.failing - len(one.where)
    if one.where:
        yield f"{', '.join(one.where)}{f' and {more} more' if more else ''}"
    if one.reason is not None:
        yield one.reason
