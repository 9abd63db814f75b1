"""The two sides of a comparison: configurations of studies, each with its cycles and one of its results."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from llem.plugin_api import (
    EXPERIMENTS,
    RESULT,
    ConfigError,
    ExperimentResult,
    MetricSpec,
    ResultError,
    differing,
    is_study,
    read_result,
    result_row,
)
from llem_analysis.candidates import Candidate, candidates, has_settings
from llem_analysis.design import ENVIRONMENT
from llem_analysis.loading import load_rows, require_job, study_name, study_order, with_computed
from llem_analysis.row_environments import environment_of
from llem_analysis.wording import as_written


@dataclass(frozen=True)
class Compared:
    """One configuration that takes part in a comparison.

    Attributes:
        name: what to call it; study: its study's folder; order: in which that study ran.
    """

    name: str
    study: Path
    order: str
    candidate: Candidate

    @cached_property
    def result(self) -> ExperimentResult:
        """Of its first cycle that is done."""
        job = self.study / self.candidate.directory
        require_job(job)
        return read_result(job)


@dataclass(frozen=True)
class ComparedPath:
    """The content of a path: a study with all its configurations, or one experiment with all its cycles."""

    path: Path
    kind: str
    sides: Sequence[Compared]


def read_place(path: Path, specs: Sequence[MetricSpec]) -> ComparedPath:
    """Read a study's folder, an experiment's folder or its `result.json`. Raises ResultError where it is neither."""
    folder = path.parent if path.name == RESULT else path
    if (folder / RESULT).is_file():
        return ComparedPath(path, "experiment", [_experiment(folder.resolve(), specs)])
    if path.suffix == ".parquet":
        folder = path.parent
    elif path.is_dir() and not is_study(path):
        load_rows(path)  # says what is wrong
    found = candidates(load_rows(path, specs), specs)
    if not found:
        raise ResultError("no experiment in it is done, so there is nothing to compare.", where=str(path))
    order = study_order(path)
    return ComparedPath(path, "study", [Compared(one.label, folder, order, one) for one in found])


def _experiment(folder: Path, specs: Sequence[MetricSpec]) -> Compared:
    result = read_result(folder)
    if result.status != "done":
        raise ResultError("this experiment failed, so there is nothing to compare.", where=str(folder))
    study, (row,) = folder.parent.parent, with_computed([result_row(result, folder.name)])
    if folder.parent.name == EXPERIMENTS and is_study(study):
        for one in candidates(load_rows(study, specs), specs):
            same = one.config_hash == result.identity.config_hash
            if same and not differing(one.environment, environment_of(row)):
                return Compared(one.label, study, study_order(study), one)
    (alone,) = candidates([row], specs)
    settings = result.identity.point
    name = ", ".join(f"{key}={as_written(value)}" for key, value in settings.items()) or folder.name
    return Compared(name, folder.parent, "sequential", alone)


def choose_baseline(place: ComparedPath, wanted: str | None) -> Compared:
    """The baseline of a study: as `choose_configuration`, and without a wish its first configuration."""
    return place.sides[0] if wanted is None else choose_configuration(place, wanted, "--baseline")


def choose_configuration(place: ComparedPath, wanted: str, option: str) -> Compared:
    """The configuration of a study that has these settings (`pytorch.batch_size=1,backend=pytorch`), or a hash that begins so.

    Args:
        place: the study.
        wanted: the user's words.
        option: what they were given with, for the error.

    Raises:
        ConfigError: none or several match.
    """
    matching = [side for side in place.sides if side.candidate.config_hash.startswith(wanted)]
    if not matching:
        matching = [side for side in place.sides if has_settings(side.candidate, wanted)]
    if len(matching) != 1:
        many = f"{len(matching)} configurations match" if matching else "no configuration matches"
        shown = "; ".join(side.name for side in (matching or place.sides)[:4])
        raise ConfigError(
            f"{many} `{option} {wanted}`.",
            where=str(place.path),
            remedy=f"Name one by its settings, KEY=VALUE,KEY=VALUE, or by its hash. There are: {shown}, ….",
        )
    return matching[0]


def matched(first: ComparedPath, second: ComparedPath) -> tuple[list[tuple[Compared, Compared]], str]:
    """Pairs of the same configuration in two studies, or of the same settings where they share no configuration.

    Returns:
        The pairs, and by what they were matched.
    """
    if pairs := _matched_by(lambda side: side.candidate.config_hash, first, second):
        return pairs, "configuration"
    if len(first.sides) == len(second.sides) == 1:
        return [(first.sides[0], second.sides[0])], "being the only ones"
    return _matched_by(_settings, first, second), "the settings that they vary"


def _matched_by(
    key: Callable[[Compared], Hashable], first: ComparedPath, second: ComparedPath
) -> list[tuple[Compared, Compared]]:
    """Sides of one key; where that ran in several kinds of environment, those that are alike, if there are such."""
    others: dict[Hashable, list[Compared]] = {}
    for side in second.sides:
        others.setdefault(key(side), []).append(side)
    return [
        (side, next((one for one in like if not _differ(one, side)), like[0]))
        for side in first.sides
        if (like := others.get(key(side)))
    ]


def _differ(one: Compared, other: Compared) -> bool:
    return bool(differing(one.candidate.environment, other.candidate.environment))


def _settings(side: Compared) -> tuple[tuple[str, str], ...]:
    settings = side.candidate.settings.items()
    return tuple(sorted((key, as_written(value)) for key, value in settings if key != ENVIRONMENT))


def unmatched(place: ComparedPath, taken: Sequence[Compared]) -> tuple[str, ...]:
    """Names of configurations of a path that are not among those that were matched."""
    known = {id(side) for side in taken}
    return tuple(side.name for side in place.sides if id(side) not in known)


def place_name(place: ComparedPath) -> str:
    """The study's name."""
    return study_name(place.path)[0]
