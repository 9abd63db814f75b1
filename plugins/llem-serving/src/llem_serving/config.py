"""The sections that the scenario `server` brings: the load that arrives, and the objectives that answers have to keep."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from llem.plugin_api import Section, paths_in

Arrival = Literal["constant", "poisson", "gamma", "trace"]


class Stage(Section):
    """A stretch of the window with a rate of its own: a step, or a ramp from `rate_rps` to `to_rps`."""

    duration_s: float = Field(gt=0, le=86_400, description="length of the stage")
    rate_rps: float = Field(ge=0, le=100_000, description="requests per second, at its beginning")
    to_rps: float | None = Field(None, ge=0, le=100_000, description="at its end; null: the same throughout")


class LoadConfig(Section):
    """The arrival of requests: either at a rate that waits for no answer, or from users who wait for theirs (`concurrency`)."""

    arrival: Arrival = Field("poisson", description="the process by which requests arrive")
    rate_rps: float | None = Field(
        None,
        gt=0,
        le=100_000,
        description="requests per second that are offered; of conversations, sessions per second",
    )
    cv: float = Field(
        1.0, gt=0, le=100, description="coefficient of variation of the gaps of arrival: gamma; 1 is poisson"
    )
    concurrency: int | None = Field(
        None, ge=1, le=1_000_000, description="users, each of whom waits for an answer and thinks before asking again"
    )
    think_s: float = Field(
        0.0,
        ge=0,
        le=86_400,
        description="how long a user thinks, from answer to next request, or to a session's next turn",
    )
    answers: Literal["recorded", "own"] = Field(
        "recorded",
        description="what later turns of a session hold as the model's part: the dataset's answers, or its own",
    )
    stages: list[Stage] | None = Field(
        None, min_length=1, description="rates one after another, in place of rate_rps: ramps and bursts"
    )
    trace: str | None = Field(
        None,
        min_length=1,
        description="file of recorded arrivals, for arrival: trace; null: that of the dataset `trace`",
    )
    trace_format: Literal["mooncake", "burstgpt", "azure"] | None = Field(
        None, description="form of that file; null: told by its first line"
    )
    time_scale: float = Field(
        1.0, gt=0, le=1e6, description="the trace's times are multiplied by it; 0.5 doubles the rate"
    )
    max_in_flight: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="most requests under way at once; later ones wait, and their latency counts that",
    )
    ramp_s: float = Field(10.0, ge=0, le=86_400, description="load before the window may open, at least")
    steady_s: float = Field(
        120.0,
        ge=0,
        le=86_400,
        description="how long after the ramp the window waits for a steady state; 0 does not test for it",
    )
    duration_s: float = Field(60.0, gt=0, le=86_400, description="length of the window")
    parts: int = Field(3, ge=3, le=1_000, description="equal parts of the window that are compared with one another")
    drain_s: float = Field(30.0, ge=0, le=86_400, description="how long answers are waited for after the window")
    seed: int = Field(
        0, ge=0, lt=2**32, description="seed of arrivals; each cycle draws its own, the same for all configurations"
    )

    @property
    def is_tested(self) -> bool:
        """True where the load has a steady state that is waited for: stages and traces have none."""
        return self.steady_s > 0 and self.stages is None and self.arrival != "trace"

    @field_validator("trace")
    @classmethod
    def _written_as_a_path(cls, given: str | None) -> str | None:
        """A bare NAME is ./NAME: how a value is written tells a runner that it is a file, which has to be where the load is."""
        return given if given is None or next(paths_in(given), None) else f"./{given}"

    @model_validator(mode="after")
    def _one_source(self) -> LoadConfig:
        given = [
            name
            for name, is_given in (
                ("rate_rps", self.rate_rps is not None),
                ("concurrency", self.concurrency is not None),
                ("stages", self.stages is not None),
                ("arrival: trace", self.arrival == "trace"),
            )
            if is_given
        ]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} exclude one another: each says by itself how requests arrive")
        if not given:
            raise ValueError("it says neither rate_rps, concurrency, stages nor arrival: trace")
        if self.trace is not None and self.arrival != "trace":
            raise ValueError("trace (a file of recorded arrivals) goes with arrival: trace")
        return self


class SloConfig(Section):
    """Service-level objectives: limits that every answer should keep. Not part of an experiment's work: judged afterwards."""

    identifying: ClassVar[bool] = False

    ttft_s: float | None = Field(None, gt=0, le=86_400, description="longest time to first token")
    tpot_s: float | None = Field(
        None, gt=0, le=86_400, description="longest mean time per output token after the first"
    )
    e2e_s: float | None = Field(None, gt=0, le=86_400, description="longest time to the last token")
    attainment: float = Field(0.99, gt=0, le=1, description="share of requests that shall keep all of them")
