"""`llem pick`: the best configuration of a study within limits, as a study that runs it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llem.plugin_api import BACKENDS, SCENARIOS, study_folders
from llem_analysis.commands.footprint_options import factors_of, footprint_options, footprint_text
from llem_analysis.commands.pareto import SHORT

if TYPE_CHECKING:
    from llem.plugin_api import Registry
    from llem_analysis.floors import Floor
    from llem_analysis.footprint import Factors
    from llem_analysis.picking import Pick

LATENCIES = ("ttft", "itl", "tpot", "e2e")
ACCURACY = "accuracy"


@click.command(
    epilog="Words: energy, throughput, ttft, itl, tpot, e2e, memory, power, or a figure as `llem analyze --help` lists them."
)
@click.argument("study", metavar="STUDY", type=click.Path(path_type=Path), shell_complete=study_folders)
@click.option(
    "--min", "lowest", metavar="FIGURE", help="What is to be low; energy where neither --min nor --max is given."
)
@click.option("--max", "highest", metavar="FIGURE", help="What is to be high, such as throughput.")
@click.option("--max-ttft", type=float, metavar="S", help="Time to first token at most.")
@click.option("--max-itl", type=float, metavar="S", help="Inter-token latency at most.")
@click.option("--max-tpot", type=float, metavar="S", help="Time per output token at most.")
@click.option("--max-e2e", type=float, metavar="S", help="End-to-end latency at most.")
@click.option(
    "--percentile",
    type=click.Choice(["50", "90", "95", "99"]),
    default="50",
    show_default=True,
    help="Of the latencies: which percentile over requests.",
)
@click.option("--min-throughput", type=float, metavar="TOKENS_PER_S", help="Output tokens per second at least.")
@click.option("--max-energy", type=float, metavar="J", help="Energy per output token at most.")
@click.option(
    "--min-accuracy",
    metavar="SHARE|PERCENT",
    help="Accuracy at least: a share such as 0.6, or 99% of the reference's. It is measured by llem-quality.",
)
@click.option(
    "--reference",
    metavar="KEY=VALUE,…",
    help="The configuration that --min-accuracy is a part of, by its settings. Default: the most accurate.",
)
@click.option("--max-memory", type=float, metavar="MIB", help="Peak device memory at most.")
@click.option("--max-power", type=float, metavar="W", help="Mean power at most.")
@click.option(
    "--slo",
    metavar="OBJECTIVES",
    help="Judge runs under load again: ttft_s=0.2,tpot_s=0.05,e2e_s=5,attainment=0.99, or `own` for the study's own. Only "
    "configurations that keep them are picked.",
)
@click.option(
    "--where",
    "among",
    metavar="KEY=VALUE,…",
    help="Settings that it has to have, such as load.rate_rps=4: the load that there is.",
)
@click.option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="Write the study to this file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document; `yaml` in it is the study.")
@footprint_options
@click.pass_obj
def pick(
    registry: Registry,
    /,
    study: Path,
    lowest: str | None,
    highest: str | None,
    percentile: str,
    slo: str | None,
    among: str | None,
    min_accuracy: str | None,
    reference: str | None,
    output: Path | None,
    as_json: bool,
    carbon_intensity: str | None,
    price: float | None,
    currency: str,
    pue: float | None,
    **bounds: float | None,
) -> None:
    """Name the best configuration within limits, with its YAML.

    Figures are means over cycles. What is printed is a study that runs the configuration again, with the reasons as
    comments, so that it can be redirected to a file.

    \b
    Examples:
      llem pick results/demo-20260101T120000Z --max-ttft 0.2 --min energy > best.yaml
      llem pick results/demo-20260101T120000Z --max throughput --max-energy 0.5
      llem pick results/demo-20260101T120000Z --max-ttft 0.2 --percentile 95 --output best.yaml
      llem pick results/load-20260101T120000Z --min j_per_good_token --slo ttft_s=0.2,attainment=0.95
      llem pick results/load-20260101T120000Z --min j_per_good_token --slo own --where load.rate_rps=4
      llem pick results/demo-20260101T120000Z --min energy --min-accuracy 99%
      llem run best.yaml --dry-run
    """
    from llem_analysis.objectives import objectives_of
    from llem_analysis.picking import Limit
    from llem_analysis.picking import pick as pick_of
    from llem_analysis.ready_study import ready_study

    factors = factors_of(carbon_intensity, price, currency, pue)
    limits = [
        Limit(_figure(name.partition("_")[2], percentile), bound) for name, bound in bounds.items() if bound is not None
    ]
    also = ["j_per_output_token"] if factors is not None else []
    objectives = None if slo is None else objectives_of(slo)
    floors = floors_of(min_accuracy, reference)
    found = pick_of(study, _objective(lowest, highest, percentile), limits, also, objectives, among, floors)
    comments = list(pick_lines(found, factors))
    backends = {name: spec.config for name, spec in registry[BACKENDS].items()}
    folder = Path(found.study_directory)
    text = ready_study(
        folder / found.directory, _study_name(found.study), backends, comments, registry[SCENARIOS], found.judged_by
    )
    if output is not None:
        from llem.plugin_api import write_text

        write_text(output, text)
    if as_json:
        click.echo(
            json.dumps({**found.document(), "yaml": text, **_footprint(found, factors)}, ensure_ascii=False, indent=1)
        )
    elif output is not None:
        click.echo("\n".join([*comments, "", f"Wrote {output}. Next: llem run {output} --dry-run"]))
    else:
        click.echo(text, nl=False)


def pick_lines(found: Pick, factors: Factors | None) -> Iterator[str]:
    """The pick and its reasons, for people."""
    from llem.plugin_api import span
    from llem_analysis.metric_names import METRIC_SPECS
    from llem_analysis.wording import amount, change, change_span, counted

    better = "lowest" if METRIC_SPECS[found.by].better == "lower" else "highest"
    yield f"{found.label}"
    label = (
        f"estimated {METRIC_SPECS[found.by].label}"
        if found.estimated and METRIC_SPECS[found.by].energy
        else METRIC_SPECS[found.by].label
    )
    asked = [
        *(["the objectives"] if found.objectives is not None else []),
        *(["all limits"] if any(figure.bound is not None for figure in found.figures.values()) else []),
    ]
    among = f"{found.kept} of {counted(found.considered, 'configuration')} keep{'s' * (found.kept == 1)} {' and '.join(asked)}"
    yield f"has the {better} {label} of {found.study}: {among if asked else counted(found.kept, 'configuration')}."
    for name, figure in found.figures.items():
        mark = "~" if found.estimated and METRIC_SPECS[name].energy else ""
        interval = f", 95 % interval {mark}{span(figure.interval.low, figure.interval.high)}" if figure.interval else ""
        word = "at most" if METRIC_SPECS[name].better == "lower" else "at least"
        bound = f" (asked: {word} {amount(figure.bound)})" if figure.bound is not None else ""
        chosen = f" when corrected for being the best of {found.kept} (measured {mark}{amount(figure.measured)})"
        corrected = chosen if figure.value != figure.measured else ""
        yield f"{figure.label}: {mark}{amount(figure.value)}{'' if figure.unit == '1' else ' ' + figure.unit}{corrected}{interval}{bound}"
    yield from found.floors
    if found.objectives is not None:
        yield found.objectives
    if factors is not None and (joules := _joules(found)) is not None:
        mark = "~" if found.estimated else ""
        yield f"footprint: {mark}{footprint_text(joules * 1000, factors, 'per 1,000 output tokens')}"
    mark = "~" if found.estimated and METRIC_SPECS[found.by].energy else ""
    for gain in found.advantages:
        yield (
            f"against {gain.over}: {mark}{change(gain.ratio)}, corrected likewise, 95 % interval {mark}{change_span(gain.interval)}"
        )
    if found.as_good:
        others = "; ".join(found.as_good[:5]) + (
            f"; and {len(found.as_good) - 5} more" if len(found.as_good) > 5 else ""
        )
        yield f"as good as far as cycles tell (choose among them by anything else): {others}"
    elif found.as_good is None:
        yield (
            "too few cycles to tell it from the others (3 of each give a test): it is what was seen lowest or highest, and "
            "no ranking"
        )
    if found.lacking:
        yield f"{counted(found.lacking, 'configuration')} left out: a figure was not measured, or a warning voids it"
    for caution in found.cautions:
        yield f"caution: {caution}"
    if found.estimated:
        yield "~ is an estimate (CPU utilisation times rated power), not a measurement"


def floors_of(words: str | None, reference: str | None) -> list[Floor]:
    """The floor under accuracy that the command line asks for. Raises ConfigError where nothing here tells accuracy."""
    from llem.plugin_api import ConfigError
    from llem_analysis.floors import floor_of
    from llem_analysis.metric_names import METRIC_SPECS

    if words is None:
        if reference is not None:
            raise ConfigError("--reference goes with --min-accuracy.", remedy="Give both, or leave it out.")
        return []
    if ACCURACY not in METRIC_SPECS:
        raise ConfigError(
            "accuracy comes with llem-quality, which is not installed here.", remedy="pip install llem-quality."
        )
    return [floor_of(ACCURACY, words, reference)]


def _joules(found: Pick) -> float | None:
    figure = found.figures.get("j_per_output_token")
    return None if figure is None else figure.value


def _footprint(found: Pick, factors: Factors | None) -> Mapping[str, Any]:
    if factors is None or (joules := _joules(found)) is None:
        return {}
    from llem_analysis.footprint import footprint

    per = footprint(joules * 1000, factors)
    return {
        "footprint_per_1000_output_tokens": {
            "carbon_g": per.carbon_g,
            "cost": per.cost,
            "currency": factors.currency or None,
            "factors": factors.text,
            "estimated": found.estimated,
        }
    }


def _figure(word: str, percentile: str) -> str:
    return f"{word}_p{percentile}_s" if word in LATENCIES else SHORT.get(word, word)


def _objective(lowest: str | None, highest: str | None, percentile: str) -> str:
    from llem.plugin_api import ConfigError
    from llem_analysis.metric_names import metric_specs

    if lowest is not None and highest is not None:
        raise ConfigError(
            "--min and --max both name what to be best in.", remedy="Keep one; limits are --max-ttft and the like."
        )
    (spec,) = metric_specs([_figure(lowest or highest or "energy", percentile)])
    if spec.better != ("higher" if highest is not None else "lower"):
        other = "--max" if spec.better == "higher" else "--min"
        raise ConfigError(f"{spec.label} is better {spec.better}.", remedy=f"Use {other} {lowest or highest}.")
    return spec.name


def _study_name(study: str) -> str:
    import re

    plain = re.sub(r"-\d{8}T\d{6}Z(-\d+)?$", "", study)
    clean = re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip("-._") or "study"
    return f"{clean[:90]}-best"
