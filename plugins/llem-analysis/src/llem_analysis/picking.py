"""The best configuration of a study within limits."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llem.plugin_api import ConfigError, MetricSpec, ResultError
from llem_analysis.candidates import Candidate, candidates_of, has_settings, refuse_mixed
from llem_analysis.comparison import PAIRS_CYCLES
from llem_analysis.design import ENVIRONMENT, configured
from llem_analysis.floors import Floor
from llem_analysis.floors import told as floors_told
from llem_analysis.intervals import FEWEST, Interval, mean
from llem_analysis.loading import load_rows, study_name, study_order
from llem_analysis.metric_names import metric_specs
from llem_analysis.objectives import Verdict, judged_again
from llem_analysis.selected import Selected, chosen_ratio, chosen_value, contenders, log_interval, noise_of
from llem_analysis.telling import inform_sentence, tellings
from llem_analysis.wording import amount, counted

if TYPE_CHECKING:
    from llem.plugin_api import StudyResult


ACCURACY_LOW = "scenario_metrics.accuracy_low"
"""The lower end of accuracy's 95 % interval over questions: cycles that ask the same ones tell nothing of it."""


@dataclass(frozen=True)
class Limit:
    """A bound that a figure's mean over cycles keeps: at most or at least so much, whichever way is better."""

    figure: str
    bound: float


@dataclass(frozen=True)
class PickedFigure:
    """A figure of the picked configuration.

    Attributes:
        value: of the figure that it was chosen by, the estimate that is corrected for its having been chosen, where cycles
            tell noise; of any other the mean over cycles.
        measured: the mean over cycles.
        interval: 95 %, of `value`; it never reaches 0.
    """

    label: str
    unit: str
    value: float
    measured: float
    interval: Interval | None
    bound: float | None = None


@dataclass(frozen=True)
class Advantage:
    """The figure that it was chosen by over that of others, corrected for its having been chosen.

    Attributes:
        over: what they are called.
        ratio: its figure divided by theirs; interval: 95 %.
    """

    over: str
    ratio: float
    interval: Interval


@dataclass(frozen=True)
class Pick:
    """The best configuration.

    Attributes:
        by: the figure that it is best in.
        figures: that one, the limited ones, and those that were asked for besides.
        directory: its first job directory, relative to the study's folder.
        considered, kept: configurations in all, and those that keep every limit.
        lacking: how many lack a figure that was asked for.
        estimated: the energy among its figures is an estimate.
        as_good: labels of those within the limits that cycles do not tell from it; None where there are too few cycles. With
            95 % the one that is best in truth is it, or among these.
        advantages: what choosing it brings; empty where there are too few cycles.
        cautions: what to know before relying on it.
        objectives: how well it keeps the objectives that were asked for; None where none were.
        judged_by: these objectives, by section and key.
        floors: a sentence for each limit that is a share of what a reference has.
    """

    study: str
    study_directory: str
    config_hash: str
    label: str
    settings: Mapping[str, Any]
    directory: str
    by: str
    figures: Mapping[str, PickedFigure]
    considered: int
    kept: int
    lacking: int
    estimated: bool
    as_good: tuple[str, ...] | None
    advantages: tuple[Advantage, ...] = ()
    cautions: tuple[str, ...] = field(default=())
    objectives: str | None = None
    judged_by: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    floors: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """As plain data, for JSON."""
        return asdict(self)

    def _repr_html_(self) -> str:
        """The display in a notebook."""
        from llem_analysis.display import pick_html

        return pick_html(self)


