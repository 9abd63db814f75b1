"""Reach of findings, by simulation of studies whose truth is known: `python -m bench.findings`.

Seven designs, each with effects that are real and effects that are null, normal noise on logarithms, three cycles; rows go in
and sentences come out, through what `llem analyze` calls. Counted are: studies with a sentence that claims a null effect,
95 % intervals that hold the truth, effects that got an interval, effects that no design of this kind can tell and that were
refused by name. Then the power for effects of 5 %, random designs for what is impossible, shares against statsmodels, and,
without a goal, what one wild run in twenty does.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.report import Figure, arguments, machine, publish
from llem.config.study import ExecutionConfig
from llem.plan.schedule import RunOrder
from llem.results.arrow_table import METADATA
from llem_analysis.picking import pick
from llem_analysis.study_effects import analyse_rows
from llem_analysis.study_models import FigureAnalysis, StudyAnalysis

SEED = 20_261_128
CYCLES = 3
NOISE = 0.02
METRIC = "j_per_output_token"
COLUMN = "energy.headline.j_per_output_token"

Point = dict[str, Any]
Generator = np.random.Generator


@dataclass(frozen=True)
class Truth:
    """A design, what is true of it, and what it can tell.

    Attributes:
        points: its configurations; energy: of each, in joules per token.
        real: parameters and pairs of parameters that do something; anything else is null.
        noise: relative, of each point.
        drift: what the last place of a cycle has over the first, as a share.
        refused: parameter to what it goes together with; the design cannot tell it.
        wild: share of runs that are three times as far off, five times as large.
    """

    points: Sequence[Point]
    energy: Callable[[Point], float]
    real: frozenset[frozenset[str]]
    noise: Callable[[int, Generator], float] = lambda _place, _generator: NOISE
    drift: float = 0.0
    refused: Mapping[str, str] = field(default_factory=dict)
    wild: float = 0.0


def grid(**axes: Sequence[Any]) -> list[Point]:
    """Every combination; `__` in a name stands for a dot."""
    names = [name.replace("__", ".") for name in axes]
    return [dict(zip(names, values, strict=True)) for values in product(*axes.values())]


def real(*terms: Sequence[str]) -> frozenset[frozenset[str]]:
    """Parameters, and pairs of them, that do something."""
    return frozenset(frozenset(term) for term in terms)


BATCH, DTYPE, ATTENTION, LENGTH = "engine.batch", "engine.dtype", "engine.attention", "engine.length"


def _by_batch(point: Point) -> float:
    return float(10.0 / point[BATCH])


def _by_both(point: Point) -> float:
    return float(_by_batch(point) * (0.5 if point[DTYPE] == "bfloat16" else 1.0))


def _noise_of(generator: Generator, size: int) -> list[float]:
    """A third of the configurations, one at least, is five times as noisy as the others."""
    noisy = set(generator.choice(size, max(1, size // 3), replace=False).tolist())
    return [NOISE * (5 if place in noisy else 1) for place in range(size)]


def complete(_generator: Generator) -> Truth:
    """Batch size matters, precision and attention do not."""
    points = grid(engine__batch=[1, 2, 4], engine__dtype=["a", "b"], engine__attention=["x", "y"])
    return Truth(points, _by_batch, real([BATCH]))


def missing(_generator: Generator) -> Truth:
    """Out of memory: large batches of the wide type; attention does nothing."""
    points = grid(engine__batch=[1, 8, 64, 512], engine__dtype=["float32", "bfloat16"], engine__attention=["x", "y"])
    kept = [p for p in points if p[DTYPE] == "bfloat16" or p[BATCH] < 64]
    return Truth(kept, _by_both, real([BATCH], [DTYPE]))


def nested(_generator: Generator) -> Truth:
    """A precision that only one engine has; the engine itself and the length of answers do nothing."""
    first = grid(backend=["one"], one__dtype=["wide", "narrow"], dataset__output_tokens=[64, 256, 1024])
    points = [*first, *grid(backend=["two"], dataset__output_tokens=[64, 256, 1024])]

    def energy(point: Point) -> float:
        # The engines' means are alike: √(0.55 × 1 / 0.55) = 1.
        root = math.sqrt(0.55)
        return {"wide": 1 / root, "narrow": root}.get(point.get("one.dtype", ""), 1.0)

    return Truth(points, energy, real(["one.dtype"]))


def half_fraction(_generator: Generator) -> Truth:
    """Half of 2 × 2 × 2: only the interaction of a and b is there, and c goes with it."""
    points = [p for p in grid(engine__a=[0, 1], engine__b=[0, 1], engine__c=[0, 1]) if sum(p.values()) % 2 == 0]
    a, b, c = "engine.a", "engine.b", "engine.c"
    refused = {a: f"{b} × {c}", b: f"{a} × {c}", c: f"{a} × {b}"}
    return Truth(points, lambda p: 0.8 if p[a] == p[b] else 1.0, real([c], [a, b]), refused=refused)


def unequal(generator: Generator) -> Truth:
    """A third of the configurations is five times as noisy as the others."""
    points = grid(engine__batch=[1, 2, 4], engine__dtype=["a", "b"], engine__attention=["x", "y"])
    noise = _noise_of(generator, len(points))
    return Truth(points, _by_batch, real([BATCH]), noise=lambda place, _: noise[place])


def drifting(_generator: Generator) -> Truth:
    """Nothing matters, and each cycle drifts by 4 % from its first run to its last, in the default order."""
    points = grid(engine__batch=[1, 2, 4], engine__dtype=["a", "b"], engine__attention=["x", "y"])
    return Truth(points, lambda _: 1.0, frozenset(), drift=0.04)


def multiplicative(_generator: Generator) -> Truth:
    """Batch sizes from 1 to 512 divide the energy, whatever precision and attention are, which do nothing."""
    sizes = [2**k for k in range(10)]
    points = grid(engine__batch=sizes, engine__dtype=["a", "b"], engine__attention=["x", "y"])
    return Truth(points, _by_batch, real([BATCH]))


DESIGNS: dict[str, Callable[[Generator], Truth]] = {
    "complete": complete,
    "missing_cells": missing,
    "nested": nested,
    "half_fraction": half_fraction,
    "unequal_noise": unequal,
    "drift": drifting,
    "multiplicative": multiplicative,
}


def study_rows(truth: Truth, generator: Generator, cycles: int = CYCLES) -> list[dict[str, Any]]:
    """The rows of a study of this truth, run in the default order."""
    execution = ExecutionConfig(cycles=cycles, seed=int(generator.integers(2**31)))
    many = len(truth.points)
    schedule = RunOrder.of(execution, many)
    rows = []
    for position in range(len(schedule)):
        cycle, place = schedule[position]
        point = truth.points[place]
        error = generator.normal() * truth.noise(place, generator)
        if truth.wild and generator.random() < truth.wild:
            error += abs(generator.normal()) * 5 * NOISE
        within = (position - cycle * many) / (many - 1)
        value = truth.energy(point) * math.exp(error) * (1 + truth.drift * within)
        rows.append(row(point, place, cycle + 1, position + 1, value))
    return rows


def row(point: Point, place: int, cycle: int, position: int, value: float) -> dict[str, Any]:
    """One run as `results.parquet` has it."""
    return {
        "directory": f"{position:05}",
        "status": "done",
        "config_hash": f"{place:04}",
        "cycle": cycle,
        "position": position,
        "config.backend": point.get("backend", "engine"),
        "config.model.source": "model",
        "energy.headline.method": "counter",
        "energy.headline.scope": "gpu",
        COLUMN: value,
        **{f"point.{key}": setting for key, setting in point.items()},
    }


def analysed(truth: Truth, generator: Generator, cycles: int = CYCLES) -> StudyAnalysis:
    """A study of this truth, analysed."""
    return analyse_rows(study_rows(truth, generator, cycles), "simulated", "simulated", figures=[METRIC])


@dataclass
class Tally:
    """Counts over the studies of one design."""

    studies: int = 0
    false: int = 0
    intervals: int = 0
    held: int = 0
    could: int = 0
    told: int = 0
    refusable: int = 0
    refused: int = 0

    def add(self, truth: Truth, found: StudyAnalysis) -> None:
        """Count one study."""
        self.studies += 1
        self.false += claims_nothing(truth, found)
        (figure,) = found.figures
        for name in dict.fromkeys(key for point in truth.points for key in point):
            if name in truth.refused:
                self.refusable += 1
                self.refused += is_refused(name, truth.refused[name], figure, found)
                continue
            self.could += 1
            effect = figure.effect(name)
            if effect is None or effect.contrast.ratio_interval is None:
                continue
            self.told += 1
            interval = effect.contrast.ratio_interval
            self.intervals += 1
            self.held += (
                interval.low <= true_ratio(truth, name, effect.contrast.start, effect.contrast.end) <= interval.high
            )


def claims_nothing(truth: Truth, found: StudyAnalysis) -> bool:
    """A sentence claims an effect, or an interaction, that is null."""
    claims = [finding for finding in found.findings if finding.certainty == "told" and finding.parameters]
    if any(frozenset(claim.parameters) not in truth.real for claim in claims):
        return True
    # A refusal that says that one of several does something is a claim about these together.
    (figure,) = found.figures
    together = [alias for alias in figure.refused if alias.told]
    return any(
        not {frozenset([a.parameter]), *(frozenset(o.split(" × ")) for o in a.others)} & truth.real for a in together
    )


def is_refused(name: str, others: str, figure: FigureAnalysis, found: StudyAnalysis) -> bool:
    """It has no effect of its own, and a sentence names it with what it goes together with."""
    named = any(f.certainty == "refused" and name in f.text and others in f.text for f in found.findings)
    return named and figure.effect(name) is None


def true_ratio(truth: Truth, name: str, start: Any, end: Any) -> float:
    """The true ratio between two values, over the combinations of the rest that ran with both."""
    others = [key for key in dict.fromkeys(k for p in truth.points for k in p) if key != name]
    if name == "backend":
        others = [key for key in others if all(key in point for point in truth.points)]
    cells: dict[tuple[Any, ...], dict[Any, list[float]]] = {}
    for point in truth.points:
        if name in point:
            key = tuple(point.get(other) for other in others)
            cells.setdefault(key, {}).setdefault(point[name], []).append(math.log(truth.energy(point)))
    logs = [
        math.fsum(cell[end]) / len(cell[end]) - math.fsum(cell[start]) / len(cell[start])
        for cell in cells.values()
        if start in cell and end in cell
    ]
    return math.exp(math.fsum(logs) / len(logs))


def simulate(design: str, studies: int, wild: float = 0.0) -> Tally:
    """Studies of one design."""
    generator = np.random.default_rng([SEED, list(DESIGNS).index(design), int(wild * 1000)])
    tally = Tally()
    for _ in range(studies):
        truth = DESIGNS[design](generator)
        if wild:
            truth = Truth(truth.points, truth.energy, truth.real, wild=wild)
        tally.add(truth, analysed(truth, generator))
    return tally


def power(studies: int) -> tuple[int, int]:
    """Of effects of 5 % at 1 % noise in 2 × 2 × 2 designs: how many were found, and how many there were."""
    generator = np.random.default_rng([SEED, 100])
    names = ("engine.a", "engine.b", "engine.c")
    points = grid(engine__a=[0, 1], engine__b=[0, 1], engine__c=[0, 1])
    truth = Truth(
        points, lambda p: 1.05 ** sum(p.values()), real(*([name] for name in names)), noise=lambda _p, _g: 0.01
    )
    found = 0
    for _ in range(studies):
        claimed = {f.parameters for f in analysed(truth, generator).findings if f.certainty == "told"}
        found += sum((name,) in claimed for name in names)
    return found, len(names) * studies


def impossible(designs: int) -> int:
    """Of random designs with random holes and figures: values that cannot be, and intervals without their own estimate."""
    generator = np.random.default_rng([SEED, 200])
    wrong = 0
    for _ in range(designs):
        axes = {
            f"engine__p{i}": list(range(int(generator.integers(2, 5)))) for i in range(int(generator.integers(1, 5)))
        }
        points = grid(**axes)
        many = int(generator.integers(min(2, len(points)), min(len(points), 30) + 1))
        chosen = [points[i] for i in sorted(generator.choice(len(points), many, replace=False).tolist())]
        scale, spread = float(10 ** generator.uniform(-6, 6)), float(10 ** generator.uniform(-4, 0.5))
        logs = {str(p): float(generator.normal() * generator.choice([0.0, 0.05, 2.0])) for p in chosen}
        truth = Truth(
            chosen,
            lambda p, logs=logs, scale=scale: scale * math.exp(logs[str(p)]),  # type: ignore[misc]
            frozenset(),
            noise=lambda _p, _g, spread=spread: spread,  # type: ignore[misc]
        )
        rows = study_rows(truth, generator, int(generator.integers(1, 5)))
        if not _varies(rows):
            continue
        found = analyse_rows(rows, "random", "random", figures=[METRIC])
        wrong += sum(_wrong(figure, [r[COLUMN] for r in rows]) for figure in found.figures)
    return wrong


def _varies(rows: Sequence[Mapping[str, Any]]) -> bool:
    keys = [key for key in rows[0] if key.startswith("point.")]
    return any(len({r[key] for r in rows}) > 1 for key in keys)


def _wrong(figure: FigureAnalysis, values: Sequence[float]) -> int:
    """Number of values in an analysis that cannot be. Means lie between the smallest and the largest value that was measured."""
    low, high = min(values) * (1 - 1e-9), max(values) * (1 + 1e-9)
    means = [
        m for e in figure.effects for s in (*e.steps, e.contrast) for m in (s.start_mean, s.end_mean) if m is not None
    ]
    means += [level.mean for e in figure.effects for level in e.levels] + [
        c.mean for i in figure.interactions for c in i.cells
    ]
    slack = 1.0 if figure.trend is None else max(figure.trend.ratio, 1 / figure.trend.ratio)
    wrong = sum(not 0 < m < math.inf for m in means)
    # What cycles and places add is taken out of means, which may carry one past what was measured, by no more than these.
    spread = math.exp(6 * (figure.noise_sd or 0.0)) * slack
    wrong += sum(not low / spread <= m <= high * spread for m in means)
    pairs = [(e.contrast.ratio, e.contrast.ratio_interval) for e in figure.effects]
    pairs += [(s.ratio, s.interval) for e in figure.effects for s in e.steps]
    pairs += [(level.mean, level.interval) for e in figure.effects for level in e.levels]
    pairs += [(a.ratio, a.interval) for a in figure.refused if a.ratio is not None]
    pairs += [p for i in figure.interactions for p in zip(i.extremes.ratios, i.extremes.intervals, strict=True)]
    if figure.trend is not None:
        pairs.append((figure.trend.ratio, figure.trend.interval))
    wrong += sum(not 0 < ratio < math.inf for ratio, _ in pairs)
    wrong += sum(not 0 < i.low <= ratio <= i.high < math.inf for ratio, i in pairs if i is not None)
    shares = [(e.share, e.share_interval) for e in figure.effects] + [
        (e.share_total, e.share_total_interval) for e in figure.effects
    ]
    shares += [(i.share, i.share_interval) for i in figure.interactions]
    wrong += sum(not 0 <= share <= 1 for share, _ in shares if share is not None)
    wrong += sum(share is None or not 0 <= i.low <= share <= i.high <= 1 for share, i in shares if i is not None)
    ps = [x.p_adjusted for x in (*figure.effects, *figure.interactions, *figure.refused) if x.p_adjusted is not None]
    return wrong + sum(not 0 <= p <= 1 for p in ps)


def share_error(studies: int) -> float:
    """The largest difference of a share from statsmodels' sums of squares with noise taken off (ε²), in points."""
    import pandas as pd
    import statsmodels.formula.api as smf
    from statsmodels.stats.anova import anova_lm

    generator = np.random.default_rng([SEED, 300])
    worst = 0.0
    for _ in range(studies):
        points = grid(engine__a=[0, 1, 2], engine__b=[0, 1], engine__c=[0, 1])
        a, b, c, ab = generator.normal(0, 0.2, 4)
        truth = Truth(
            points,
            lambda p, k=(a, b, c, ab): math.exp(  # type: ignore[misc]
                k[0] * p["engine.a"]
                + k[1] * p["engine.b"]
                + k[2] * p["engine.c"]
                + k[3] * p["engine.a"] * p["engine.b"]
            ),
            frozenset(),
        )
        rows = study_rows(truth, generator)
        (figure,) = analyse_rows(rows, "shares", "shares", figures=[METRIC]).figures
        frame = pd.DataFrame(
            {"y": math.log(r[COLUMN]), "cycle": r["cycle"]} | {key: r[f"point.engine.{key}"] for key in "abc"}
            for r in rows
        )
        table = anova_lm(smf.ols("y ~ C(a, Sum) * C(b, Sum) * C(c, Sum) + C(cycle)", frame).fit(), typ=2)
        noise = table["sum_sq"]["Residual"] / table["df"]["Residual"]
        between = table.drop(index=["C(cycle)", "Residual"])
        total = float(between["sum_sq"].sum() - noise * between["df"].sum())
        for terms, share in [((e.parameter,), e.share) for e in figure.effects] + [
            (i.parameters, i.share) for i in figure.interactions
        ]:
            name = ":".join(f"C({t.removeprefix('engine.')}, Sum)" for t in terms)
            expected = max(0.0, float(between["sum_sq"][name] - noise * between["df"][name])) / total
            worst = max(worst, abs((share or 0.0) - expected))
    return worst * 100


