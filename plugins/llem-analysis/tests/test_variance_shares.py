"""Shares of variance against designs whose shares are known, against statsmodels' analyses of variance."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.anova import anova_lm

from llem_analysis.decomposition import decompose
from llem_analysis.design import Configured
from llem_analysis.effect_models import Parameter
from llem_analysis.figure_effects import analyse_figure
from llem_analysis.metric_names import METRIC_SPECS
from llem_analysis.space import make_space
from llem_analysis.study_models import FigureAnalysis

SPEC = METRIC_SPECS["tokens_per_s"]


def configurations_of(points: list[dict[str, int]], logs: list[list[float]]) -> list[Configured]:
    """Configurations whose figures have these logarithms; a single one is repeated, so that cycles do not vary."""
    return [
        Configured(
            str(i),
            None,
            [{SPEC.column: math.exp(v), "cycle": k} for k, v in enumerate(found * 2 if len(found) == 1 else found)],
            dict(point),
        )
        for i, (point, found) in enumerate(zip(points, logs, strict=True))
    ]


def analysed(points: list[dict[str, int]], logs: list[list[float]]) -> FigureAnalysis:
    """Analyse figures with these logarithms (a list for each point, one for each cycle) over points of level indices."""
    names = list(dict.fromkeys(name for point in points for name in point))
    parameters = [Parameter(name, (name,), tuple(sorted({p[name] for p in points if name in p}))) for name in names]
    result = analyse_figure(SPEC, configurations_of(points, logs), parameters, 42)
    assert result is not None
    return result


def grid(**levels: int) -> list[dict[str, int]]:
    return [dict(zip(levels, found, strict=True)) for found in product(*(range(n) for n in levels.values()))]


def shares(figure: FigureAnalysis) -> dict[Any, float | None]:
    return {e.parameter: e.share for e in figure.effects} | {i.parameters: i.share for i in figure.interactions}


def test_a_sum_of_effects_has_the_shares_of_their_variances() -> None:
    points = grid(a=2, b=3, c=2)
    figure = analysed(points, [[4.0 * p["a"] + 2.0 * p["b"]] for p in points])
    var_a, var_b = 4.0, 4 * 2 / 3
    assert shares(figure)["a"] == pytest.approx(var_a / (var_a + var_b))
    assert shares(figure)["b"] == pytest.approx(var_b / (var_a + var_b))
    assert shares(figure)["c"] == pytest.approx(0, abs=1e-12)
    assert figure.design == "complete"
    assert figure.unexplained == pytest.approx(0, abs=1e-12)
    assert figure.sd == pytest.approx(math.sqrt(var_a + var_b))


def test_the_ishigami_function_on_a_grid_has_its_sobol_indices() -> None:
    """A fine grid over [-π, π]³ comes near the continuous function, whose indices are known in closed form
    (Ishigami and Homma, ISUMA 1990).
    """
    levels, a, b = 20, 7.0, 0.1
    middle = [-math.pi + 2 * math.pi * (i + 0.5) / levels for i in range(levels)]

    def ishigami(x: Any) -> Any:
        return np.sin(x[..., 0]) + a * np.sin(x[..., 1]) ** 2 + b * x[..., 2] ** 4 * np.sin(x[..., 0])

    points = grid(x1=levels, x2=levels, x3=levels)
    values = ishigami(np.array([[middle[i] for i in p.values()] for p in points]))
    figure = analysed(points, [[float(v)] for v in values])
    v1, v2, v13 = (
        0.5 * (1 + b * math.pi**4 / 5) ** 2,
        a**2 / 8,
        b**2 * math.pi**8 * (1 / 18 - 1 / 50),
    )
    for name, first, total in (("x1", v1, v1 + v13), ("x2", v2, v2), ("x3", 0.0, v13)):
        found = next(e for e in figure.effects if e.parameter == name)
        assert found.share == pytest.approx(first / (v1 + v2 + v13), abs=0.01)
        assert found.share_total == pytest.approx(total / (v1 + v2 + v13), abs=0.01)


def test_an_interaction_of_three_counts_in_totals_and_as_unexplained() -> None:
    points = grid(a=2, b=2, c=2)
    figure = analysed(points, [[float((-1) ** (p["a"] + p["b"] + p["c"]))] for p in points])
    assert figure.unexplained == pytest.approx(1)
    assert [e.share_total for e in figure.effects] == pytest.approx([1, 1, 1])
    assert [e.share for e in figure.effects] == pytest.approx([0, 0, 0], abs=1e-12)


def test_a_nested_parameter_is_judged_within_its_backend() -> None:
    """Half the measure is backend 0, whose own parameter spreads by ±1; backend 1 is 2 above, and has nothing of its own."""
    points: list[dict[str, int]] = [
        *({"backend": 0, "own": own, "c": c} for own in range(2) for c in range(2)),
        *({"backend": 1, "c": c} for c in range(2)),
    ]
    parameters = [
        Parameter("backend", ("backend",), (0, 1)),
        Parameter("own", ("own",), (0, 1), "first"),
        Parameter("c", ("c",), (0, 1)),
    ]
    values = [2.0 * p["backend"] + 0.5 * p["c"] + (2.0 * p["own"] - 1 if "own" in p else 0) for p in points]
    figure = analyse_figure(SPEC, configurations_of(points, [[v] for v in values]), parameters, 42)
    assert figure is not None
    assert figure.design == "complete"
    backend, own, c = 1.0, 0.5 * 1.0, 0.0625
    total = backend + own + c
    found = {e.parameter: e for e in figure.effects}
    assert found["backend"].share == pytest.approx(backend / total)
    assert found["backend"].share_total == pytest.approx(backend / total)
    assert found["own"].share == pytest.approx(own / total)
    assert found["own"].share_within == pytest.approx(1 / 1.0625)
    assert found["c"].share == pytest.approx(c / total)
    assert [math.log(level.mean) for level in found["own"].levels] == pytest.approx([-0.75, 1.25])


@given(st.lists(st.floats(-100, 100), min_size=18, max_size=18))
@settings(max_examples=30, deadline=None)
def test_complete_shares_sum_to_one_and_totals_hold_the_first_order(values: list[float]) -> None:
    points = grid(a=3, b=3, c=2)
    if np.std(values) < 1e-3:
        return
    figure = analysed(points, [[v] for v in values])
    assert sum(s for s in shares(figure).values() if s is not None) + (figure.unexplained or 0) == pytest.approx(1)
    for e in figure.effects:
        assert e.share is not None
        assert e.share_total is not None
        assert -1e-9 <= e.share <= e.share_total + 1e-9 <= 1 + 2e-9


def _frame(points: list[dict[str, int]], values: list[list[float]]) -> pd.DataFrame:
    return pd.DataFrame([{**p, "y": v} for p, found in zip(points, values, strict=True) for v in found])


def test_without_cycles_shares_are_the_eta_squared_of_statsmodels() -> None:
    rng = np.random.default_rng(3)
    points = grid(a=3, b=4, c=2)
    values = [[float(v)] for v in rng.normal(size=len(points))]
    table = anova_lm(smf.ols("y ~ (C(a) + C(b) + C(c)) ** 2", _frame(points, values)).fit(), typ=2)
    eta = table["sum_sq"] / table["sum_sq"].sum()
    found = shares(analysed(points, values))
    for name in ("a", "b", "c"):
        assert found[name] == pytest.approx(eta[f"C({name})"])
    for pair in (("a", "b"), ("a", "c"), ("b", "c")):
        assert found[pair] == pytest.approx(eta[f"C({pair[0]}):C({pair[1]})"])


def test_with_cycles_shares_are_those_of_statsmodels_less_the_noise() -> None:
    rng = np.random.default_rng(4)
    points = grid(a=3, b=2, c=2)
    values = [[0.3 * p["a"] + 0.2 * p["b"] * p["c"] + e for e in rng.normal(scale=0.05, size=4)] for p in points]
    frame = pd.DataFrame(
        [{**p, "y": v, "k": k} for p, found in zip(points, values, strict=True) for k, v in enumerate(found)]
    )
    table = anova_lm(smf.ols("y ~ C(a) * C(b) * C(c) + C(k)", frame).fit(), typ=2)
    noise = table["sum_sq"]["Residual"] / table["df"]["Residual"]
    between = table.drop(index=["C(k)", "Residual"])
    total = (between["sum_sq"] - noise * between["df"]).sum()
    found = shares(analysed(points, values))
    for terms, share in found.items():
        name = ":".join(f"C({t})" for t in ((terms,) if isinstance(terms, str) else terms))
        expected = max(0.0, between["sum_sq"][name] - noise * between["df"][name]) / total
        assert share == pytest.approx(expected, abs=1e-9)


def test_where_a_combination_is_missing_there_are_no_shares() -> None:
    points = grid(a=4, b=3)[1:]
    figure = analysed(points, [[3.0 * p["a"] + 5.0 * p["b"]] for p in points])
    assert figure.design == "incomplete"
    assert figure.unexplained is None
    assert all(share is None for share in shares(figure).values())


def test_noise_is_taken_off_the_shares() -> None:
    """Of many designs with an inert parameter its share is near 0 on average, as those of the others are near the truth."""
    rng = np.random.default_rng(7)
    points = grid(a=2, inert=6)
    found = []
    for _ in range(40):
        values = [[float(p["a"] + e) for e in rng.normal(scale=0.5, size=3)] for p in points]
        split = decompose(
            make_space([Parameter("a", ("a",), (0, 1)), Parameter("inert", ("inert",), tuple(range(6)))], points)
        )
        assert split is not None
        means = np.array([np.mean(v) for v in values])[:, None]
        noise = np.array([np.var(v, ddof=1) / 3 for v in values])[:, None]
        term = split.terms[("inert",)]
        found.append(float(term.variance(split.margins(means))[0]) - term.noise(split.margins(noise)))
    assert np.mean(found) == pytest.approx(0, abs=0.01)
    assert np.mean([abs(f) for f in found]) > 0
