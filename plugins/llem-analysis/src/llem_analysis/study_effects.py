"""`analyze`: which parameters of a study matter, for each figure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llem.plugin_api import PluginError, ResultError
from llem_analysis import findings
from llem_analysis.caveats import caveats
from llem_analysis.cycles_needed import EarlierStudies, spread_of_study
from llem_analysis.design import Configured, configured, find_parameters
from llem_analysis.design_notes import design_notes
from llem_analysis.intervals import SEED
from llem_analysis.loading import load_rows, study_name
from llem_analysis.metric_names import METRIC_SPECS, main_figures, metric_specs
from llem_analysis.study_models import FigureAnalysis, StudyAnalysis
from llem_analysis.verdicts import tests_of, verdicts

if TYPE_CHECKING:
    from llem.plugin_api import StudyResult

INTEREST = 0.01
"""A change smaller than this gets no sentence of its own, unless somebody asks for it."""


def analyze(
    study: Path | str | StudyResult,
    *,
    figures: Sequence[str] | None = None,
    interest: float = INTEREST,
    pilot: Path | str | None = None,
    seed: int = SEED,
) -> StudyAnalysis:
    """Main effects and interactions of everything that a study varied.

    Args:
        study: its folder, its `results.parquet`, or what `llem.load_study` gave.
        figures: names, as `llem analyze --help` lists them; by default energy per output token, throughput, latency and memory.
        interest: a change smaller than this share gets no sentence of its own.
        pilot: an earlier study with cycles, whose spread says how many cycles this one would need; by default the latest
            one in the same folder.
        seed: of the intervals of shares.

    Raises:
        ResultError: there is no study, or nothing in it varies.
        ConfigError: there is no such figure.
        PluginError: numpy or scipy is not installed.

    Examples:
        >>> from llem_analysis import analyze
        >>> analysis = analyze("results/demo-20260101T120000Z")  # doctest: +SKIP
        >>> print(analysis.findings[0].text)  # doctest: +SKIP
    """
    if not 0 <= interest < 1:
        raise ValueError("interest is a share: at least 0 and below 1")
    names = figures if figures is not None else main_figures()
    specs = metric_specs(names)
    name, directory = study_name(study)
    earlier = EarlierStudies(Path(directory), None if pilot is None else Path(pilot))
    return analyse_rows(
        load_rows(study, specs),
        name,
        directory,
        figures=names,
        interest=interest,
        earlier=earlier,
        seed=seed,
    )


def analyse_rows(
    rows: Sequence[Mapping[str, Any]],
    name: str,
    directory: str,
    *,
    figures: Sequence[str] | None = None,
    interest: float = INTEREST,
    earlier: EarlierStudies | None = None,
    seed: int = SEED,
) -> StudyAnalysis:
    """As `analyze`, of a study's rows."""
    return analyse_configurations(
        rows, configured(rows), name, directory, figures=figures, interest=interest, earlier=earlier, seed=seed
    )


def analyse_configurations(
    rows: Sequence[Mapping[str, Any]],
    configurations: Sequence[Configured],
    name: str,
    directory: str,
    *,
    figures: Sequence[str] | None = None,
    interest: float = INTEREST,
    earlier: EarlierStudies | None = None,
    seed: int = SEED,
) -> StudyAnalysis:
    """As `analyze`, of a study's rows that have been brought together by configuration already."""
    names = main_figures() if figures is None else tuple(figures)
    specs = metric_specs(names)
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
    from llem_analysis.figure_design import Designs
    from llem_analysis.figure_effects import analyse_figure
    from llem_analysis.shares import DRAWS

    designs = Designs(parameters, configurations)
    each = (analyse_figure(spec, configurations, parameters, seed, designs) for spec in specs)
    found = [one for one in each if one is not None]
    if names == main_figures() and any(f.name == "peak_memory_mb" and f.reason is None for f in found):
        found = [f for f in found if f.name != "host_peak_rss_mb"]
    tests = max(1, len(tests_of(found)))
    analysed = tuple(_with_needed(f, configurations, earlier, tests) for f in verdicts(found))
    cycles = [len(c.rows) for c in configurations]
    return StudyAnalysis(
        study=name,
        directory=directory,
        configurations=len({c.key for c in configurations}),
        cycles=(min(cycles), max(cycles)),
        parameters=tuple(parameters),
        figures=analysed,
        findings=findings.find(analysed, interest),
        caveats=(*caveats(rows, configurations, analysed, figures), *design_notes(analysed)),
        interest=interest,
        resamples=DRAWS,
        seed=seed,
    )


def _with_needed(
    figure: FigureAnalysis,
    configurations: Sequence[Configured],
    earlier: EarlierStudies | None,
    tests: int,
) -> FigureAnalysis:
    """Number of cycles that the largest step that is not told would need: by this study's spread, else an earlier one's."""
    from llem_analysis.figure_effects import ONCE, needed

    open_ = [e for e in figure.effects if e.told is False or e.reason == ONCE]
    if not open_:
        return figure
    largest = max(open_, key=lambda e: max(abs(math.log(step.ratio)) for step in e.steps))
    spec = METRIC_SPECS[figure.name]
    if figure.noise_sd is not None:
        spread = spread_of_study(configurations, spec.column, "this study")
    else:
        spread = earlier.spread(spec) if earlier is not None else None
    return replace(figure, needed=needed(figure, largest, spread, tests))
