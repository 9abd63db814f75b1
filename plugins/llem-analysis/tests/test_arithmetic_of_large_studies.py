"""The arithmetic that large studies need, held against plain matrices on small designs with missing cells, to 1e-9."""

from __future__ import annotations

from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special

from llem_analysis import contexts
from llem_analysis.cell_means import CellMeans
from llem_analysis.contexts import Rectangles
from llem_analysis.covariates import Covariates
from llem_analysis.decomposition import decompose
from llem_analysis.effect_models import Parameter
from llem_analysis.figure_design import Designs
from llem_analysis.run_layout import RunLayout
from llem_analysis.space import Space, make_space
from llem_analysis.timeline import timeline
from llem_analysis.totals import total_noise, total_variance

Floats = NDArray[np.float64]
CLOSE = {"rel": 1e-9, "abs": 1e-9}


class Study:
    """Runs of a grid of which some cells are missing, each cycle in an order of its own, some runs missing too.

    Attributes:
        columns: of the covariates about each configuration's mean, laid out: blocks but the first, then the place.
    """

    def __init__(self, seed: int, *, cycles: int = 3, gaps: float = 0.2, place: bool = True) -> None:
        self.rng = np.random.default_rng(seed)
        points = list(product(range(3), range(3), range(2)))
        kept = [point for point in points if self.rng.random() >= gaps]
        # Every value is there, whatever is missing.
        self.points = sorted({*kept, *((a, a, a % 2) for a in range(3)), (0, 1, 1), (1, 0, 0)})
        self.size = len(self.points)
        runs = [(cell, k) for k in range(cycles) for cell in self.rng.permutation(self.size).tolist()]
        # The first configuration ran once: it borrows the others' variance.
        runs = [run for run in runs if (run[1] < 2 or self.rng.random() >= gaps) and (run[0] or not run[1])]
        self.cell = np.array([cell for cell, _ in runs])
        self.block = np.array([k for _, k in runs])
        self.logs = self.rng.normal(scale=0.05, size=len(runs)) + self.rng.normal(size=self.size)[self.cell]
        when = timeline(self.cell, self.block.tolist(), list(range(len(runs))), self.size)
        assert when.order == "changing places"
        self.when = when if place else when.blocks
        self.layout = RunLayout(self.cell, self.size, self.when)
        wide = (self.block[:, None] == np.arange(1, cycles)).astype(np.float64)
        if self.when.place is not None:
            wide = np.hstack([wide, self.when.place[:, None]])
        self.middle = np.array([wide[self.cell == c].mean(axis=0) for c in range(self.size)])
        self.columns = wide - self.middle[self.cell]
        self.moved = self.middle - wide.mean(axis=0)
        self.solve = np.linalg.pinv(self.columns)

    @property
    def space(self) -> Space:
        parameters = [Parameter(name, (name,), tuple(range(n))) for name, n in zip("abc", (3, 3, 2), strict=True)]
        return make_space(parameters, [dict(zip("abc", point, strict=True)) for point in self.points])

    def weights(self, rows: Floats) -> Floats:
        """Of each run in sums of the adjusted means, by the definition of these."""
        counts = np.bincount(self.cell)
        return (rows / counts)[:, self.cell] - (rows @ self.moved) @ self.solve


@pytest.fixture(
    params=[(seed, cycles, place) for seed in range(3) for cycles, place in ((3, True), (4, False), (12, True))]
)
def study(request: pytest.FixtureRequest) -> Study:
    seed, cycles, place = request.param
    return Study(seed, cycles=cycles, place=place)


def contrasts_of(study: Study, n: int = 6) -> Floats:
    rows = study.rng.normal(size=(n, study.size))
    return rows - rows.mean(axis=1, keepdims=True)


def test_slopes_and_residuals_are_those_of_least_squares(study: Study) -> None:
    covariates = study.layout.covariates
    inside = study.logs - np.array([study.logs[study.cell == c].mean() for c in range(study.size)])[study.cell]
    expected = np.linalg.lstsq(study.columns, inside, rcond=None)[0]
    assert covariates.slopes(study.logs) == pytest.approx(expected, **CLOSE)
    assert covariates.residual(study.logs) == pytest.approx(inside - study.columns @ expected, **CLOSE)
    assert covariates.quadratic(covariates.inverse) == pytest.approx(
        np.diag(study.columns @ np.linalg.pinv(study.columns)), **CLOSE
    )


