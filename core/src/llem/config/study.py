"""The configuration of a study: experiments written once, and how they are run."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from llem.config.section import Section

Order = Literal["sequential", "interleaved", "shuffled", "reversed", "latin_square"]

Parallel = Literal["none", "by_gpu"]

PlacementChoice = Literal["any", "same_node", "spread"]

REPEATED_FIGURES = (
    "j_per_output_token",
    "j_per_request",
    "energy_j",
    "adjusted_j",
    "mean_w",
    "tokens_per_s",
    "requests_per_s",
    "ttft_p50_s",
    "tpot_p50_s",
    "itl_p50_s",
    "e2e_p50_s",
)
"""Figures of every study that it can be repeated for. Plugins bring others, which the plan looks up."""

_PERCENT = r"^[0-9]+(\.[0-9]+)? ?%$"


def _share(value: Any) -> Any:
    """`2 %` is 0.02."""
    if isinstance(value, str):
        if not re.match(_PERCENT, value):
            raise ValueError("write a share such as 0.02, or 2 %")
        return float(value.rstrip("%")) / 100
    return value


Share = Annotated[
    float,
    Field(gt=0, le=1),
    BeforeValidator(
        _share, json_schema_input_type=Annotated[float, Field(gt=0, le=1)] | Annotated[str, Field(pattern=_PERCENT)]
    ),
]
"""Above 0 and at most 1, or text in percent."""


class UntilConfig(Section):
    """Repeat each experiment until the 95 % interval of one figure is narrow, in place of so many cycles."""

    ci_width: Share | None = Field(
        None,
        description="whole width of the 95 % interval, as a share of the mean, at which an experiment is not repeated any more: "
        "0.02 or 2 %; null: `cycles` says how often",
    )
    figure: str = Field(
        "j_per_output_token",
        min_length=1,
        description=f"the figure whose interval is looked at: {', '.join(REPEATED_FIGURES)}, or a metric of a plugin",
    )
    min_cycles: int = Field(3, ge=3, le=100_000, description="cycles before the interval is looked at")
    max_cycles: int = Field(20, ge=3, le=100_000, description="cycles after which it is not repeated any more")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.min_cycles > self.max_cycles:
            raise ValueError(f"min_cycles ({self.min_cycles}) is above max_cycles ({self.max_cycles})")
        if self.model_fields_set and "ci_width" not in self.model_fields_set:
            raise ValueError("without ci_width it has no effect: write `ci_width: 2 %` beside it")
        return self

    @property
    def ci_width_text(self) -> str:
        """`2 %`, for people; empty where it is not asked for."""
        return "" if self.ci_width is None else f"{self.ci_width * 100:g} %"


class SearchConfig(Section):
    """Search for one value of each configuration of the study, run by run, in place of a list of values."""

    goal: str | None = Field(
        None, description="the search, one that `llem plugins` lists, such as capacity; null: nothing is searched"
    )
    max_runs: int = Field(10, ge=1, le=1_000, description="most runs of each configuration, failed ones counted")
    precision: Share = Field(
        0.02,
        description="a search ends when its bracket reaches no further than this from the answer, as a share of it",
    )
    low: float | None = Field(None, gt=0, description="least value that is run; null: no bound")
    high: float | None = Field(None, gt=0, description="greatest value that is run; null: no bound")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError(f"low ({self.low:g}) is not below high ({self.high:g})")
        if self.model_fields_set and "goal" not in self.model_fields_set:
            raise ValueError("without goal it has no effect: write `goal: capacity` beside it")
        return self


class ExecutionConfig(Section):
    """The number of runs, their order, and the limits within which the experiments run."""

    cycles: int = Field(
        1, ge=1, le=100_000, description="how often each experiment is repeated; 3 or more give an interval"
    )
    until: UntilConfig = Field(
        default_factory=UntilConfig, description="repeat until an interval is narrow, in place of `cycles`"
    )
    search: SearchConfig = Field(
        default_factory=SearchConfig, description="search for a value run by run, in place of running a list of them"
    )
    run_all: bool = Field(
        False,
        description="run also what its scenario would skip after what has ended, such as higher rates than one that "
        "saturated a server",
    )
    order: Order = Field(
        "shuffled",
        description="sequential: all cycles of an experiment, then the next; interleaved: every experiment once, then again; "
        "shuffled: each cycle in a new random order; reversed: every second cycle backwards; "
        "latin_square: each cycle starts at another experiment",
    )
    seed: int = Field(42, ge=0, lt=2**32, description="seed of the shuffled order")
    placement: PlacementChoice = Field(
        "any",
        description="on which nodes of a cluster the cycles of one experiment run. any: wherever there is room; same_node: all "
        "on one, so that they differ by nothing but time; spread: each on another, so that the interval covers the nodes too",
    )
    parallel: Parallel = Field(
        "none",
        description="none: one experiment at a time on this machine; by_gpu: as many as its GPUs allow, never two on one GPU; "
        "they share CPU, memory and host, whose energy is then marked as shared",
    )
    allow_shared: bool = Field(
        False,
        description="measure although another llem measures on this machine, and say so in the results; false: wait until "
        "it has ended",
    )
    warm_start: bool = Field(
        True,
        description="fork each worker from a process that has imported the engine's module, where the backend allows it; "
        "false: start each one afresh",
    )
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

    @model_validator(mode="after")
    def _one_way_to_repeat(self) -> Self:
        if self.until.ci_width is not None and "cycles" in self.model_fields_set:
            raise ValueError(
                "`cycles` and `until` both say how often experiments are repeated: keep one of them "
                "(until.min_cycles and until.max_cycles bound the cycles)"
            )
        if self.search.goal is not None and (self.until.ci_width is not None or self.cycles > 1):
            raise ValueError("`search` decides by itself what runs again: leave out `cycles` and `until`")
        return self

    @property
    def fewest_cycles(self) -> int:
        """The least number of times that each experiment runs."""
        return self.cycles if self.until.ci_width is None else self.until.min_cycles

    @property
    def most_cycles(self) -> int:
        """The greatest number of times that each experiment runs."""
        return self.cycles if self.until.ci_width is None else self.until.max_cycles


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
    runner_options: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="runner to its own options, such as {slurm: {partition: gpu}}; no part of identity",
    )
