"""The figures of one experiment as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from llem.plugin_api import NOTHING, PARAGRAPH, energy_text, number, one_line, unit_of, value
from llem_analysis.warning_codes import kind_of
from llem_analysis.weighed_rows import is_impossible
from llem_analysis.weighing import GRAVITY, touched_text

MOST_LINES = 20
"""Number of lines of a log that are shown."""


def result_text(result: Mapping[str, Any]) -> str:
    """All figures of one result, in sections. Whatever is null is left out, and a section of nothing with it."""
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
