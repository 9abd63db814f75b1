"""The configurations that a figure shows where a study has more than fit: the best and the worst."""

from __future__ import annotations

from collections.abc import Sequence

from llem_analysis.metric_names import METRIC_SPECS
from llem_report.models import ReportConfiguration

_RANKED_BY = ("j_per_output_token", "tokens_per_s", "e2e_p50_s")


def ranking(configurations: Sequence[ReportConfiguration]) -> tuple[str | None, list[ReportConfiguration]]:
    """The configurations from the best on, and the figure that ranks them; those without it last, in the study's order.

    Energy ranks only where all of it was found alike.
    """
    alike = len({(c.scope, c.method) for c in configurations if c.method}) < 2
    for name in _RANKED_BY:
        have = [c for c in configurations if name in c.figures]
        if have and (alike or not METRIC_SPECS[name].energy):
            sign = 1 if METRIC_SPECS[name].better == "lower" else -1
            return name, sorted(
                configurations,
                key=lambda c: (name not in c.figures, sign * c.figures[name].mean if name in c.figures else 0.0),
            )
    return None, list(configurations)


def extremes(configurations: Sequence[ReportConfiguration], most: int) -> tuple[list[ReportConfiguration], str]:
    """At most so many, in order, and a sentence on how they were chosen (empty where all are there)."""
    by, ranked = ranking(configurations)
    order = f" in the order of {METRIC_SPECS[by].label}" if by else " in the study's order"
    noise = " One cycle does not tell this order from chance." if by and all(c.runs < 2 for c in ranked) else ""
    if len(ranked) <= most:
        return ranked, f"Configurations are{order}, best first.{noise}" if by and len(ranked) > 1 else ""
    best = most // 2
    worst = most - best
    return (
        [*ranked[:best], *ranked[len(ranked) - worst :]],
        f"Of {len(ranked):,} configurations{order} the best {best} and the worst {worst} are shown, best first.{noise}",
    )
