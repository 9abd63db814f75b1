"""The registration of llem-notify: the command, a check of its file, and the events of a study."""

from __future__ import annotations

import atexit
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llem.plugin_api import API_VERSION, CheckSpec, CommandSpec, hookimpl

if TYPE_CHECKING:
    from llem_notify.study import StudyMessages

_under_way: dict[Path, StudyMessages] = {}
"""By the study's folder."""

BROKEN_OFF = "broken off"
"""State of a study that nobody ended."""


class NotDeliveredError(Exception):
    """Messages were lost. The study is not concerned; llem shows this as a warning."""


@hookimpl
def llem_commands() -> Sequence[CommandSpec]:
    """The command `notify`."""
    return [
        CommandSpec(
            name="notify",
            api_version=API_VERSION,
            summary="a test message to everyone whom notify.yaml names",
            command="llem_notify.command:notify",
        )
    ]


@hookimpl
def llem_preflight_checks() -> Sequence[CheckSpec]:
    """The check `notify`: the file can be read, and every secret that it names is there."""
    return [
        CheckSpec(
            name="notify",
            api_version=API_VERSION,
            summary="notify.yaml can be read, and has every secret that it names",
            check="llem_notify.check:check",
        )
    ]


@hookimpl
def llem_study_started(study_dir: Path, study: Mapping[str, Any]) -> None:
    """Tell of the start, where there is a `notify.yaml`."""
    from llem_notify.config import config_path, read_config

    path = config_path()
    config = read_config(path)
    if config is None:
        return
    from llem_notify.study import StudyMessages

    if study_dir in _under_way:  # it ended by an error, and goes on in the same process: a notebook's, say
        _under_way.pop(study_dir).finished(BROKEN_OFF, {}, within_s=0)
    _under_way[study_dir] = StudyMessages(config, path.parent, study_dir, study)


@hookimpl
def llem_experiment_started(study_dir: Path, job_dir: Path, experiment: Mapping[str, Any]) -> None:
    """Note that the study is alive."""
    if study_dir in _under_way:
        _under_way[study_dir].experiment_started()


@hookimpl
def llem_experiment_finished(study_dir: Path, job_dir: Path, result: Mapping[str, Any]) -> None:
    """Tell of a failure."""
    if study_dir in _under_way:
        _under_way[study_dir].experiment_finished(job_dir, result)


@hookimpl
def llem_study_finished(study_dir: Path, summary: Mapping[str, Any]) -> None:
    """Tell of the end. Raises NotDeliveredError, which llem shows, where messages were lost."""
    found = _under_way.pop(study_dir, None)
    if found is None:
        return
    counts = {name: value for name, value in summary.items() if name != "state"}
    if lost := found.finished(str(summary["state"]), counts):
        raise NotDeliveredError("; ".join(lost))


@atexit.register
def _broken_off() -> None:
    """Tell of studies that nobody ended: an error of llem, or a full disk."""
    while _under_way:
        _under_way.popitem()[1].finished(BROKEN_OFF, {})
