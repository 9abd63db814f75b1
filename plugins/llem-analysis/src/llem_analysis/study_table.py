"""A study's figures as text: what the end of `llem run` and `llem show` print."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from llem.plugin_api import NOTHING, PARAGRAPH, energy_text, failure_lines, number, one_line, span, table, value
from llem_analysis.configurations import Configuration, no_interval
from llem_analysis.metric_summary import MetricSummary
from llem_analysis.shown_metrics import ShownMetric
from llem_analysis.study_kinds import study_kinds
from llem_analysis.warning_codes import IMPOSSIBLE, WarningKind, kind_of
from llem_analysis.weighing import GRAVITY, touched_text
from llem_analysis.wording import ESTIMATE


def study_table(configurations: Sequence[Configuration], metrics: Sequence[ShownMetric] = ()) -> str:
    """One line for each configuration: swept values, then figures. A figure that no configuration has gets no column.

    Registered `metrics` stand behind energy and speed.

    A key that a configuration does not sweep has the value there that it is set to.
    """
    keys = list(dict.fromkeys(key for c in configurations for key in c.point))
    headers, left = _short(keys), len(keys)
    settings = [{**c.base, **c.point} for c in configurations]
    cells = [[value(setting[key]) if key in setting else NOTHING for key in keys] for setting in settings]
    if not keys:
        headers, left = ["model", "backend"], 2
        cells = [[c.model or NOTHING, c.backend or NOTHING] for c in configurations]
    if any(sum(c.statuses.values()) > 1 for c in configurations):
        headers.append("cycles")
        for row, c in zip(cells, configurations, strict=True):
            row.append(str(sum(c.statuses.values())))
    kinds = study_kinds([(c.config_hash or c.directories[0], c.environment) for c in configurations])
    if any(kind is not None for kind in kinds):
        headers.append("environment")
        for row, kind in zip(cells, kinds, strict=True):
            row.append(one_line(kind or NOTHING, 60))
    for header, column in _figure_columns(configurations, metrics):
        headers.append(header)
        for row, cell in zip(cells, column, strict=True):
            row.append(cell)
    headers.append("status")
    for row, c in zip(cells, configurations, strict=True):
        row.append(_status(c))
    return table(headers, cells, left=left)


def _figure_columns(
    configurations: Sequence[Configuration], metrics: Sequence[ShownMetric]
) -> Iterator[tuple[str, list[str]]]:
    def column(name: str, scale: float = 1.0) -> list[str]:
        found = [c.figures.get(name) for c in configurations]
        return [number(f.mean * scale, None if f.sd is None else f.sd * scale) if f else NOTHING for f in found]

    def known(name: str) -> bool:
        return any(name in c.figures for c in configurations)

    yield "tokens/s", column("tokens_per_s")
    yield "energy per output token", [_energy_cell(c) for c in configurations]
    if any(f.interval for f in _main_figures(configurations)):
        # Of one figure only, the one that studies are made for: every figure's interval would make the table too wide.
        yield "95 % interval", [_interval_cell(c, _main(configurations)) for c in configurations]
    for spec in metrics:
        if known(spec.name):
            cells = column(spec.name)
            if spec.energy:
                cells = [
                    f"~{cell}" if cell != NOTHING and c.method == "estimate" else cell
                    for c, cell in zip(configurations, cells, strict=True)
                ]
            yield spec.header, cells
    if known("mean_w"):
        yield "mean W", column("mean_w")
    if known("ttft_p50_s"):
        yield "TTFT p50 ms", column("ttft_p50_s", 1e3)
    if known("tpot_p50_s"):
        yield "TPOT p50 ms", column("tpot_p50_s", 1e3)
    elif known("itl_p50_s"):
        yield "ITL p50 ms", column("itl_p50_s", 1e3)
    if known("peak_memory_mb"):
        yield "peak MiB", column("peak_memory_mb")
    elif known("host_peak_rss_mb"):
        yield "host RSS MiB", column("host_peak_rss_mb")


def _energy_cell(c: Configuration) -> str:
    if c.mixed_methods:
        return "cycles differ in method"
    figure = c.figures.get("j_per_output_token")
    if figure is None:
        return NOTHING
    return energy_text(number(figure.mean, figure.sd), "J", c.scope, c.method, c.unreliable)


def _main(configurations: Sequence[Configuration]) -> str:
    """The figure whose interval is shown: energy per output token, or speed where no energy was measured."""
    energy = any("j_per_output_token" in c.figures for c in configurations)
    return "j_per_output_token" if energy else "tokens_per_s"


def _main_figures(configurations: Sequence[Configuration]) -> list[MetricSummary]:
    return [f for c in configurations if (f := c.figures.get(_main(configurations)))]


def _interval_cell(c: Configuration, name: str) -> str:
    figure = c.figures.get(name)
    found = figure.interval if figure else None
    if found is None:
        return NOTHING
    estimated = name == "j_per_output_token" and c.method == "estimate"
    return f"{'~' if estimated else ''}{span(max(0.0, found.low), found.high)}"


def _interval_notes(configurations: Sequence[Configuration]) -> Iterator[str]:
    """Notes on ± and the interval, and the reason why a configuration has none."""
    figures = _main_figures(configurations)
    if any(f.sd is not None for f in figures):
        methods = sorted({_METHODS[found.method] for f in figures if (found := f.interval)}, reverse=True)
        energy = _main(configurations) == "j_per_output_token"
        of = f"of the mean {'energy per output token' if energy else 'of tokens/s'}, by {' or '.join(methods)}"
        yield f"± is the standard deviation over cycles{f'; the 95 % interval is {of}' if methods else ''}."
    lacking = Counter(reason for f in figures if (reason := no_interval(f.n)))
    for reason, count in lacking.items():
        which = f" for {count} of {len(configurations)} configurations" if count < len(configurations) else ""
        yield f"no 95 % interval{which}: {reason.replace('value', 'cycle')}."


_METHODS = {"t": "Student's t (3 to 5 cycles)", "bootstrap": "bootstrap (from 6 cycles on)"}


def _short(keys: Sequence[str]) -> list[str]:
    """Swept keys without their section where that leaves no doubt."""
    last = Counter(key.rpartition(".")[2] for key in keys)
    return [key.rpartition(".")[2] if last[key.rpartition(".")[2]] == 1 else key for key in keys]


def _status(c: Configuration) -> str:
    """The ends of its cycles, and what voids figures of them. Where that is energy alone its cell says so."""
    void = [code for code in sorted(c.codes) if (k := kind_of(code)).weight == "void" and k.touches != {"energy"}]
    counts, cycles = [*sorted(c.statuses.items()), *((one, c.codes[one]) for one in void)], sum(c.statuses.values())
    return ", ".join(word if count == cycles else f"{count} {word}" for word, count in counts)


def notes(configurations: Sequence[Configuration]) -> Iterator[str]:
    """Warnings and failures, one line each: a warning once for each code, with how many configurations have it."""
    if any(c.method == "estimate" for c in configurations):
        yield ESTIMATE
    yield from _interval_notes(configurations)
    yield from _warnings(configurations)
    yield from failure_lines([failure for c in configurations for failure in c.failures])


def _warnings(configurations: Sequence[Configuration]) -> Iterator[str]:
    """A line for each code, those that void first, and those that change no figure as notes at the end."""
    messages: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for c in configurations:
        counts.update({*c.warnings, *c.codes})
        for code, message in c.warnings.items():
            messages.setdefault(code, message)
    for code in sorted(counts, key=lambda code: GRAVITY[kind_of(code).weight]):
        kind = kind_of(code)
        several = f" ({counts[code]} of {len(configurations)} configurations)" if len(configurations) > 1 else ""
        word = "note" if kind.weight == "inform" else "warning"
        left_out = f" Left out of the figures above: {_left_out(kind)}." if kind.weight == "void" else ""
        yield f"{word}: {code}{several}: {one_line(messages.get(code, f'{kind.seen}; {kind.advice}.'), PARAGRAPH)}{left_out}"


def _left_out(kind: WarningKind) -> str:
    return "these values" if kind.code == IMPOSSIBLE else f"{touched_text(kind)} of these runs"
