"""A table for a paper: a line for each configuration, LaTeX with booktabs."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

from llem.plugin_api import MetricSpec, plain
from llem_analysis.candidates import Candidate, candidates
from llem_analysis.footprint import footprint
from llem_analysis.metric_names import METRIC_SPECS
from llem_analysis.metric_summary import MetricSummary
from llem_analysis.telling import caveat_sentences
from llem_analysis.wording import amount, as_written
from llem_exporters.source import Source

COLUMNS = ("tokens_per_s", "j_per_output_token", "ttft_p50_s", "tpot_p50_s", "peak_memory_mb")
"""Figures of the table, before those that plugins name as main ones; one that no configuration has gets no column."""

_SHORT = {
    "tokens_per_s": "tokens/s",
    "j_per_output_token": "J/output token",
    "ttft_p50_s": "TTFT (s)",
    "tpot_p50_s": "TPOT (s)",
    "peak_memory_mb": "memory (MiB)",
}
_SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"} | {
    c: f"\\{c}" for c in "&%$#_{}"
}


def latex_table(source: Source) -> str:
    """The table as text: `\\usepackage{booktabs}` is all it needs.

    ± is the standard deviation over cycles, `\\sim` an estimate, -- what was not measured.
    """
    asked = [*(METRIC_SPECS[name] for name in COLUMNS), *(spec for spec in METRIC_SPECS.values() if spec.main)]
    found = candidates(source.rows, asked)
    specs = [spec for spec in asked if any(spec.name in one.figures for one in found)]
    keys = list(dict.fromkeys(key for one in found for key in one.settings))
    factors = source.factors
    headers = [escaped(key) for key in keys] or ["model"]
    headers += [_SHORT.get(spec.name) or escaped(f"{spec.label} ({spec.unit})") for spec in specs]
    if factors is not None and factors.intensity_g_per_kwh is not None:
        headers.append(r"g CO$_2$e/1k output tokens")
    if factors is not None and factors.price_per_kwh is not None:
        headers.append(escaped(f"{factors.currency or 'cost'}/1k output tokens"))
    return "\n".join(_lines(source, found, specs, keys, headers, asked)) + "\n"


def _lines(
    source: Source,
    found: Sequence[Candidate],
    specs: Sequence[MetricSpec],
    keys: Sequence[str],
    headers: Sequence[str],
    asked: Sequence[MetricSpec],
) -> Iterator[str]:
    left = max(1, len(keys))
    yield f"% {_comment(source.name)}; needs \\usepackage{{booktabs}}"
    yield f"\\begin{{tabular}}{{{'l' * left}{'r' * (len(headers) - left)}}}"
    yield r"\toprule"
    yield " & ".join(headers) + r" \\"
    yield r"\midrule"
    for one in found:
        cells = [escaped(as_written(one.settings[key])) if key in one.settings else "--" for key in keys]
        cells = cells or [escaped(one.model or "")]
        cells += [_cell(one, spec) for spec in specs]
        cells += _footprint_cells(source, one)
        yield " & ".join(cells) + r" \\"
    yield r"\bottomrule"
    yield r"\end{tabular}"
    yield "% " + _comment(_note(source, found))
    asked_columns = [name for spec in asked for name in spec.of]
    yield from (f"% {_comment(text)}" for text in caveat_sentences(source.rows, asked_columns))


def _cell(one: Candidate, spec: MetricSpec) -> str:
    figure = one.figures.get(spec.name)
    if figure is None:
        return "--"
    mark = r"\sim " if spec.energy and one.estimated else ""
    return f"${mark}{_number(figure)}$"


def _number(figure: MetricSummary) -> str:
    """Mean ± standard deviation, with as many decimals as show a digit of the latter: no variation is printed as none."""
    text = amount(figure.mean)
    if figure.sd is not None:
        places = len(text.partition(".")[2])
        if figure.sd > 0:
            places = max(places, min(9, -math.floor(math.log10(figure.sd))))
            text = f"{figure.mean:,.{places}f}"
        text += rf" \pm {figure.sd:.{places}f}"
    return text.replace(",", "{,}").replace("\N{MINUS SIGN}", "-")


def _footprint_cells(source: Source, one: Candidate) -> list[str]:
    factors, figure = source.factors, one.figures.get("j_per_output_token")
    if factors is None:
        return []
    wanted = [factors.intensity_g_per_kwh is not None, factors.price_per_kwh is not None]
    if figure is None:
        return ["--"] * sum(wanted)
    found = footprint(figure.mean * 1000, factors)
    mark = r"\sim " if one.estimated else ""
    return [f"${mark}{amount(value)}$" for value in (found.carbon_g, found.cost) if value is not None]


def _note(source: Source, found: Sequence[Candidate]) -> str:
    cycles = [figure.n for one in found for figure in one.figures.values()]
    parts = [] if cycles else ["nothing was measured"]
    if any(n > 1 for n in cycles):
        parts.append(rf"\pm: standard deviation over cycles ({min(cycles)} to {max(cycles)})")
    elif cycles:
        parts.append("one cycle each: no standard deviation")
    if any(one.estimated for one in found):
        parts.append(r"\sim: an estimate, not a measurement")
    if source.factors is not None:
        parts.append(source.factors.text)
    return "; ".join(parts)


def escaped(text: str) -> str:
    """Text as LaTeX prints it."""
    return re.sub(r"[\\~^&%$#_{}]", lambda match: _SPECIAL[match[0]], _comment(text))


def _comment(text: str) -> str:
    """Text on one line, whatever it holds: an end of the line would end a comment, or a row."""
    return plain(" ".join(text.split()))
