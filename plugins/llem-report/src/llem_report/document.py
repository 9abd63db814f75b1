"""The page's view of a study, as one JSON document: of a page that is served, the answer to `/data.json` too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from llem_analysis.audit_wording import HEADINGS, cells, summary, to_mend
from llem_analysis.auditing import Audit
from llem_analysis.wording import counted
from llem_report.charts import CHARTS, Chart
from llem_report.models import FigureColumn, Mean, ReportConfiguration, ReportStudy
from llem_report.packing import packed, plain

FIRST_FINDINGS = 6
"""The others open on demand, and are printed."""

MOST_SETTINGS_FIRST = 4
"""More columns of settings than these stand behind the figures, which would be off the page otherwise; one sums them up."""

MOST_ENVIRONMENTS = 4
"""Number of environments that are written out; an experiment's own stands in its details."""

Block = str | Mapping[str, Any]
"""A paragraph; `{"list": [...]}`; `{"pairs": [[key, text], ...]}`; or `{"headings": [...], "rows": [[...], ...]}`.

One with a `summary` opens on demand.
"""


def document(study: ReportStudy, charts: Mapping[str, Chart] = CHARTS, *, live: bool = False) -> dict[str, Any]:
    """Everything that the page shows.

    Args:
        study: as `llem_report.gather` gives it.
        charts: by name, in the page's order; by default the report's own.
        live: it is served, and will ask again while the study runs.
    """
    drawn = [chart.draw(study) for chart in charts.values() if chart.is_of(study)]
    return {
        "title": study.title,
        "state": _state(study),
        "finished": study.finished,
        "live": live,
        "fragments": {
            "answer": list(_answer(study)),
            "findings": list(_findings(study)),
            "ran": [" ".join(_what_was_run(study))],
            "warnings": ["Worth knowing:", {"list": list(study.warnings)}] if study.warnings else [],
            "audit": [] if study.audit is None else list(_audit(study.audit)),
            "environment": list(_environment(study)),
        },
        "figures": [
            {
                "name": one.name,
                "title": one.title,
                "caption": one.caption,
                "description": one.description,
                "why_not": one.why_not,
                "spec": one.spec,
            }
            for one in drawn
        ],
        "columns": _columns(study),
        "table": packed([_row(row) for row in study.rows]),
        "configurations": packed([_configuration(one, study.figures_of_table) for one in study.configurations]),
        "common": plain(study.common),
        "environments": [_account(one) for one in study.environments],
        "citation": study.citation,
    }


def _state(study: ReportStudy) -> str:
    """`Complete. 24 experiments: 22 done, 2 failed.`"""
    states = [f"{n:,} {name.replace('_', ' ')}" for name, n in study.counts.items() if name != "experiments" and n]
    total = counted(study.counts.get("experiments", len(study.rows)), "experiment")
    return f"{study.state.capitalize()}. {total}{': ' + ', '.join(states) if states else ''}."


def _answer(study: ReportStudy) -> Iterator[Block]:
    """The answer of a search, one sentence, the choice that follows, and what it costs."""
    answer = study.answer
    yield from answer.searched
    yield answer.sentence or study.no_findings or "None yet."
    if answer.no_choice is not None:
        yield answer.no_choice
    if answer.choice is not None:
        yield answer.choice
    if answer.costs:
        yield {"list": list(answer.costs)}
    if answer.equal is not None:
        yield answer.equal


def _findings(study: ReportStudy) -> Iterator[Block]:
    """The findings besides the answer's."""
    others = study.findings[1:]
    if not others:
        return
    first, rest = others[:FIRST_FINDINGS], others[FIRST_FINDINGS:]
    yield {"list": list(first)}
    if rest:
        yield {"summary": counted(len(rest), "more finding"), "list": list(rest)}


