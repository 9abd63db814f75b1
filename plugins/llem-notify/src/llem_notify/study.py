"""The messages of one study, from its start to its end."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llem.plugin_api import ConfigError
from llem_notify import messages
from llem_notify.config import Notify, Target
from llem_notify.courier import LAST_S, Courier, Delivers, Route
from llem_notify.delivery import ByApprise, Webhook, key_bytes, require_apprise
from llem_notify.textfile import Textfile, folder_of
from llem_notify.tracking import LAST_LOG_S, Tracking
from llem_notify.watch import Watch

INTERRUPTED = "Interrupted"
"""Kind of failure of an experiment that the user ended: no failure of its own."""


def way_to(target: Target, folder: Path, environ: Mapping[str, str] | None = None) -> Delivers:
    """The way to a target, its secrets read.

    Args:
        target: of `notify.yaml`.
        folder: relative paths of files start there.
        environ: variables; by default this process's own.

    Raises:
        ConfigError: the address or the key cannot be had.
        PluginError: Apprise is not installed.
    """
    variables = os.environ if environ is None else environ
    address, key = target.address(folder, variables), target.key(folder, variables)
    if target.by_apprise:
        require_apprise()
        return ByApprise(address=address)
    if key is not None:
        try:
            key_bytes(key)
        except ValueError:
            raise ConfigError(
                "its key begins with whsec_, and what follows is nothing, or no base64.",
                where=f"notify.yaml: target {target.name}",
            ) from None
    return Webhook(address=address, key=key, timeout_s=target.timeout_s)


class StudyMessages:
    """Tells the targets of what happens in one study. Every call returns at once, but for `finished`.

    Raises:
        ConfigError, PluginError: as `way_to`; then no target is told.
    """

    def __init__(self, config: Notify, folder: Path, study_dir: Path, study: Mapping[str, Any]) -> None:
        ways = [way_to(target, folder) for target in config.targets]
        self._study = messages.Study(
            name=str(study["name"]),
            folder=study_dir.name,
            experiments=int(study["experiments"]),
            at_most=bool(study.get("at_most")),
        )
        self._textfile = None
        if config.textfile_folder is not None:
            place = folder_of(config.textfile_folder, folder)
            self._textfile = Textfile(place, self._study.name, study_dir.name, self._study.experiments)
        self._tracking = Tracking(study_dir, self._study.name) if config.mlflow else None
        self._most, self._failures = config.most_failures, 0
        self._courier = Courier(
            [
                Route(target.name, way, target.events, target.attempts)
                for target, way in zip(config.targets, ways, strict=True)
            ]
        )
        self._watch = Watch(
            config.stalled_after_s, lambda silent_s: self._courier.send(messages.stalled(self._study, silent_s))
        )
        self._courier.send(messages.started(self._study))

    def experiment_started(self) -> None:
        """An experiment starts: the study is alive."""
        self._watch.happened()
        if self._textfile is not None:
            self._textfile.experiment_started()

    def experiment_finished(self, job_dir: Path, result: Mapping[str, Any]) -> None:
        """An experiment has ended, done or failed."""
        self._watch.happened()
        if self._textfile is not None:
            self._textfile.experiment_finished(str(result.get("status")))
        if self._tracking is not None:
            self._tracking.experiment_finished(job_dir)
        failure = result.get("failure") or {}
        if result.get("status") != "failed" or failure.get("type") == INTERRUPTED:
            return
        self._failures += 1
        if self._failures <= self._most:
            self._courier.send(messages.failed(self._study, job_dir.name, result))

    def finished(self, state: str, counts: Mapping[str, int], within_s: float = LAST_S) -> list[str]:
        """The study has ended. Waits seconds for what is under way; returns a sentence for each target that missed some."""
        self._watch.close()
        self._courier.send(messages.finished(self._study, state, counts, max(0, self._failures - self._most)))
        until = time.monotonic() + within_s
        lost = self._courier.close(within_s)
        if self._textfile is not None and (why := self._textfile.finished(until - time.monotonic())) is not None:
            lost.append(why)
        patience_s = LAST_LOG_S if within_s else 0.0
        if self._tracking is not None and (why := self._tracking.finished(patience_s)) is not None:
            lost.append(why)
        return lost
