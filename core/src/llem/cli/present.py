"""A study's or a result's figures as text: what `llem show` and the end of `llem run` print."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from llem.cli.table import NOTHING, number, one_line, span, table, value
from llem.metrics.environments import study_kinds
from llem.metrics.shown import ShownMetric
from llem.metrics.summary import Configuration, MetricSummary
from llem.results.text import ESTIMATE, PARAGRAPH, energy_text
from llem.results.warning_codes import IMPOSSIBLE, WarningKind, kind_of, touched_text
from llem.results.weighing import GRAVITY, is_impossible

MOST_LINES = 20
"""Number of failures that are listed before the rest is only counted."""


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
    lacking = Counter(reason for f in figures if (reason := f.no_interval))
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
    failures = [failure for c in configurations for failure in c.failures]
    for failure in failures[:MOST_LINES]:
        phase = f" in {failure['phase']}" if failure["phase"] else ""
        yield f"failed: {failure['directory']}: {failure['type']}{phase}: {one_line(failure['message'] or '', PARAGRAPH)}"
    if len(failures) > MOST_LINES:
        yield f"failed: … and {len(failures) - MOST_LINES} more"


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


def result_text(result: Mapping[str, Any]) -> str:
    """All figures of one result, in sections. Whatever is null is left out, and a section of nothing with it."""
    from llem.results.columns import unit_of

    identity = result["identity"]
    config, work, scenario = result["config"], result["work"], result["scenario"]
    lines = [
        f"{result['status']}  {config['model']['source']} on {config['backend']} ({work}, {scenario})".replace(
            "_", " "
        ),
        f"config_hash {identity['config_hash']}  cycle {identity['cycle']}",
    ]
    if identity["point"]:
        lines.append("point       " + ", ".join(f"{k} = {value(v)}" for k, v in identity["point"].items()))
    lines.append(f"from {result['started_at']} to {result['ended_at']}")
    if result["failure"]:
        failure = result["failure"]
        lines += [
            "",
            f"failure: {failure['type']} in {failure['phase'] or 'an unknown phase'}",
            f"  {failure['message']}",
        ]
        if failure["log_tail"]:
            lines += ["  log tail:", *(f"  | {line}" for line in failure["log_tail"].splitlines()[-MOST_LINES:])]
    if result["energy"]:
        lines += ["", "energy", *_energy_lines(result["energy"])]
    sections = (
        "tokens",
        "throughput",
        "latency",
        "memory",
        "flops",
        "warmup",
        "baseline",
        "other_load",
        "model",
        "dataset",
    )
    for section in sections:
        found = list(_entries(result[section] or {}, section))
        if found:
            lines += ["", section]
            for path, data in found:
                unit = unit_of(path)
                name = path.removeprefix(section + ".")
                text = number(data) if isinstance(data, float) else value(data)
                lines.append(f"  {name:<24} {text}{f' {unit}' if unit else ''}{_impossible(path, data)}")
    for sample in (s for s in result["samples"] if s["prompt"] is not None or s["output"] is not None):
        lines += ["", f"prompt {sample['index']}", f"  asked     {_text(sample['prompt'])}"]
        lines.append(f"  answered  {_text(sample['output'])}")
    lines += _sampler_lines(result["samplers"])
    for warning in sorted(result["warnings"], key=lambda w: GRAVITY[kind_of(w["code"]).weight]):
        kind = kind_of(warning["code"])
        word = "note" if kind.weight == "inform" else "warning"
        voids = f" It voids {touched_text(kind)}: do not use it." if kind.weight == "void" else ""
        lines.append(f"{word}: {warning['code']}: {one_line(warning['message'], PARAGRAPH)}{voids}")
    return "\n".join(lines)


def _energy_lines(energy: Mapping[str, Any]) -> Iterator[str]:
    yield f"  {'window':<24} {number(energy['window_s'])} s"
    if energy["headline"] is None:
        some = " of the devices that did the work; what else was measured:" if energy["totals"] else ""
        yield f"  nothing was measured{some}"
    for total in energy["totals"]:
        for name, unit in (
            ("j_per_output_token", "J"),
            ("j_per_token", "J"),
            ("j_per_request", "J"),
            ("energy_j", "J"),
            ("adjusted_j", "J"),
            ("mean_w", "W"),
        ):
            if total[name] is not None:
                text = energy_text(number(total[name]), unit, total["scope"], total["method"], total["unreliable"])
                yield f"  {name:<24} {text}{_impossible(f'energy.headline.{name}', total[name])}"
    for device in energy["devices"]:
        by = " ".join(dict.fromkeys([device["sampler"], device["method"]]))
        figure = f"{number(device['energy_j'])} J, {number(device['mean_w'])} W by {by}"
        figure += _impossible("energy.headline.energy_j", device["energy_j"])
        yield f"  {device['device']:<24} {device['name']}: {figure}{', unreliable' if device['unreliable'] else ''}"


def _impossible(column: str, figure: Any) -> str:
    """The mark of a value that is not possible, as results of earlier versions may hold."""
    return ", not possible: do not use it" if is_impossible(column, figure) else ""


def _text(text: str | None) -> str:
    return NOTHING if text is None else one_line(text)


def _entries(data: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, found in data.items():
        path = f"{prefix}.{key}"
        if isinstance(found, Mapping) and prefix == "latency":
            yield from _entries(found, path)
        elif found is not None and found not in ({}, []):
            yield path, found


def _sampler_lines(samplers: Sequence[Mapping[str, Any]]) -> list[str]:
    if not samplers:
        return []
    lines = ["", "samplers"]
    for s in samplers:
        rate = f" at {number(s['achieved_hz'])} Hz" if s["achieved_hz"] is not None else ""
        text = f"used on {', '.join(s['devices'])}{rate}" if s["used"] else f"not used: {s['reason']}"
        lines.append(f"  {s['name']:<24} {text}")
    return lines