def test_columns_that_are_not_there_take_the_shortest_slopes() -> None:
    """Two groups of configurations that share no cycle: a block of one is told only against blocks of the same."""
    cell, block = np.array([0, 0, 1, 1, 2, 2, 3, 3]), np.array([0, 1, 0, 1, 2, 3, 2, 3])
    covariates = Covariates(cell, 4, block)
    wide = (block[:, None] == np.arange(1, 4)).astype(np.float64)
    inside = wide - np.array([wide[cell == c].mean(axis=0) for c in range(4)])[cell]
    values = np.random.default_rng(1).normal(size=8)
    assert covariates.slopes(values) == pytest.approx(np.linalg.pinv(inside) @ values, **CLOSE)


def test_means_variances_and_degrees_of_freedom_follow_from_each_run_s_weight(study: Study) -> None:
    means = CellMeans(study.logs, study.layout)
    rows = contrasts_of(study)
    weights = study.weights(rows)
    assert means.weights(rows) == pytest.approx(weights, **CLOSE)
    counts = np.bincount(study.cell)
    same = (study.cell[:, None] == study.cell) / counts[study.cell]
    left = np.eye(len(study.cell)) - same - study.columns @ study.solve
    residual = left @ study.logs
    part = np.array([np.diag(left)[study.cell == c].sum() for c in range(study.size)])
    df = round(float(np.trace(left)))
    squares = np.array([(residual[study.cell == c] ** 2).sum() for c in range(study.size)])
    own = part >= 0.5
    variances = np.where(own, squares / np.where(own, part, 1.0), squares.sum() / df)
    assert means.df == df
    assert means.variances == pytest.approx(variances, **CLOSE)
    at = [study.cell == c for c in range(study.size)]
    shared = np.array([[(left[np.ix_(a, b)] ** 2).sum() for b in at] for a in at])
    shared = shared / np.outer(np.where(own, part, 1.0), np.where(own, part, 1.0))
    for row, weight in zip(rows, weights, strict=True):
        found = means.estimate(row)
        parts = np.array([(weight[a] ** 2).sum() * v for a, v in zip(at, variances, strict=True)])
        alone = np.where(own, parts, 0.0)
        expected = parts.sum() ** 2 / (alone @ shared @ alone + (parts.sum() - alone.sum()) ** 2 / df)
        assert found.value == pytest.approx(float(weight @ study.logs), **CLOSE)
        assert found.variance == pytest.approx(float(weight**2 @ variances[study.cell]), **CLOSE)
        assert found.df == pytest.approx(min(df, max(expected, 1.0)), **CLOSE)


def test_the_slope_over_places_is_that_of_least_squares() -> None:
    study = Study(5)
    found = CellMeans(study.logs, study.layout).slope()
    assert found is not None
    assert found.value == pytest.approx(float(study.solve[-1] @ study.logs), **CLOSE)
    means = CellMeans(study.logs, study.layout)
    assert found.variance == pytest.approx(float(study.solve[-1] ** 2 @ means.variances[study.cell]), **CLOSE)