def pick_coverage(studies: int, cycles: int) -> tuple[int, int]:
    """Of studies of forty configurations that are equal, at 3 % noise: how often the interval of the one that is picked holds the truth."""
    generator = np.random.default_rng([SEED, 400, cycles])
    truth = Truth([{"engine.x": x} for x in range(40)], lambda _: 1.0, frozenset(), noise=lambda _p, _g: 0.03)
    held = 0
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "manifest.json").write_text(json.dumps({"order": "shuffled"}))
        for _ in range(studies):
            table = pa.Table.from_pylist(study_rows(truth, generator, cycles)).replace_schema_metadata(METADATA)
            pq.write_table(table, Path(folder) / "results.parquet")
            interval = pick(Path(folder) / "results.parquet", METRIC).figures[METRIC].interval
            held += interval is not None and interval.low <= 1.0 <= interval.high
    return held, studies


def main() -> int:
    """Simulate, print the table, publish the figures."""
    options = arguments(__doc__).parse_args()
    where = machine()
    studies = 40 if options.quick else 1_000
    figures: dict[str, Figure] = {}
    print(f"{studies:,} studies of each design\n")
    heads = ("false", "coverage", "told", "refused")
    print(f"{'design':<16}" + "".join(f"{head:>12}" for head in heads))
    tallies = {}
    for design in DESIGNS:
        tally = tallies[design] = simulate(design, studies)
        found = {
            "false": _percent(tally.false, tally.studies),
            "coverage": _percent(tally.held, tally.intervals),
            "told": _percent(tally.told, tally.could),
            "refused": _percent(tally.refused, tally.refusable),
        }
        cells = (f"{'–':>12}" if f is None else f"{f.value:>10.1f} %" for f in found.values())
        print(f"{design:<16}" + "".join(cells), flush=True)
        figures |= {f"{key}_pct_{design}": figure for key, figure in found.items() if figure is not None}
    outliers = simulate("complete", studies, wild=0.05)
    apart = {
        "false": _percent(outliers.false, outliers.studies),
        "coverage": _percent(outliers.held, outliers.intervals),
    }
    figures |= {f"{key}_pct_outliers": figure for key, figure in apart.items() if figure is not None}
    kinds = {
        key: [f for name, f in figures.items() if name.startswith(f"{key}_pct_") and "outliers" not in name]
        for key in heads
    }
    figures["false_effects_pct"] = max(kinds["false"], key=lambda f: f.value)
    figures["coverage_min_pct"] = min(kinds["coverage"], key=lambda f: f.value)
    figures["coverage_max_pct"] = max(kinds["coverage"], key=lambda f: f.value)
    figures["told_pct"] = min(kinds["told"], key=lambda f: f.value)
    figures["refused_pct"] = min(kinds["refused"], key=lambda f: f.value)
    found_power = _percent(*power(studies))
    assert found_power is not None
    figures["found_pct"] = found_power
    picks = {cycles: _percent(*pick_coverage(40 if options.quick else 500, cycles)) for cycles in (3, 10)}
    figures |= {f"pick_coverage_pct_{cycles}_cycles": found for cycles, found in picks.items() if found is not None}
    figures["pick_coverage_pct"] = min((found for found in picks.values() if found is not None), key=lambda f: f.value)
    random_designs = 80 if options.quick else 2_000
    figures["impossible"] = Figure(impossible(random_designs), "1", random_designs, None)
    compared = 5 if options.quick else 100
    figures["share_error_points"] = Figure(share_error(compared), "points", compared, None)
    publish("findings", where, figures, options.json)
    return 0


def _percent(count: int, of: int) -> Figure | None:
    """A share of simulated cases with half of its 95 % interval; None where there was none."""
    if not of:
        return None
    share = count / of
    return Figure(share * 100, "%", of, 196 * math.sqrt(share * (1 - share) / of))


if __name__ == "__main__":
    sys.exit(main())
