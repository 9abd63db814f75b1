"""The state of a running study as a file for the textfile collector of Prometheus' node exporter, by the library prometheus_client."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from llem.plugin_api import ConfigError, PluginError

OTHER = "other"
_STATUSES = ("done", "failed", OTHER)


def require_client() -> Any:
    """The module prometheus_client. Raises PluginError where it is not installed."""
    try:
        import prometheus_client
    except ImportError as error:
        raise PluginError(
            "textfile_folder needs prometheus_client.",
            where="notify.yaml",
            remedy="pip install 'llem-notify[prometheus]'",
        ) from error
    return prometheus_client


def folder_of(text: str, beside: Path) -> Path:
    """The folder that notify.yaml names; a relative path starts from its own. Raises ConfigError where there is none."""
    try:
        folder = beside / Path(text).expanduser()
        is_folder = folder.is_dir()
    except (OSError, ValueError, RuntimeError):  # a zero byte in its name; `~` of a user who is not there
        is_folder, folder = False, Path(text.replace("\0", "?"))
    if not is_folder:
        raise ConfigError(
            "there is no such folder.",
            where=f"notify.yaml: textfile_folder {folder}",
            remedy="Make the one that the node exporter's --collector.textfile.directory names.",
        )
    return folder


class Textfile:
    """The file `llem-NAME.prom`, written anew after each change by a thread of its own: a slow disk holds up no study.

    Args:
        folder: of the collector.
        name: of the study; directory: name of its folder; experiments: planned.

    Raises:
        PluginError: prometheus_client is not installed.
    """

    def __init__(self, folder: Path, name: str, directory: str, experiments: int) -> None:
        self._client = require_client()
        self.path = folder / f"llem-{re.sub(r'[^A-Za-z0-9_.-]', '_', name)[:100]}.prom"
        self._labels = {"study": name, "folder": directory}
        self._experiments, self._ended = experiments, Counter[str]()
        self._running, self._changed_at = True, time.time()
        self._failure: str | None = None
        self._written = 0
        self._changes = 1
        self._condition = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="notify-textfile", daemon=True)
        self._thread.start()

    def experiment_finished(self, status: str) -> None:
        """An experiment has ended. Returns at once."""
        with self._condition:
            self._ended[status if status in _STATUSES else OTHER] += 1
            self._change()

    def experiment_started(self) -> None:
        """An experiment starts. Returns at once."""
        with self._condition:
            self._change()

    def finished(self, within_s: float) -> str | None:
        """The study has ended. Waits for the last file so many seconds; a sentence where it could not be written."""
        with self._condition:
            self._running = False
            self._change()
        self._thread.join(max(0.0, within_s))
        with self._condition:
            whole = self._written == self._changes
        return None if whole else f"{self.path} could not be written: {self._failure or 'not done in time'}"

    def _change(self) -> None:
        self._changed_at = time.time()
        self._changes += 1
        self._condition.notify()

    def _work(self) -> None:
        seen = 0
        while True:
            with self._condition:
                while seen == self._changes:
                    self._condition.wait()
                seen, is_last = self._changes, not self._running
                registry = self._registry()
            try:
                self._client.write_to_textfile(str(self.path), registry)
            except OSError as error:
                with self._condition:
                    self._failure = error.strerror or str(error)
            else:
                with self._condition:
                    self._written = seen
            if is_last:
                return

    def _registry(self) -> Any:
        """Every value of this instant. A registry of its own: another library's metrics are none of the study's."""
        registry = self._client.CollectorRegistry()
        names = list(self._labels)

        def gauge(name: str, about: str, value: float) -> None:
            found = self._client.Gauge(name, about, names, registry=registry)
            found.labels(**self._labels).set(value)

        gauge("llem_study_running", "1 while the study runs, 0 when it has ended", float(self._running))
        gauge("llem_study_experiments", "experiments that are planned, cycles counted", self._experiments)
        gauge(
            "llem_study_changed_timestamp_seconds",
            "when an experiment, or the study, last started or ended",
            self._changed_at,
        )
        ended = self._client.Gauge(
            "llem_study_experiments_ended",
            "experiments that have ended since llem was started, by status",
            [*names, "status"],
            registry=registry,
        )
        for status in _STATUSES:
            ended.labels(**self._labels, status=status).set(self._ended[status])
        return registry
