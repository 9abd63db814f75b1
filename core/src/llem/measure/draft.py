"""A result under way: what is known of an experiment so far, so that a failed one keeps what it had."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from llem.measure.series import Series
from llem.results.facts import DeviceFacts, facts_of
from llem.results.job_directory import EventLog, JobDocument
from llem.results.last_word import last_word
from llem.results.models import (
    Baseline,
    DatasetReport,
    ExperimentResult,
    Failure,
    Identity,
    ModelReport,
    OtherLoad,
    Phase,
    ResultWarning,
    Sample,
    SamplerReport,
    Warmup,
)
from llem.results.scrub import scrub, scrub_data


def utc_now() -> str:
    """This instant, ISO 8601 in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass
class Draft:
    """The result in the making, filled in as the experiment goes on."""

    job: JobDocument
    events: EventLog
    started_at: str = field(default_factory=utc_now)
    config: Mapping[str, Any] = field(default_factory=dict)
    warmup: Warmup | None = None
    baseline: Baseline | None = None
    other_load: OtherLoad | None = None
    samplers: list[SamplerReport] = field(default_factory=list)
    model: ModelReport | None = None
    dataset: DatasetReport | None = None
    samples: list[Sample] = field(default_factory=list)
    environment: dict[str, Any] = field(default_factory=dict)
    devices: list[DeviceFacts] = field(default_factory=list)
    warnings: list[ResultWarning] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.config = self.job.config
        # Found before the dispatch, and told there; not told again.
        self.warnings = [ResultWarning(code=w["code"], message=w["message"]) for w in self.job.warnings]

    def warn(self, code: str, message: str) -> None:
        """Something a reader of the figures must know; said and kept once."""
        warning = ResultWarning(code=code, message=scrub(message))
        if warning not in self.warnings:
            self.warnings.append(warning)
            self.events.append("message", level="warning", code=code, text=warning.message)

    def tell(self, code: str, text: str) -> None:
        """Something to say that changes no figure."""
        self.events.append("message", level="info", code=code, text=scrub(text))

    def metered(self, series: Series) -> None:
        """The meters have stopped: what became of each, and what they had to say of themselves."""
        self.samplers = series.reports or self.samplers
        for warning in series.warnings:
            self.warn(warning.code, warning.message)

    def result(
        self, status: Literal["done", "failed"], phases: list[Phase], failure: Failure | None = None, **figures: Any
    ) -> ExperimentResult:
        """The result.

        Args:
            status: `done` with figures, or `failed` with a failure.
            phases: those that ended.
            failure: why there are no figures.
            figures: further fields of `ExperimentResult`.
        """
        result = ExperimentResult(
            status=status,
            identity=Identity(
                config_hash=self.job.config_hash,
                study=self.job.study,
                cycle=self.job.cycle,
                position=self.job.position,
                point=dict(self.job.point),
            ),
            config=dict(self.config),
            work="natural_length" if self._said("decoding", "length") == "natural" else "fixed_length",
            scenario=str(self._said("measurement", "scenario") or "offline"),
            started_at=self.started_at,
            ended_at=utc_now(),
            phases=phases,
            warmup=self.warmup,
            baseline=self.baseline,
            other_load=self.other_load,
            samplers=self.samplers,
            model=self.model,
            dataset=self.dataset,
            samples=self.samples,
            environment=self.environment,
            facts=facts_of(
                self.environment,
                self.model.revision if self.model else None,
                self.dataset.sha256 if self.dataset else None,
                self.devices or None,
            ),
            warnings=self.warnings,
            failure=failure,
            **figures,
        )
        # A model's address, a dataset's origin, a prompt: any text may carry a secret.
        return last_word(ExperimentResult.model_validate(scrub_data(result.model_dump())))

    def _said(self, section: str, key: str) -> object:
        """A value of the configuration as it came; an experiment that cannot be composed has only this."""
        part = self.config.get(section)
        return part.get(key) if isinstance(part, Mapping) else None