def pick(
    study: Path | str | StudyResult,
    by: str = "j_per_output_token",
    limits: Sequence[Limit] = (),
    also: Sequence[str] = (),
    objectives: Mapping[str, float] | None = None,
    among: str | None = None,
    floors: Sequence[Floor] = (),
) -> Pick:
    """The configuration that is best in one figure among those whose figures keep all limits.

    Args:
        study: its folder, its `results.parquet`, or what `llem.load_study` gave.
        by: a figure's name; lowest or highest is best, as fits the figure.
        also: further figures to tell of the best one, where it has them; they decide nothing.
        objectives: by which finished runs under load are judged again, by key (`ttft_s`); what is not given is the study's own. Figures
            that rest on them are those under these, and only configurations that keep them are picked. None judges nothing again.
        among: settings that the picked one has to have, `KEY=VALUE,…` as labels show them.
        floors: least values that may be a share of what a reference configuration has; the reference need not have these settings.

    Raises:
        ResultError: there is no study, no configuration keeps the limits, or energy was found by different methods.
        ConfigError: there is no such figure, there are no such objectives, or no configuration has the settings.
    """
    told = metric_specs([by, *(limit.figure for limit in limits), *(floor.figure for floor in floors), *also])
    rows = load_rows(study, told, [ACCURACY_LOW])
    groups, verdicts = configured(rows), None
    if objectives is not None:
        groups, verdicts = judged_again(groups, Path(study_name(study)[1]), objectives, told)
    found = candidates_of(groups, told)
    under = [*floors_told(floors, found, str(study_name(study)[1]))]
    limits = [*limits, *(Limit(figure, bound) for figure, bound, _ in under)]
    places = [place for place, one in enumerate(found) if among is None or has_settings(one, among)]
    if among is not None and not places:
        shown = "; ".join(one.label for one in found[:4])
        raise ConfigError(
            f"no configuration has the settings `{among}`.",
            where=str(study_name(study)[1]),
            remedy=f"Write them as KEY=VALUE,KEY=VALUE. There are: {shown}, ….",
        )
    chosen = None if verdicts is None else [verdicts[place] for place in places]
    best = pick_among([found[place] for place in places], rows, study, by, limits, also, chosen)
    return replace(best, floors=tuple(sentence for _, _, sentence in under if sentence))


def pick_among(
    found: Sequence[Candidate],
    rows: Sequence[Mapping[str, Any]],
    study: Path | str | StudyResult,
    by: str,
    limits: Sequence[Limit] = (),
    also: Sequence[str] = (),
    verdicts: Sequence[Verdict] | None = None,
) -> Pick:
    """As `pick`, among configurations of a study that have these figures, with all its rows, and each one's verdict."""
    specs = {spec.name: spec for spec in metric_specs([by, *(limit.figure for limit in limits)])}
    name, where = study_name(study)
    told = {**specs, **{spec.name: spec for spec in metric_specs(also)}}
    refuse_mixed(found, list(specs.values()), where)
    passing = found if verdicts is None else [o for o, v in zip(found, verdicts, strict=True) if v.kept]
    if not passing and verdicts is not None:
        raise ResultError(f"no configuration keeps the objectives. {_told_of(found, verdicts)}", where=where)
    whole = [one for one in passing if all(figure in one.figures for figure in specs)]
    if not whole:
        lacking = [spec.label for spec in specs.values() if not any(spec.name in one.figures for one in passing)]
        what = " and ".join(lacking) if lacking else "all these figures together"
        warned = [t for t in tellings(rows, [name for s in specs.values() for name in s.of]) if t.weight == "void"]
        why = "".join(f" {one.sentence}" for one in warned)
        raise ResultError(f"no configuration has {what}.{why}", where=where, remedy=_why_missing(specs))
    kept = [one for one in whole if all(_keeps(one, specs[limit.figure], limit) for limit in limits)]
    if not kept:
        raise ResultError(f"no configuration keeps all limits. {_nearest(whole, specs, limits)}", where=where)
    choice = _choose(kept, specs[by], PAIRS_CYCLES.get(study_order(study), False))
    best = kept[choice.best]
    told = {figure: spec for figure, spec in told.items() if figure in best.figures}
    verdict = None if verdicts is None else next(v for o, v in zip(found, verdicts, strict=True) if o is best)
    return Pick(
        study=name,
        study_directory=where,
        config_hash=best.config_hash,
        label=best.label,
        settings=best.settings,
        directory=best.directory,
        by=by,
        figures={
            figure: _picked(
                best,
                spec,
                next((limit.bound for limit in limits if limit.figure == figure), None),
                choice.value if figure == by else None,
            )
            for figure, spec in told.items()
        },
        considered=len(found),
        kept=len(kept),
        lacking=len(passing) - len(whole),
        estimated=best.estimated and any(spec.energy for spec in told.values()),
        as_good=choice.as_good,
        advantages=choice.advantages,
        cautions=(
            *_of_objectives(verdict, [*specs.values()]),
            *_cautions(best, specs, limits),
            *_warned(best, found, specs),
        ),
        objectives=None if verdict is None else verdict.sentence,
        judged_by={} if verdict is None else verdict.judged_by,
    )


