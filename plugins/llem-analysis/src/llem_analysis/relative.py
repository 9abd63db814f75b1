"""Configurations of studies in ratio to one of them, cycle by cycle: what a machine does to all of them falls out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from llem.plugin_api import ConfigError, MetricSpec, ResultError, of_machine
from llem_analysis import comparability
from llem_analysis.comparison_input import Compared, ComparedPath, choose_configuration
from llem_analysis.metric_summary import MetricSummary
from llem_analysis.row_environments import differences
from llem_analysis.wording import and_

_REMEDY = "Name another configuration with --relative-to, or run the study again."


def relative_to(place: ComparedPath, wanted: str, spec: MetricSpec) -> tuple[ComparedPath, Compared]:
    """Divide a metric of each configuration by that of a reference of the same cycle.

    Args:
        place: a study.
        wanted: the reference, by its settings or the beginning of its hash.
        spec: the metric.

    Returns:
        The study without the reference and with quotients (a configuration that has no cycle in common with the reference has none), and
        the reference.

    Raises:
        ConfigError: none or several configurations match, or the path is one experiment.
        ResultError: the reference has no value of the metric, or only 0; a configuration ran on another machine, or its energy was
            found by another method or of other devices.
    """
    if place.kind != "study":
        raise ConfigError(
            "--relative-to names a configuration of a study; this is one experiment.",
            where=str(place.path),
            remedy="Name the study's folder.",
        )
    _require_one_machine(place)
    reference = choose_configuration(place, wanted, "--relative-to")
    of = reference.candidate.figures.get(spec.name)
    if of is None or not any(of.values):
        raise _no_reference(place, f"{reference.name} has no {spec.label} to divide by")
    sides = [side for side in place.sides if side is not reference]
    for side in sides:
        machines = (of_machine(one.candidate.environment) for one in (reference, side))
        if apart := differences(machines):
            raise _no_reference(place, f"{side.name} ran on a machine that differs from its own in {and_(apart)}")
        if spec.energy and spec.name in side.candidate.figures and side.candidate.kinds != reference.candidate.kinds:
            raise _no_reference(place, f"energy of {side.name} was found by another method, or of other devices")
    return replace(place, sides=[_divided(side, of, spec.name) for side in sides]), reference


def _require_one_machine(place: ComparedPath) -> None:
    """Raise ResultError where one configuration ran on several kinds of machine, and so stands for none of them."""
    first: dict[str, Compared] = {}
    for side in place.sides:
        one = first.setdefault(side.candidate.config_hash, side)
        if apart := differences(of_machine(each.candidate.environment) for each in (one, side)):
            raise _no_reference(place, f"{one.name} and {side.name} ran on machines that differ in {and_(apart)}")


def require_same_work(references: tuple[Compared, Compared]) -> None:
    """Raise ResultError where the references of two studies did different work: then their quotients are none of one thing."""
    base, other = references
    unlike = comparability.work_differences(base.result, other.result)
    if unlike:
        raise ResultError(
            f"the reference {base.name} did different work in the two studies ({', '.join(one.key for one in unlike)}).",
            where=f"{base.study}, {other.study}",
            remedy=_REMEDY,
        )


def _no_reference(place: ComparedPath, why: str) -> ResultError:
    return ResultError(f"there is no reference: {why}.", where=str(place.path), remedy=_REMEDY)


def _divided(side: Compared, by: MetricSummary, name: str) -> Compared:
    figures = dict(side.candidate.figures)
    if (own := figures.pop(name, None)) is not None and (found := ratios(own.by_cycle, by.by_cycle)):
        figures[name] = MetricSummary(tuple(found.values()), tuple(found))
    return replace(side, candidate=replace(side.candidate, figures=figures))


def ratios(one: Mapping[int, float], to: Mapping[int, float]) -> dict[int, float]:
    """Cycle to quotient, of the cycles that both have and that can be divided by."""
    return {cycle: one[cycle] / to[cycle] for cycle in sorted(one.keys() & to.keys()) if to[cycle]}
