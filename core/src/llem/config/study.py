"""The configuration of a study: experiments written once, and how they are run."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from llem.config.section import Section

Order = Literal["sequential", "interleaved", "shuffled", "reversed", "latin_square"]


class ExecutionConfig(Section):
    """How often, in which order and within which limits the experiments run."""

    cycles: int = Field(
        1, ge=1, le=100_000, description="how often each experiment is repeated; 3 or more give an interval"
    )
    order: Order = Field(
        "interleaved",
        description="sequential: all cycles of an experiment, then the next; interleaved: every experiment once, then again; "
        "shuffled: each cycle in a new random order; reversed: every second cycle backwards; "
        "latin_square: each cycle starts at another experiment",
    )
    seed: int = Field(42, ge=0, lt=2**32, description="seed of the shuffled order")
    experiment_gap_s: float = Field(30.0, ge=0, le=86_400, description="pause between experiments, to cool down")
    cycle_gap_s: float = Field(
        120.0, ge=0, le=86_400, description="pause between cycles, instead of the experiment gap"
    )
    timeout_s: float = Field(
        3_600.0, gt=0, description="limit of each experiment; an experiment's own limits.timeout_s wins"
    )
    silence_timeout_s: float = Field(900.0, gt=0, description="limit without any sign of life; likewise")
    budget_s: float | None = Field(
        None, gt=0, description="wall-clock time of the study; no experiment starts after it"
    )
    max_consecutive_failures: int | None = Field(None, ge=1, description="stop after so many failures in a row")
    max_experiments: int = Field(1_000_000, ge=1, description="a sweep of more points than this is refused")


class StudyConfig(Section):
    """A study after all layers are merged. `base`, `sweep` and `experiments` are still as the user wrote them.

    They become experiments in the stage `sweep`, which validates each of them.
    """

    name: str = Field("study", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", description="names the results folder")
    base: dict[str, Any] = Field(
        default_factory=dict, description="experiment keys outside sweep, such as model and dataset"
    )
    sweep: dict[str, Any] = Field(default_factory=dict, description="axes: a dotted key to its values")
    experiments: list[dict[str, Any]] = Field(
        default_factory=list, description="explicit experiments, each laid over the base"
    )
    execution: ExecutionConfig = Field(default_factory=ExecutionConfig)
    runners: dict[str, str] = Field(
        default_factory=dict, description="backend to runner, such as {vllm: 'docker:IMAGE'}"
    )
