"""One experiment between the meters' start and the engine's end: the seven phases, one method each."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from llem.accelerators.facts import with_use
from llem.config.experiment import ExperimentConfig
from llem.datasets.chat import check_takers
from llem.errors import LlemError
from llem.measure import other_load
from llem.measure import phases as phase
from llem.measure.contract import check_answer, check_batches, check_caveats, check_report, check_shape
from llem.measure.draft import Draft
from llem.measure.engine_facts import believable_memory, believable_metrics, input_caveats
from llem.measure.experiment_window import ExperimentWindow, Seen
from llem.measure.failure import attempt, message_of
from llem.measure.idle import IdleBaseline
from llem.measure.meter import Meter
from llem.measure.other_load import Share
from llem.measure.phases import PhaseLog
from llem.measure.progress import Progress, rest
from llem.measure.resolution import LONGEST_WINDOW_S, MIN_PERIODS
from llem.measure.samples import take_samples
from llem.measure.warmup import RESOLVED_PERIODS, Judge
from llem.measure.watts import Watts
from llem.measure.workload import build_requests
from llem.plugins import Registry, load_object
from llem.results.models import Baseline, ModelReport
from llem.specs.backend import Engine, LoadContext, LoadReport, MemoryReading, ReportsCaveats, Request
from llem.specs.caveat import Caveat
from llem.specs.dataset import LoadedDataset
from llem.specs.kinds import BACKENDS, SCENARIOS
from llem.specs.scenario import Answer, DriveContext, DrivesWindow, LoadGenerator, Served

T = TypeVar("T")


WARMUP_TOLD_S = 20.0
"""A warm-up that takes long says so often how far it is."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """The measured window, as it happened.

    Attributes:
        open_ns, close_ns: its edges, as the meters gave them.
        answers: every batch of every pass, in order.
        report: what the engine loaded; loaded: its memory right after; peak: right after the window.
        metrics: what the engine counted itself over the window.
        batch_size: the most requests at once that the backend's section asks for.
        others: what others used of the machine's CPU meanwhile.
        served: of a load that did not wait for answers, all of it; `answers` are then those that arrived in the window.
        scenario: works out the figures of such a load.
    """

    open_ns: int
    close_ns: int
    answers: Sequence[Answer]
    report: LoadReport
    loaded: MemoryReading
    peak: MemoryReading
    metrics: Mapping[str, float]
    batch_size: int | None
    others: Share
    served: Served | None = None
    scenario: DrivesWindow | None = None

    @property
    def seconds(self) -> float:
        """Its length."""
        return (self.close_ns - self.open_ns) / 1e9

    @property
    def passes(self) -> int:
        """Number of times that the workload ran."""
        return self.answers[-1].pass_number if self.served is None else 1


@dataclass
class Experiment:
    """One experiment with everything that it needs; run once."""

    config: ExperimentConfig
    base_dir: str
    dataset: LoadedDataset
    meter: Meter
    draft: Draft
    log: PhaseLog
    registry: Registry
    job_dir: Path | None = None
    _batches: Sequence[Sequence[Request]] = field(default=(), init=False)
    _idle: IdleBaseline | None = field(default=None, init=False)
    _resident_share: Share | None = field(default=None, init=False)
    _caveats: dict[str, Caveat] = field(default_factory=dict, init=False)
    _processes: Sequence[int] = field(default=(), init=False)

    def run(self) -> Window:
        """All phases. The engine is closed when this returns or raises."""
        self.log.enter(phase.IDLE_BASELINE)
        self._idle_baseline()
        self.log.enter(phase.LOAD)
        # The engine's module is imported here and not before: what it brings along is no part of the idle machine.
        engine: Engine = load_object(self.registry.find(BACKENDS, self.config.backend).engine)()
        gc.enable()  # it rested while modules loaded: an engine is measured as others run it
        try:
            window = self._loaded(engine)
        except BaseException:
            attempt("closing the engine", engine.close)
            raise
        self._close(engine)
        return window

    def _loaded(self, engine: Engine) -> Window:
        report = self._load(engine)
        loaded = self._memory(engine)
        self._processes = report.processes
        self.meter.follow(report.devices)
        self.meter.own(report.processes)
        scenario = self.registry.find(SCENARIOS, self.config.measurement.scenario)
        generator: LoadGenerator = load_object(scenario.generator)(engine)
        try:
            self._hear(engine)
            backend = self.registry.find(BACKENDS, self.config.backend)
            check_takers(self.dataset.prompts, backend.name, backend.capabilities)
            requests = build_requests(self.dataset.prompts, self.config, report)
            self._batches = list(generator.group(requests))
            check_batches(self.config.backend, requests, self._batches)
            self.log.enter(phase.RESIDENT_BASELINE)
            self._resident_baseline(engine)
            watts = Watts(self.meter.mean_power, self.meter.devices, report.devices)
            self.log.enter(phase.WARMUP)
            self._warm_up(generator, watts, report)
            self._hear(engine)
            self.log.enter(phase.SETTLE)
            rest(self.draft.events, phase.SETTLE, self.config.measurement.settle_s)
            if isinstance(generator, DrivesWindow):
                window = self._driven(engine, generator, requests, report, loaded)
            else:
                window = self._window(engine, generator, watts, report, loaded)
            self._hear(engine)
            return window
        finally:
            generator.close()
            self._keep((None, list(self._caveats.values())))

    def _hear(self, engine: Engine) -> None:
        """Take what the engine has to say against its figures; of two with one code the later one stands."""
        if isinstance(engine, ReportsCaveats):
            self._caveats |= {one.code: one for one in check_caveats(self.config.backend, engine.caveats())}

    def _idle_baseline(self) -> None:
        config = self.config.baseline
        if not config.enabled:
            self.draft.baseline = Baseline(enabled=False)
            return
        self._idle = IdleBaseline(config, self.config.measurement, self.meter, self.draft)
        self._idle.take()
        self.draft.baseline = self._idle.result

    def _load(self, engine: Engine) -> LoadReport:
        def say(text: str) -> None:
            self.draft.tell("load", text)

        job_dir = str(self.job_dir) if self.job_dir is not None else None
        context = LoadContext(config=self.config, base_dir=self.base_dir, progress=say, job_dir=job_dir)
        report = check_report(self.config.backend, engine.load(context))
        engine.synchronize()
        self.draft.model = ModelReport(
            source=self.config.model.source,
            revision=report.revision,
            dtype=report.dtype,
            parameters=report.parameters,
            active_parameters=report.active_parameters,
            tokenizer=report.tokenizer,
            effective=dict(report.effective),
        )
        self.draft.environment["engine"] = dict(report.versions)
        self.draft.devices = with_use(self.draft.devices, report.devices)
        return report

    def _resident_baseline(self, engine: Engine) -> None:
        config = self.config.baseline
        if not config.enabled or config.resident_s == 0 or not self.meter.devices:
            return
        engine.synchronize()
        others, start = other_load.begin(self._processes), time.monotonic_ns()
        rest(self.draft.events, phase.RESIDENT_BASELINE, config.resident_s)
        end = time.monotonic_ns()
        resident_w = dict(self.meter.mean_power(start, end))
        self._resident_share = other_load.share_since(others)
        assert self._idle is not None
        self._idle.check(resident_w, (end - start) / 1e9, "power with the model loaded and no request")
        self._idle.result.resident_w = {device: watts for device, watts in resident_w.items() if math.isfinite(watts)}

    def _warm_up(self, generator: LoadGenerator, watts: Watts, report: LoadReport) -> None:
        config, others, start = self.config.warmup, other_load.begin(self._processes), time.monotonic_ns()
        judge = Judge(config, self._batches)
        progress = Progress(self.draft.events, phase.WARMUP, watts.between, judge.limit, start)
        told_ns = start
        while (batch := judge.next()) is not None:
            answer = generator.answer(batch)
            check_answer(self.config.backend, answer, report.vocab_size)
            seconds = (answer.returned_ns - answer.released_ns) / 1e9
            resolved = seconds * self.config.measurement.sample_hz >= RESOLVED_PERIODS
            power_w = watts.measured(answer.released_ns, answer.returned_ns) if resolved else None
            judge.ran(seconds, answer.records, power_w)
            progress(answer)
            if answer.returned_ns - told_ns >= WARMUP_TOLD_S * 1e9:
                told_ns = answer.returned_ns
                self.draft.tell(
                    "warmup", f"warm-up goes on: {judge.state()} (warmup.max_s ends it after {config.max_s:g} s)."
                )
        ended = self.draft.warmup = judge.report((time.monotonic_ns() - start) / 1e9)
        if ended.converged is False:
            share = other_load.share_since(others)
            busy = f" Others used {share.share:.0%} of the machine's CPU time meanwhile." if share.is_doubtful else ""
            self.draft.warn("warmup_not_converged", judge.complaint() + busy)

    def _window(
        self, engine: Engine, generator: LoadGenerator, watts: Watts, report: LoadReport, loaded: MemoryReading
    ) -> Window:
        window = ExperimentWindow(
            engine, self.meter, self.log, self.draft.events, report.devices, self._processes, engine.synchronize
        )
        engine.synchronize()
        with _frozen_heap():
            open_ns = window.open()
            minimum_s = self._minimum_s(report)
            total = sum(len(batch) for batch in self._batches)
            progress = Progress(self.draft.events, phase.WINDOW, watts.between, total, open_ns, minimum_s)

            def answered(answer: Answer) -> None:
                check_shape(self.config.backend, answer)
                progress(answer)

            answers = generator.fill_window(self._batches, open_ns, minimum_s, answered)
            window.close()
        return self._settled(engine, window.seen(), answers, report, loaded, self._memory(engine))

    def _driven(
        self,
        engine: Engine,
        generator: DrivesWindow,
        requests: Sequence[Request],
        report: LoadReport,
        loaded: MemoryReading,
    ) -> Window:
        """The window of a load that does not wait for answers: the scenario opens and closes it."""
        window = ExperimentWindow(engine, self.meter, self.log, self.draft.events, report.devices, self._processes)
        context = DriveContext(
            config=self.config, base_dir=self.base_dir, cycle=self.draft.job.cycle, requests=requests, window=window
        )
        with _frozen_heap():
            served = generator.drive(context)
        seen = window.seen()
        if not served.inside and not served.beside:
            raise _nothing_answered(served, seen.close_ns - seen.open_ns)
        found = self._settled(engine, seen, served.inside, report, loaded, self._memory(engine), served.beside)
        return replace(found, served=served, scenario=generator)

    def _settled(
        self,
        engine: Engine,
        seen: Seen,
        answers: Sequence[Answer],
        report: LoadReport,
        loaded: MemoryReading,
        peak: MemoryReading,
        beside: Sequence[Answer] = (),
    ) -> Window:
        """The window that is over: its answers are checked, and held against the baseline. `beside` were given outside of it."""
        self._check_answers([*answers, *beside], report)
        self._compare_with_baseline(seen.open_ns, seen.close_ns, seen.others)
        self._keep_samples(engine, answers)
        return Window(
            open_ns=seen.open_ns,
            close_ns=seen.close_ns,
            answers=answers,
            report=report,
            loaded=loaded,
            peak=peak,
            metrics=self._keep(believable_metrics(seen.metrics)),
            batch_size=self._batch_size(),
            others=seen.others,
        )

    def _check_answers(self, answers: Sequence[Answer], report: LoadReport) -> None:
        for answer in answers:
            check_answer(self.config.backend, answer, report.vocab_size)
        self._keep((answers, input_caveats(answers)))

    def _compare_with_baseline(self, open_ns: int, close_ns: int, others: Share) -> None:
        if self._idle is not None:
            mean_w = self.meter.mean_power(open_ns, close_ns)
            self._idle.check(mean_w, (close_ns - open_ns) / 1e9, "mean power in the measured window")
        self.draft.other_load = other_load.report(
            others, self._idle.share if self._idle is not None else None, self._resident_share
        )

    def _batch_size(self) -> int | None:
        limit = self.registry.find(SCENARIOS, self.config.measurement.scenario).at_once
        if limit is not None and math.isfinite(limit):
            return int(limit)
        asked = self.registry.find(BACKENDS, self.config.backend).batch_size
        return None if asked is None else asked(self.config.options)

    def _memory(self, engine: Engine) -> MemoryReading:
        return self._keep(believable_memory(engine.memory()))

    def _keep(self, found: tuple[T, Sequence[Caveat]]) -> T:
        """Keep what an engine told, with a warning for each thing that had to be said against it."""
        told, caveats = found
        for caveat in caveats:
            self.draft.warn(caveat.code, caveat.message)
        return told

    def _minimum_s(self, report: LoadReport) -> float:
        """Length that the window has to have: as asked, and long enough for the slowest meter in use, within reason."""
        asked_s, needed_s = self.config.measurement.min_window_s, self.meter.resolved_window_s(report.devices)
        if needed_s <= asked_s:
            return asked_s
        given_s = max(asked_s, min(needed_s, LONGEST_WINDOW_S))
        self.draft.tell(
            "window_lengthened",
            f"the window is made {given_s:.3g} s long instead of {asked_s:.3g} s: the slowest meter in use was seen to update "
            f"every {needed_s / MIN_PERIODS:.3g} s, and {MIN_PERIODS} of its updates take {needed_s:.3g} s."
            + (" That is longer than llem lengthens a window unasked." if needed_s > given_s else ""),
        )
        return given_s

    def _keep_samples(self, engine: Engine, answers: Sequence[Answer]) -> None:
        def keep() -> None:
            self.draft.samples = take_samples(engine, answers)

        if (error := attempt("decoding sample answers", keep)) is not None:
            self.draft.warn("samples_failed", f"no answer can be shown as text: {message_of(error)}")

    def _close(self, engine: Engine) -> None:
        error = attempt("closing the engine", engine.close)
        if error is not None:
            # The window is over and its figures are whole: they are kept.
            self.draft.warn(
                "engine_close_failed",
                f"the backend {self.config.backend} failed to close ({message_of(error)}); "
                "what it still holds is released with the process.",
            )
        self.log.leave()


@contextmanager
def _frozen_heap() -> Iterator[None]:
    """Inside, what is alive at the begin is left out of every collection; those then take microseconds.

    Collecting goes on, since an engine whose cycles hold device memory would otherwise run out of it.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _nothing_answered(served: Served, window_ns: int) -> LlemError:
    errors = [one.error for one in served.unanswered if one.error is not None]
    why = f" The first error: {errors[0]}" if errors else ""
    return LlemError(
        f"none of the {len(served.unanswered):,} requests under way in the window of {window_ns / 1e9:.3g} s was answered.{why}",
        remedy="Lower the rate, lengthen load.drain_s, or see to the engine.",
    )
