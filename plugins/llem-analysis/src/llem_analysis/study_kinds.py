"""The kinds of environment that the parts of a study ran in."""

from __future__ import annotations

from collections.abc import Sequence

from llem.plugin_api import OF_MACHINE, Environment
from llem_analysis.row_environments import differences, short_names, together


def study_kinds(parts: Sequence[tuple[object, Environment]]) -> list[str | None]:
    """For each part of a study (its configuration and environment) the name of its kind; all None where they are alike.

    Facts of the machine count wherever they differ. Others count where cycles of one configuration differ in them: between
    configurations they may be what the study varies.
    """
    of_configuration: dict[object, list[Environment]] = {}
    for configuration, environment in parts:
        of_configuration.setdefault(configuration, []).append(environment)
    within = {name for found in of_configuration.values() for name in differences(found)}
    names = {*OF_MACHINE, *within}
    places, kinds = together([environment.only(names) for _, environment in parts])
    if len(kinds) < 2:
        return [None] * len(parts)
    named = short_names(kinds)
    return [named[place] for place in places]
