"""What the page shows of a study, as one JSON document: of a page that is served, the answer to `/data.json` too."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from llem.analysis.wording import counted
from llem.report.models import ReportConfiguration, ReportStudy
from llem.report.packing import packed, plain

MOST_ENVIRONMENTS = 4
"""So many are written out; an experiment's own stands in its details."""

Block = str | Mapping[str, Any]
"""A paragraph; `{"list": [...]}`; or `{"pairs": [[key, text], ...]}`."""


def document(study: ReportStudy, *, live: bool = False) -> dict[str, Any]:
    """Everything that the page shows. `live`: it is served, and will ask again while the study runs."""
    from llem.report.figures import FIGURES

    drawn = [figure.draw(study) for figure in FIGURES.values()]
    return {
        "title": study.title,
        "state": state_sentence(study),
        "finished": study.finished,
        "live": live,
        "fragments": {
            "findings": [{"list": list(study.findings)}] if study.findings else [study.no_findings or "None yet."],
            "ran": list(_what_was_run(study)),
            "warnings": ["Worth knowing:", {"list": list(study.warnings)}] if study.warnings else [],
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
        "configurations": [_configuration(one) for one in study.configurations],
        "common": plain(study.common),
        "environments": plain(study.environments),
        "citation": study.citation,
    }


def state_sentence(study: ReportStudy) -> str:
    """`Complete. 24 experiments: 22 done, 2 failed.`"""
    states = [f"{n:,} {name}" for name, n in study.counts.items() if name != "experiments" and n]
    total = counted(study.counts.get("experiments", len(study.rows)), "experiment")
    return f"{study.state.capitalize()}. {total}{': ' + ', '.join(states) if states else ''}."


def _what_was_run(study: ReportStudy) -> Iterator[str]:
    runs = sum(row.get("status") == "done" for row in study.rows)
    found = f"{counted(runs, 'run')} of {counted(len(study.configurations), 'configuration')}"
    differ = f", which differ in {_listed(study.parameters)}" if study.parameters else ""
    yield f"{found}{differ}."
    common = study.common
    model, dataset = common.get("model.source"), common.get("dataset.name")
    parts = [f"Model {model}" if model else "", f"dataset {dataset}" if dataset else ""]
    if (n := common.get("dataset.n")) and dataset:
        parts[1] += f", {counted(n, 'prompt')}"
    if any(parts):
        text = "; ".join(filter(None, parts))
        yield f"{text[0].upper()}{text[1:]}."
    yield from study.method


def _environment(study: ReportStudy) -> Iterator[Block]:
    several = len(study.environments) > 1
    for number, one in enumerate(study.environments[:MOST_ENVIRONMENTS], start=1):
        if several:
            runs = sum(row.get("environment") == number - 1 for row in study.rows)
            yield f"Environment {number}, of {counted(runs, 'experiment')}:"
        yield {"pairs": [[key, _text(value)] for key, value in _flat(one)]}
    if len(study.environments) > MOST_ENVIRONMENTS:
        rest = len(study.environments) - MOST_ENVIRONMENTS
        yield f"{counted(rest, 'more kind')} of environment; an experiment's own stands in its details."
    if study.versions:
        yield "Versions:"
        yield {"pairs": [[name, ", ".join(found)] for name, found in study.versions.items()]}


def _columns(study: ReportStudy) -> list[dict[str, Any]]:
    def text(key: str, label: str) -> dict[str, Any]:
        return {"key": key, "label": label, "unit": None, "estimated": False}

    cycles = {row.get("cycle") for row in study.rows}
    return [
        text("position", "#"),
        *([text("cycle", "cycle")] if len(cycles) > 1 else []),
        text("status", "status"),
        *(text(_setting(key), key) for key in study.parameters),
        *({"key": c.key, "label": c.label, "unit": c.unit, "estimated": c.energy} for c in study.figures_of_table),
    ]


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, **{_setting(key): value for key, value in (row.get("settings") or {}).items()}}


def _setting(key: str) -> str:
    return f"={key}"  # apart from a row's own keys: a study may vary `backend`


def _configuration(one: ReportConfiguration) -> dict[str, Any]:
    means = {key: {"mean": m.mean, "low": m.low, "high": m.high} for key, m in one.figures.items()}
    known = any(m.low is not None for m in one.figures.values())
    return {
        "runs": one.runs,
        "means": plain(means),
        "no_interval": None if known or not means else f"{counted(one.runs, 'run')} of this configuration: no interval.",
        "config": plain(one.config),
    }


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + f" and {names[-1]}" if len(names) > 1 else names[0]


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _flat(inner, f"{prefix}{key}.")
        elif inner is not None:
            yield f"{prefix}{key}", inner


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(plain(value), ensure_ascii=False)