def test_many_sums_at_once_are_each_of_them_alone(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llem_analysis.cell_means._AT_ONCE", 2 * len(study.logs))
    means, steps = CellMeans(study.logs, study.layout), contexts.steps(study.space, "a")
    together = means.estimates(steps.difference)
    rows = steps.after.rows(0, steps.after.n, study.size) - steps.before.rows(0, steps.before.n, study.size)
    for found, row in zip(together, rows, strict=True):
        alone = means.estimate(row)
        assert [found.value, found.variance, found.df] == pytest.approx(
            [alone.value, alone.variance, alone.df], **CLOSE
        )


def mean_over(study: Study, name: str, value: int, at: set[tuple[int, ...]]) -> Floats:
    """Weights of a mean over combinations of the other parameters."""
    axis = "abc".index(name)
    row = np.zeros(study.size)
    for place, point in enumerate(study.points):
        if point[axis] == value and point[:axis] + point[axis + 1 :] in at:
            row[place] = 1 / len(at)
    return row


def contexts_of(study: Study, name: str, value: int) -> set[tuple[int, ...]]:
    axis = "abc".index(name)
    return {point[:axis] + point[axis + 1 :] for point in study.points if point[axis] == value}


@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_a_step_is_the_difference_over_the_combinations_that_both_values_ran_with(study: Study, name: str) -> None:
    found = contexts.steps(study.space, name)
    rows = found.difference.rows(0, found.difference.n, study.size)
    levels = sorted({point["abc".index(name)] for point in study.points})
    shared = {
        (a, b): both
        for a, b in combinations(levels, 2)
        if (both := contexts_of(study, name, a) & contexts_of(study, name, b))
    }
    assert [(one.start, one.end) for one in found.found] == list(shared)
    assert set(found.apart) == set(combinations(levels, 2)) - set(shared)
    for one, row in zip(found.found, rows, strict=True):
        both = shared[one.start, one.end]
        either = contexts_of(study, name, one.start) | contexts_of(study, name, one.end)
        assert (one.shared, one.combinations) == (len(both), len(either))
        assert row == pytest.approx(
            mean_over(study, name, one.end, both) - mean_over(study, name, one.start, both), **CLOSE
        )


def plain_rectangles(study: Study) -> dict[Any, tuple[Floats, Floats]]:
    """Of a and b over the values of c, cell by cell."""
    place = {point: number for number, point in enumerate(study.points)}
    found = {}
    for first, second in product(combinations(range(3), 2), combinations(range(3), 2)):
        shared = [c for c in range(2) if all((a, b, c) in place for a in first for b in second)]
        rows = np.zeros((2, study.size))
        for side, b in enumerate(second):
            for c in shared:
                rows[side, place[first[1], b, c]] += 1 / len(shared)
                rows[side, place[first[0], b, c]] -= 1 / len(shared)
        if shared:
            found[first, second] = (rows[0], rows[1])
    return found


def rectangles_of(study: Study) -> Rectangles:
    found = contexts.rectangles(study.space, ("a", "b"))
    assert found is not None
    return found


def test_a_rectangle_is_over_the_combinations_that_ran_with_all_four_corners(study: Study) -> None:
    found, expected = rectangles_of(study), plain_rectangles(study)
    assert list(zip(found.first, found.second, strict=True)) == list(expected)
    for number, rows in enumerate(expected.values()):
        assert found.ends(number) == pytest.approx(np.array(rows), **CLOSE)


def test_the_test_of_an_interaction_is_the_anova_type_statistic_of_its_rectangles(study: Study) -> None:
    means = CellMeans(study.logs, study.layout)
    rows = np.array([high - low for low, high in plain_rectangles(study).values()])
    _, sizes, basis = np.linalg.svd(rows, full_matrices=False)
    basis = basis[sizes > 1e-9 * sizes[0]]
    weights = study.weights(basis)
    spread = (weights * means.variances[study.cell]) @ weights.T
    whole = float(np.trace(spread))
    parts = np.array([(weights[:, study.cell == c] ** 2).sum() * v for c, v in enumerate(means.variances)])
    own = np.where(study.layout.own, parts, 0.0)
    shared = study.layout.shared
    below = float(own @ shared @ own) + (parts.sum() - own.sum()) ** 2 / means.df
    df = min(means.df, max(parts.sum() ** 2 / below, 1.0))
    statistic = float(((basis @ means.means) ** 2).sum()) / whole
    expected = float(special.fdtrc(whole**2 / float((spread**2).sum()), df, statistic))
    assert means.p_of_basis(rectangles_of(study).basis) == pytest.approx(expected, **CLOSE)
    assert means.p_of_all(rows) == pytest.approx(expected, **CLOSE)


def nested() -> Space:
    """Two backends, one with a parameter of its own; every combination."""
    points: list[dict[str, int]] = [
        *({"backend": 0, "own": own, "c": c, "d": d} for own in range(3) for c in range(2) for d in range(2)),
        *({"backend": 1, "c": c, "d": d} for c in range(2) for d in range(2)),
    ]
    parameters = [
        Parameter("backend", ("backend",), (0, 1)),
        Parameter("own", ("own",), (0, 1, 2), "first"),
        Parameter("c", ("c",), (0, 1)),
        Parameter("d", ("d",), (0, 1)),
    ]
    order = np.random.default_rng(3).permutation(len(points)).tolist()
    return make_space(parameters, [points[place] for place in order])


def crossed() -> Space:
    points = [dict(zip("abc", point, strict=True)) for point in product(range(4), range(3), range(2))]
    return make_space([Parameter(n, (n,), tuple(range(k))) for n, k in zip("abc", (4, 3, 2), strict=True)], points)


@pytest.mark.parametrize("space", [crossed(), nested()], ids=["crossed", "nested"])
def test_terms_and_totals_are_averages_over_the_configurations(space: Space) -> None:
    split = decompose(space)
    assert split is not None
    rng = np.random.default_rng(4)
    values, variances = rng.normal(size=(space.size, 5)), rng.uniform(0.5, 2, size=space.size)
    margins, noise = split.margins(values), split.margins(variances[:, None])

    def mean(chosen: NDArray[np.bool_]) -> Floats:
        row = np.where(chosen, split.measure, 0.0)
        return row / row.sum()

    for members, term in split.terms.items():
        inside = space.within(members)
        columns = [space.levels[name] for name in members]
        effects = []
        for cell in product(*(np.unique(column[inside]) for column in columns)):
            row = mean(inside)
            at = [inside & (column == value) for column, value in zip(columns, cell, strict=True)]
            row = mean(at[0]) - row if len(at) == 1 else mean(at[0] & at[1]) - mean(at[0]) - mean(at[1]) + row
            effects.append(row)
        matrix = np.array(effects)
        weight = space.weight(members)
        assert term.variance(margins) == pytest.approx(weight * ((matrix @ values) ** 2).mean(axis=0), **CLOSE)
        assert term.noise(noise) == pytest.approx(float(weight * (matrix**2 @ variances).mean()), **CLOSE)
    for name in space.levels:
        others = [other for other in space.levels if other != name]
        held, of, measure, spread = values, np.arange(space.size), split.measure, variances
        if name == space.gate:
            # Averages over what only one backend has.
            others = [other for other in others if (space.levels[other] >= 0).all()]
            keys = np.stack([space.levels[other] for other in (name, *others)], axis=1)
            _, first, of = np.unique(keys, axis=0, return_index=True, return_inverse=True)
            of = of.reshape(-1)
            counts = np.bincount(of)
            held = np.array([values[of == row].mean(axis=0) for row in range(counts.size)])
            spread = np.bincount(of, weights=variances) / counts**2
            measure = np.bincount(of, weights=split.measure)
        else:
            first = np.arange(space.size)
        keys = np.stack([space.levels[other][first] for other in others], axis=1)
        there = space.levels[name][first] >= 0
        total, excess = np.zeros(5), 0.0
        for key in np.unique(keys[there], axis=0):
            group = there & (keys == key).all(axis=1)
            total += (measure[group, None] * (held[group] - held[group].mean(axis=0)) ** 2).sum(axis=0)
            excess += float((measure[group] * spread[group]).sum() * (1 - 1 / group.sum()))
        assert total_variance(split, name, margins) == pytest.approx(total, **CLOSE)
        assert total_noise(split, name, variances) == pytest.approx(excess, **CLOSE)


def test_figures_of_the_same_runs_share_one_design() -> None:
    from llem_analysis.design import Configured

    configurations = [Configured(str(a), None, [], {"a": a}) for a in range(3)]
    designs = Designs([Parameter("a", ("a",), (0, 1, 2))], configurations)
    whole = designs.of([0, 1, 2], [0, 1, 2], [1, 1, 1], [1, 2, 3])
    assert designs.of([0, 1, 2], [0, 1, 2], [1, 1, 1], [1, 2, 3]) is whole
    fewer = designs.of([0, 2], [0, 1], [1, 1], [1, 3])
    assert fewer.space.size == 2
    first = designs.of([0, 1], [0, 0, 1], [1, 2, 1], [1, 2, 3])
    second = designs.of([0, 1], [0, 1, 1], [1, 2, 1], [1, 2, 3])
    assert (first.layout.counts.tolist(), second.layout.counts.tolist()) == ([2, 1], [1, 2])
    assert whole.space.size == 3
