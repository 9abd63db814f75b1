"""Results and studies as a notebook shows them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from llem.plugin_api import NOTHING, ResultError, number, value
from llem_analysis import html
from llem_analysis.warning_codes import IMPOSSIBLE, kind_of
from llem_analysis.weighed_rows import VOIDED, weighed
from llem_analysis.weighing import touched_text
from llem_analysis.wording import ESTIMATE

if TYPE_CHECKING:
    from llem.plugin_api import ExperimentResult, StudyResult

_J = "energy.headline.j_per_output_token"
_METHOD = "energy.headline.method"
_FIGURES = {
    "throughput.tokens_per_s": "tokens/s",
    _J: "J per output token",
    "energy.headline.mean_w": "mean W",
    "latency.ttft_s.p50": "TTFT p50, s",
    "latency.tpot_s.p50": "TPOT p50, s",
    "memory.peak_memory_mb": "peak memory, MiB",
}
"""Columns of a study that are figures, with what stands above them; one that no experiment has is left out."""
_ENERGY = (_J, "energy.headline.mean_w")


def study_html(study: StudyResult) -> str:
    """A study: a row for each of its first experiments, with the figures that there are; warnings and failures of all."""
    try:
        state = str(study.manifest.get("state"))
    except ResultError:
        state = "without a manifest"
    points = sorted(column for column in study.columns if column.startswith("point."))
    found = study.to_arrow(["position", "cycle", "status", "warnings", "failure.type", _METHOD, *points, *_FIGURES])
    total = found.num_rows
    statuses = Counter(found.column("status").to_pylist())
    counts = ", ".join(f"{count:,} {status}" for status, count in statuses.most_common())
    title = f"{study.directory.resolve().name}, {state}: {total:,} experiment{'s' * (total != 1)}{f', {counts}' if counts else ''}"
    in_order = found.sort_by("position") if "position" in found.column_names else found
    rows = [weighed(row) for row in in_order.slice(0, html.MOST_ROWS).to_pylist()]
    figures = [column for column in _FIGURES if any(row.get(column) is not None for row in rows)]
    cycles = any((row.get("cycle") or 1) > 1 for row in rows)
    headers = [*(p.removeprefix("point.") for p in points), *(["cycle"] if cycles else []), "status"]
    cells = [
        [
            *(NOTHING if row.get(p) is None else value(row[p]) for p in points),
            *([str(row["cycle"])] if cycles else []),
            str(row["status"]),
            *(_cell(row, column) for column in figures),
        ]
        for row in rows
    ]
    shown = html.table([*headers, *(_FIGURES[f] for f in figures)], cells, left=len(headers), total=total)
    return html.block(title, shown if rows else "", html.notes(_study_notes(found.to_pydict(), rows)))


def _cell(row: Mapping[str, Any], column: str) -> str:
    found = row.get(column)
    mark = "~" if found is not None and column in _ENERGY and row.get(_METHOD) == "estimate" else ""
    return f"{mark}{number(found)}"


def _study_notes(columns: Mapping[str, Sequence[Any]], rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if any(row.get(_METHOD) == "estimate" for row in rows):
        yield ESTIMATE
    codes = Counter(code for codes in columns.get("warnings", ()) for code in codes or ())
    for code, count in codes.most_common():
        yield f"{_word(code)}: {code}: on {count:,} experiment{'s' * (count != 1)}"
    if IMPOSSIBLE in (code for row in rows for code in dict(row.get(VOIDED) or {}).values()):
        yield f"{_word(IMPOSSIBLE)}: {kind_of(IMPOSSIBLE).seen}"
    for kind, count in Counter(kind for kind in columns.get("failure.type", ()) if kind).most_common():
        yield f"failed: {kind}: {count:,} experiment{'s' * (count != 1)}"


def _word(code: str) -> str:
    """Word before a warning, by its weight."""
    kind = kind_of(code)
    if kind.weight == "inform":
        return "note"
    return f"warning (voids {touched_text(kind)})" if kind.weight == "void" else "warning"


def result_html(result: ExperimentResult) -> str:
    """One experiment: its settings, its main figures with their units, its warnings, or why it failed."""
    identity = result.identity
    remarks = [", ".join(f"{key}={value(found)}" for key, found in identity.point.items()), f"cycle {identity.cycle}"]
    title = f"{result.status}: {result.config['model']['source']} on {result.config['backend']}"
    if result.failure is not None:
        phase = f" in {result.failure.phase}" if result.failure.phase else ""
        remarks.append(f"failed: {result.failure.type}{phase}: {result.failure.message}")
    rows = [[label, number(found), unit] for label, found, unit in _measured(result) if found is not None]
    energy, mark = _energy(result)
    rows = [*([label, f"{mark}{number(found)}", unit] for label, found, unit in energy if found is not None), *rows]
    headline = result.energy.headline if result.energy else None
    if headline is not None:
        doubt = ", unreliable" if headline.unreliable else ""
        remarks.append(f"energy of {headline.scope} by {headline.method} ({', '.join(headline.samplers)}){doubt}")
    elif result.status == "done":
        remarks.append("energy was not measured")
    remarks += [f"{_word(w.code)}: {w.code}: {w.message}" for w in result.warnings]
    shown = html.table(["figure", "value", "unit"], rows, left=1) if rows else ""
    return html.block(title, shown, html.notes(remark for remark in remarks if remark))


Figure = tuple[str, float | None, str]
"""A figure's name, value and unit."""


def _energy(result: ExperimentResult) -> tuple[list[Figure], str]:
    """The headline's figures, and the mark of an estimate."""
    if result.energy is None or (headline := result.energy.headline) is None:
        return [], ""
    found: list[Figure] = [
        ("energy per output token", headline.j_per_output_token, "J"),
        ("energy per request", headline.j_per_request, "J"),
        ("energy of the window", headline.energy_j, "J"),
        ("mean power", headline.mean_w, "W"),
    ]
    return found, "~" if headline.method == "estimate" else ""


_LATENCIES = {
    "ttft_s": "time to first token",
    "itl_s": "inter-token latency",
    "tpot_s": "time per output token",
    "e2e_s": "end-to-end latency",
}


def _measured(result: ExperimentResult) -> Iterator[Figure]:
    if result.throughput:
        yield "throughput", result.throughput.tokens_per_s, "tokens/s"
        yield "request rate", result.throughput.requests_per_s, "requests/s"
    for name, label in _LATENCIES.items():
        found = getattr(result.latency, name, None)
        if found is not None:
            yield f"{label} (median)", found.p50, "s"
            yield f"{label} (95th percentile)", found.p95, "s"
    if result.memory:
        yield "peak device memory", result.memory.peak_memory_mb, "MiB"
        yield "peak host memory", result.memory.host_peak_rss_mb, "MiB"