def _told_of(found: Sequence[Candidate], verdicts: Sequence[Verdict]) -> str:
    """The way in which a few of them miss the objectives."""
    parts = [f"{one.label}: {verdict.sentence}" for one, verdict in zip(found, verdicts, strict=True)]
    more = f"; and {len(parts) - 3} more" if len(parts) > 3 else ""
    return f"{'; '.join(parts[:3])}{more}."


def _of_objectives(verdict: Verdict | None, specs: Sequence[MetricSpec]) -> Iterator[str]:
    """Cautions about objectives: kept by a narrow margin, or not looked at where a figure rests on them."""
    if verdict is None:
        resting = [s.label for s in specs if any(name.startswith("scenario_metrics.good") for name in s.of)]
        if resting:
            yield (
                f"{' and '.join(resting)} counts what keeps the study's own objectives (slo), and nobody asked for the share of requests "
                "that does: --slo own leaves out configurations that miss it, --slo ttft_s=0.2 judges by others."
            )
    elif verdict.is_close:
        yield "another run may miss the objectives: the share of requests that is asked for lies within the interval."


def _keeps(one: Candidate, spec: MetricSpec, limit: Limit) -> bool:
    value = one.figures[spec.name].mean
    return value <= limit.bound if spec.better == "lower" else value >= limit.bound


def _picked(best: Candidate, spec: MetricSpec, bound: float | None, corrected: Selected | None) -> PickedFigure:
    figure = best.figures[spec.name]
    return PickedFigure(
        label=spec.label,
        unit=spec.unit,
        value=figure.mean if corrected is None else corrected.estimate,
        measured=figure.mean,
        interval=log_interval(figure.values) if corrected is None else corrected.interval,
        bound=bound,
    )


@dataclass(frozen=True)
class _Choice:
    """The place of the best, and what its cycles and those of the others tell of it."""

    best: int
    value: Selected | None = None
    as_good: tuple[str, ...] | None = None
    advantages: tuple[Advantage, ...] = ()


def _choose(kept: Sequence[Candidate], spec: MetricSpec, paired: bool) -> _Choice:
    # Lower is better of all of these: of a figure that is to be high its reciprocal.
    sign = 1.0 if spec.better == "lower" else -1.0
    logs = [{c: sign * math.log(v) for c, v in one.figures[spec.name].by_cycle.items()} for one in kept]
    means = [mean(list(one.values())) for one in logs]
    best = min(range(len(kept)), key=means.__getitem__)
    noise = noise_of(logs, paired=paired)
    if noise is None or kept[best].figures[spec.name].n < FEWEST:
        return _Choice(best, as_good=() if len(kept) == 1 else None)
    near = [i for i in contenders(means, noise, best) if i != best]
    others = [i for i in range(len(kept)) if i != best]
    found = []
    if best != 0:
        found.append(Advantage(kept[0].label, *_turned(chosen_ratio(means, noise, best, [0]), sign)))
    if len(others) > 1:
        ratio = chosen_ratio(means, noise, best, others)
        found.append(Advantage(f"the {len(others)} others on average", *_turned(ratio, sign)))
    estimate, interval = _turned(chosen_value(means, noise, best), sign)
    return _Choice(best, Selected(estimate, interval), tuple(kept[i].label for i in near), tuple(found))


