"""The results of a running study in MLflow's tracking store, as `llem export --format mlflow` logs them."""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from llem.plugin_api import ConfigError, LlemError, PluginError, scrub

STORE = "MLFLOW_TRACKING_URI"
"""MLflow's own variable; its others hold tokens and time limits."""

LAST_LOG_S = 60.0
"""Seconds that the end waits for results which are not logged yet: a store's first one makes its tables, which takes some."""


def require_store(environ: Mapping[str, str] | None = None) -> str:
    """The store that MLflow's variable names.

    Raises:
        ConfigError: it names none.
        PluginError: MLflow, or llem-exporters, is not installed.
    """
    store = (os.environ if environ is None else environ).get(STORE, "").strip()
    if not store:
        raise ConfigError(
            f"mlflow: true logs to the store that {STORE} names, and it is not set.",
            where="notify.yaml",
            remedy=f"export {STORE}=sqlite:////path/to/mlflow.db, or the address of a server.",
        )
    _exports()
    try:
        import mlflow  # noqa: F401 - in seconds, now and not beside what is measured
    except ImportError as error:
        raise _missing(error) from error
    return store


def _exports() -> ModuleType:
    try:
        from llem_exporters import mlflow_runs
    except ImportError as error:
        raise _missing(error) from error
    return mlflow_runs


def _missing(error: ImportError) -> PluginError:
    return PluginError(
        f"mlflow: true needs MLflow and llem-exporters ({error}).",
        where="notify.yaml",
        remedy="pip install 'llem-notify[mlflow]'",
    )


class Tracking:
    """Logs each result when it has come, by a thread of its own: a store that is slow or gone holds up no study.

    Args:
        study_dir: the study's folder; name: of the study, and of the experiment in the store.

    Raises:
        ConfigError, PluginError: as `require_store`.
    """

    def __init__(self, study_dir: Path, name: str) -> None:
        self._store = require_store()
        for talker in ("mlflow", "alembic"):  # their notes on a new store would break into the view of the run
            logging.getLogger(talker).setLevel(logging.WARNING)
        self._study_dir, self._name = study_dir, name
        self._jobs: queue.SimpleQueue[Path | None] = queue.SimpleQueue()
        self._missing: list[str] = []
        self._failure: str | None = None
        self._thread = threading.Thread(target=self._work, name="notify-mlflow", daemon=True)
        self._thread.start()

    def experiment_finished(self, job_dir: Path) -> None:
        """A result has come. Returns at once."""
        self._missing.append(job_dir.name)
        self._jobs.put(job_dir)

    def finished(self, within_s: float) -> str | None:
        """The study has ended. Waits for what is not logged yet so many seconds; a sentence where something was not."""
        self._jobs.put(None)
        self._thread.join(max(0.0, within_s))
        missing = list(self._missing)
        if not missing:
            return None
        names = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        return f"MLflow has no run of {names}: {self._failure or 'not done in time'}"

    def _work(self) -> None:
        exports = _exports()
        while (job_dir := self._jobs.get()) is not None:
            try:
                exports.log_result(self._study_dir, job_dir, self._name, self._store)
            except LlemError as error:
                self._failure = scrub(error.what.rstrip("."))
            except Exception as error:  # noqa: BLE001 - whatever a store's own library raises costs a run there, and nothing here
                self._failure = scrub(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
            else:
                self._missing.remove(job_dir.name)
