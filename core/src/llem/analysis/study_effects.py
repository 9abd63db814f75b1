"""`analyze`: which parameters of a study matter, for each figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from llem.analysis import findings
from llem.analysis.caveats import caveats
from llem.analysis.design import configured, find_parameters
from llem.analysis.effect_models import Scale, StudyAnalysis
from llem.analysis.figures import MAIN, figure_specs
from llem.analysis.intervals import RESAMPLES, SEED
from llem.analysis.loading import load_rows, study_name
from llem.errors import PluginError, ResultError

if TYPE_CHECKING:
    from llem.results.study import StudyResult


def analyze(
    study: Path | str | StudyResult,
    *,
    figures: Sequence[str] | None = None,
    scale: Scale = "linear",
    seed: int = SEED,
) -> StudyAnalysis:
    """Main effects and interactions of everything that a study varied.

    Args:
        study: its folder, its `results.parquet`, or what `llem.load_study` gave.
        figures: names, as `llem analyze --help` lists them; by default energy per output token, throughput, latency and memory.
        scale: `log` analyses each figure's logarithm, where effects multiply instead of adding up.
        seed: of the bootstrap.

    Raises:
        ResultError: there is no study, or nothing in it varies.
        ConfigError: there is no such figure.
        PluginError: the extra `llem[analysis]` is not installed.

    Examples:
        >>> from llem.analysis import analyze
        >>> analysis = analyze("results/demo-20260101T120000Z")  # doctest: +SKIP
        >>> print(analysis.findings[0].text)  # doctest: +SKIP
    """
    specs = figure_specs(figures if figures is not None else MAIN)
    rows = load_rows(study)
    name, directory = study_name(study)
    configurations = configured(rows)
    parameters = find_parameters(configurations)
    if not parameters:
        many = "only one configuration" if configurations else "no experiment"
        raise ResultError(
            f"there is nothing to analyse: {many} that is done."
            if len(configurations) < 2
            else "there is nothing to analyse: the configurations differ in no key that was swept.",
            where=directory,
            remedy="An analysis takes a study with a `sweep`, two values of a key at least.",
        )
    try:
        import numpy
        import scipy
    except ImportError as error:
        raise PluginError(f"analyses need numpy and scipy ({error}).", remedy="pip install 'llem[analysis]'") from error
    del numpy, scipy
    from llem.analysis.figure_effects import analyse_figure

    found = [analyse_figure(spec, configurations, parameters, scale, seed) for spec in specs]
    analysed = tuple(figure for figure in found if figure is not None)
    if figures is None and any(f.name == "peak_memory_mb" and f.reason is None for f in analysed):
        analysed = tuple(f for f in analysed if f.name != "host_peak_rss_mb")
    cycles = [len(c.rows) for c in configurations]
    return StudyAnalysis(
        study=name,
        directory=directory,
        configurations=len({c.key for c in configurations}),
        cycles=(min(cycles), max(cycles)),
        parameters=tuple(parameters),
        figures=analysed,
        findings=findings.find(analysed),
        caveats=caveats(rows, configurations, analysed, [spec.name for spec in specs]),
        resamples=RESAMPLES,
        seed=seed,
    )