def _turned(one: Selected, sign: float) -> tuple[float, Interval]:
    """As the figure is, of one whose reciprocal was chosen."""
    if sign > 0:
        return one.estimate, one.interval
    return 1 / one.estimate, replace(one.interval, low=1 / one.interval.high, high=1 / one.interval.low)


def _cautions(best: Candidate, specs: Mapping[str, MetricSpec], limits: Sequence[Limit]) -> tuple[str, ...]:
    found = []
    for limit in limits:
        figure, spec = best.figures[limit.figure], specs[limit.figure]
        if limit.figure == "accuracy":
            lows = [low for row in best.rows if (low := row.get(ACCURACY_LOW)) is not None]
            if lows and min(lows) < limit.bound:
                found.append(
                    f"the floor under accuracy lies within its 95 % interval over questions, which begins at {amount(min(lows))}: "
                    "with other questions it may not keep it."
                )
            continue
        interval = log_interval(figure.values)
        if interval is None:
            found.append(
                f"{counted(figure.n, 'cycle')} say{'s' * (figure.n == 1)} little about how surely it keeps the limit on {spec.label}."
            )
        elif (interval.high > limit.bound) if spec.better == "lower" else (interval.low < limit.bound):
            span = f"{amount(interval.low)} to {amount(interval.high)} {spec.unit}"
            found.append(f"the limit on {spec.label} lies within its 95 % interval ({span}): it may not keep it.")
    if ENVIRONMENT in best.settings:
        found.append(
            f"the study ran in unlike environments; these are its figures in that of {best.settings[ENVIRONMENT]}."
        )
    return tuple(found)


def _warned(best: Candidate, considered: Sequence[Candidate], specs: Mapping[str, MetricSpec]) -> Iterator[str]:
    """Warnings of the picked one's runs, then those of the others, then what changes none of the figures."""
    columns = [name for spec in specs.values() for name in spec.of]
    own = tellings(best.rows, columns)
    others = tellings((row for one in considered if one is not best for row in one.rows), columns)
    yield from (f"its runs {one.text}: {one.runs} of {one.of}." for one in own if one.weight != "inform")
    yield from (f"of the others, {one.sentence}" for one in others if one.weight != "inform")
    every = tellings((row for one in considered for row in one.rows), columns)
    if informing := [one for one in every if one.weight == "inform"]:
        yield inform_sentence(informing)


def _nearest(whole: Sequence[Candidate], specs: Mapping[str, MetricSpec], limits: Sequence[Limit]) -> str:
    """The configuration that misses its limits by least, relative to each."""

    def excess(one: Candidate) -> float:
        worst = 0.0
        for limit in limits:
            value, spec = one.figures[limit.figure].mean, specs[limit.figure]
            over = value - limit.bound if spec.better == "lower" else limit.bound - value
            worst = max(worst, over / (abs(limit.bound) or 1.0))
        return worst

    one = min(whole, key=excess)
    values = "; ".join(
        f"{spec.label} {'~' * (spec.energy and one.estimated)}{amount(one.figures[spec.name].mean)} {spec.unit} "
        f"(limit {amount(limit.bound)})"
        for limit in limits
        if (spec := specs[limit.figure])
    )
    return f"The nearest is {one.label}: {values}."


def _why_missing(specs: Mapping[str, MetricSpec]) -> str:
    tails = {"_p90_s": "100", "_p95_s": "200", "_p99_s": "1,000"}
    needed = [n for ending, n in tails.items() if any(name.endswith(ending) for name in specs)]
    if needed:
        return (
            f"A percentile stands only where ten values lie beyond it, from {needed[-1]} requests in the window on: raise dataset.n "
            "or measurement.min_window_s, or take the median."
        )
    if "accuracy" in specs:
        return "Measure it: llem quality STUDY --tasks FILE."
    if any(name.startswith(("ttft", "itl", "tpot")) for name in specs):
        return "Latency of single tokens is there only where the engine streams; `llem show` lists what was measured."
    return "`llem show` lists what was measured."
