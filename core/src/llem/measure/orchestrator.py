"""One experiment from its job directory to its result, through the phases of `llem.measure.phases`.

The orchestrator sees an engine, the meters, and the clock. It decides nothing about figures: what they mean is in the
modules that it hands the window's record to, after the window is over.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from llem.accelerators.asking import variables_of
from llem.config.compose import Composer
from llem.config.experiment import ExperimentConfig
from llem.measure.draft import Draft
from llem.measure.environment import capture
from llem.measure.experiment import Experiment
from llem.measure.failure import attempt, failure_of
from llem.measure.meter import Meter
from llem.measure.node import gpu_facts
from llem.measure.phases import PhaseLog
from llem.measure.report import complete
from llem.plugins import Registry, load_object
from llem.results.job_directory import EVENTS, LOG, EventLog, JobDocument
from llem.results.models import DatasetReport, ExperimentResult
from llem.specs.dataset import LoadedDataset
from llem.specs.kinds import BACKENDS, DATASETS, SCENARIOS


class ExperimentOrchestrator:
    """Runs the experiment of one job directory, in this process.

    Args:
        job_dir: holds `experiment.json`; receives everything but `result.json`, which its caller writes last.
        registry: where the backend, the dataset and the samplers are found.
    """

    def __init__(self, job_dir: Path, registry: Registry) -> None:
        self._dir = job_dir
        self._registry = registry

    def run(self) -> ExperimentResult:
        """Run it to its end. The engine is closed and the meters are stopped when this returns, whatever happened.

        Returns:
            The result, done or failed. Any exception on the way, a request to end included, makes a failed one that
            keeps what was known by then; the traceback goes to stderr.

        Raises:
            ResultError: `experiment.json` is missing or not readable, so that there is nothing to run.
        """
        job = JobDocument.read(self._dir)
        with closing(EventLog(self._dir / EVENTS)) as events:
            draft, log = Draft(job, events), PhaseLog(events)
            try:
                return self._run(draft, log)
            except BaseException as error:  # noqa: BLE001 - whatever ended it belongs into the result
                at = log.current
                log.abandon()
                failure = failure_of(error, at, self._dir / LOG)
                events.append("failure", type=failure.type, text=failure.message)
                return draft.result("failed", log.finished, failure)

    def _run(self, draft: Draft, log: PhaseLog) -> ExperimentResult:
        # First of all: whatever fails, its result tells where.
        draft.environment = capture(draft.job.provenance, {}, seeing=variables_of(self._registry))
        config = Composer(self._registry[BACKENDS], self._registry[SCENARIOS]).compose(draft.job.config)
        draft.config = config.document()
        dataset = self._dataset(config, draft)
        meter = Meter(self._dir, config.measurement, self._registry, _say(draft))
        try:
            draft.samplers = meter.start()
            draft.environment["meters"] = meter.environment()
            draft.devices = meter.device_facts()
            draft.environment["gpu"] = gpu_facts(draft.devices)
            experiment = Experiment(
                config, draft.job.base_dir, dataset, meter, draft, log, self._registry, job_dir=self._dir
            )
            window = experiment.run()
        except BaseException:
            attempt("stopping the meters", lambda: draft.metered(meter.stop()))
            raise
        series = meter.stop()
        draft.metered(series)
        return complete(self._dir, config, draft, log.finished, series, window)

    def _dataset(self, config: ExperimentConfig, draft: Draft) -> LoadedDataset:
        draft.tell("dataset", f"reading the dataset {config.dataset.name}")
        loader = load_object(self._registry.find(DATASETS, config.dataset.name).loader)
        dataset: LoadedDataset = loader(config.dataset, draft.job.base_dir)
        draft.dataset = DatasetReport(
            name=dataset.name,
            provenance=dataset.provenance,
            sha256=dataset.sha256,
            n=len(dataset.prompts),
            available=dataset.available,
        )
        for caveat in dataset.caveats:
            draft.warn(caveat.code, caveat.message)
        return dataset


def _say(draft: Draft) -> Callable[[str, str], None]:
    """Takes what the meters have to say: which one measures is worth telling, that none does is a warning."""

    def say(code: str, text: str) -> None:
        (draft.warn if code == "energy_unmeasured" else draft.tell)(code, text)

    return say