def _what_was_run(study: ReportStudy) -> Iterator[str]:
    runs = sum(row.get("status") == "done" for row in study.rows)
    differ = f", which differ in {_listed(study.parameters)}" if study.parameters else ""
    yield f"{counted(runs, 'finished run')} of {counted(len(study.configurations), 'configuration')}{differ}."
    yield from study.method


def _audit(found: Audit) -> Iterator[Block]:
    """The rules that failed, with what to do; the other ones on demand."""
    yield f"{summary(found)}. ({found.about})"
    failed = [one for one in found.outcomes if one.status == "failed"]
    others = [one for one in found.outcomes if one.status != "failed"]
    headings = list(HEADINGS)
    if failed:
        yield {"headings": headings, "rows": [cells(one) for one in failed]}
        yield {"list": [" ".join(to_mend(one)) for one in failed]}
    if others:
        rows = [cells(one) for one in others]
        yield {"summary": counted(len(rows), "other rule"), "headings": headings, "rows": rows}


def _environment(study: ReportStudy) -> Iterator[Block]:
    for number, one in enumerate(study.environments[:MOST_ENVIRONMENTS], start=1):
        if len(study.environments) > 1:
            yield f"Environment {number}:"
        yield from _account(one)
    if len(study.environments) > MOST_ENVIRONMENTS:
        rest = len(study.environments) - MOST_ENVIRONMENTS
        yield f"There {'is' if rest == 1 else 'are'} {rest} more; an experiment's own stands in its details."
    if not study.environments:
        yield "No run is done yet that could tell."


def _account(environment: Mapping[str, Any]) -> list[Block]:
    """One environment: a line for each part, packages apart, since there are many."""
    texts = {key: _text(value) for key, value in environment.items() if key != "packages" and value is not None}
    blocks: list[Block] = [{"pairs": [[key, text] for key, text in texts.items() if text]}]
    if packages := environment.get("packages"):
        pairs = [[name, str(version)] for name, version in packages.items()]
        blocks.append({"summary": f"All {counted(len(pairs), 'package')}", "pairs": pairs})
    return blocks


def _columns(study: ReportStudy) -> list[dict[str, Any]]:
    def text(key: str, label: str) -> dict[str, Any]:
        return {"key": key, "label": label, "unit": None, "estimated": False}

    cycles = {row.get("cycle") for row in study.rows}
    settings = [text(_setting(key), key) for key in study.parameters]
    figures = [{"key": c.key, "label": c.label, "unit": c.unit, "estimated": c.energy} for c in study.figures_of_table]
    narrow = len(settings) <= MOST_SETTINGS_FIRST
    return [
        text("position", "#"),
        *([text("cycle", "cycle")] if len(cycles) > 1 else []),
        text("status", "status"),
        *([*settings, *figures] if narrow else [text("label", "configuration"), *figures, *settings]),
    ]


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    own = {key: value for key, value in row.items() if key != "settings"}
    return own | {_setting(key): value for key, value in (row.get("settings") or {}).items()}


def _setting(key: str) -> str:
    return f"={key}"  # apart from a row's own keys: a study may vary `backend`


def _configuration(one: ReportConfiguration, columns: Sequence[FigureColumn]) -> dict[str, Any]:
    """Means in the order of the columns. A single run is its own mean: nothing is said twice."""
    several = one.runs > 1
    return {
        "runs": one.runs,
        "means": [_mean(one.figures.get(column.key)) for column in columns] if several else None,
        "config": one.config,
    }


def _mean(found: Mean | None) -> list[float | None] | None:
    return None if found is None else [found.mean] if found.low is None else [found.mean, found.low, found.high]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + f" and {names[-1]}" if len(names) > 1 else names[0]


def _text(value: Any) -> str:
    """Nested values on one line: `model AMD EPYC; cores 2`. What is unknown is left out."""
    if isinstance(value, Mapping):
        return "; ".join(f"{key} {_text(inner)}" for key, inner in value.items() if inner not in (None, {}, []))
    if isinstance(value, list | tuple):
        return ", ".join(_text(inner) for inner in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
