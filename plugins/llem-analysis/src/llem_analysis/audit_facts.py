"""The facts that an audit's rules may ask for, beside the columns of `results.parquet`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

from llem.plugin_api import (
    MANIFEST,
    REQUESTS,
    ExperimentResult,
    ResultError,
    inside,
    open_parquet,
    read_result,
    recover,
    verify,
)
from llem_analysis.design import configured
from llem_analysis.loading import load_rows
from llem_analysis.weighed_rows import weighed
from llem_analysis.weighing import codes_of

Level = Literal["study", "configuration", "run"]

_UNFINISHED = ("pending", "running", "interrupted", "failed")
_UNRELEASED = re.compile(r"dev|\+")
"""In a version by PEP 440: of a development release, or of a local build."""


@dataclass(frozen=True)
class Fact:
    """A fact by its name.

    Attributes:
        of: what has one value of it.
        meaning: noun phrase.
    """

    of: Level
    meaning: str


FACTS: Mapping[str, Fact] = {
    "study.order": Fact("study", "the order that experiments ran in; none with one configuration"),
    "study.unfinished": Fact("study", "experiments that were planned and are not done; none without a manifest"),
    "study.machines": Fact("study", "kinds of machine that it ran on: GPU, driver, power limit, clocks, CPU, governor"),
    "configuration.cycles": Fact("configuration", "runs of it that are done and have the headline's energy"),
    "run.files_intact": Fact("run", "its files are what it left, by the digests in the manifest; without these, whole"),
    "run.requests_unanswered": Fact("run", "requests of the window that failed or had no answer"),
    "run.full_length_share": Fact("run", "share of the window's answers that ended for their length"),
    "run.temperature_max_c": Fact("run", "highest temperature of a device in the window"),
    "run.power_of_limit": Fact("run", "mean power of a device as a share of its power limit, the highest"),
    "run.meter_disagreement": Fact("run", "largest difference of counter and integrated power, as a share"),
    "run.meter_periods": Fact("run", "update periods of the slowest of the headline's meters in the window"),
    "run.meter_edge_share": Fact("run", "one update period of that meter, as a share of the window"),
    "run.sampling_hz": Fact("run", "readings per second of the slowest sampler in use"),
    "run.sampling_share": Fact("run", "the same as a share of what was asked for"),
    "run.host_measured": Fact("run", "a meter of the whole machine measured the window's energy"),
    "run.model_pinned": Fact(
        "run", "the model's revision or digest is known, or its weights are random by the configuration"
    ),
    "run.unreleased": Fact("run", "distributions of llem whose version is no release"),
    "run.study_dirty": Fact("run", "the study file differs from its commit; none outside of git"),
}
"""Every fact, by its name."""


class Planned(NamedTuple):
    """A run by the manifest: what it is a result of, and its files' digests; None where nobody recorded them."""

    config_hash: str
    cycle: int
    files: Mapping[str, str] | None


class Run:
    """One run that is done, with what its row and its files tell.

    Args:
        row: as `load_rows` gives it.
        folder: of the study.
        planned: its account in the manifest; None where there is none.
    """

    def __init__(self, row: Mapping[str, Any], folder: Path, planned: Planned | None) -> None:
        self.row, self.name = row, str(row.get("directory"))
        self._folder = folder
        self._planned = planned or Planned(str(row.get("config_hash")), int(row.get("cycle") or 1), None)

    def value(self, name: str) -> Any:
        """A fact of runs, or a column; None where it is not told."""
        if name not in FACTS:
            return self.row.get(name)
        if name == "run.files_intact":
            return self._are_files_intact()
        if name in _OF_REQUESTS:
            finishes = self._finishes
            return None if finishes is None else _OF_REQUESTS[name](finishes, self.row)
        return self._of_result[name]

    @property
    def codes(self) -> tuple[str, ...]:
        """Codes of its warnings, and of what its figures tell themselves."""
        return codes_of(self.row)

    def _are_files_intact(self) -> bool:
        try:
            job = inside(self._folder, self.name)
            verify(job, *self._planned)
        except ResultError:
            return False
        return True

    @cached_property
    def _finishes(self) -> Counter[str] | None:
        """Count of each ending of the window's requests; None where the file does not tell."""
        from pyarrow import ArrowException

        try:
            with open_parquet(inside(self._folder, self.name) / REQUESTS) as file:
                wanted = [name for name in ("finish", "inside") if name in file.schema_arrow.names]
                rows = file.read(wanted).to_pylist()
        except (ResultError, OSError, ArrowException):
            return None
        if "finish" not in wanted:
            return None
        return Counter(str(row["finish"]) for row in rows if row.get("inside", True))

    @cached_property
    def _of_result(self) -> Mapping[str, Any]:
        try:
            return facts_of_result(read_result(inside(self._folder, self.name)))
        except ResultError:
            return dict.fromkeys(FACTS)


def _unanswered(finishes: Counter[str], _row: Mapping[str, Any]) -> int:
    return finishes["error"] + finishes["unanswered"]


def _full_length(finishes: Counter[str], _row: Mapping[str, Any]) -> float | None:
    answered = finishes["length"] + finishes["stop"]
    return finishes["length"] / answered if answered else None


_OF_REQUESTS: Mapping[str, Callable[[Counter[str], Mapping[str, Any]], Any]] = {
    "run.requests_unanswered": _unanswered,
    "run.full_length_share": _full_length,
}


def facts_of_result(result: ExperimentResult) -> dict[str, Any]:
    """The facts that a whole result tells, beyond what is in its row."""
    energy, headline = result.energy, result.energy.headline if result.energy else None
    devices = [d for d in energy.devices if headline is not None and d.device in headline.devices] if energy else []
    limits = {one.device: one.power_limit_w for one in result.thermal}
    temperatures = [
        t for one in result.thermal for t in (one.temperature_max_c, one.temperature_end_c) if t is not None
    ]
    shares = [
        d.mean_w / limit
        for d in devices
        if d.mean_w is not None and (limit := limits.get(d.device)) is not None and limit > 0
    ]
    disagreements = [d.disagreement for d in devices if d.disagreement is not None]
    periods = [d.update_period_s for d in devices if d.update_period_s]
    slowest, window_s = max(periods, default=None), energy.window_s if energy else None
    used = [sampler for sampler in result.samplers if sampler.used and sampler.achieved_hz is not None]
    asked = [s.achieved_hz / s.requested_hz for s in used if s.achieved_hz is not None and s.requested_hz]
    facts, source = result.facts, str((result.config.get("model") or {}).get("source") or "")
    revision = facts.model_revision if facts else result.model.revision if result.model else None
    versions = facts.versions if facts else {}
    own = [version for name, version in versions.items() if name == "llem" or name.startswith("llem-")]
    provenance = result.environment.get("study")
    return {
        "run.temperature_max_c": max(temperatures, default=None),
        "run.power_of_limit": max(shares, default=None),
        "run.meter_disagreement": max(disagreements, default=None),
        "run.meter_periods": window_s / slowest if window_s is not None and slowest else None,
        "run.meter_edge_share": slowest / window_s if window_s and slowest else None,
        "run.sampling_hz": min((s.achieved_hz for s in used if s.achieved_hz is not None), default=None),
        "run.sampling_share": min(asked, default=None),
        "run.host_measured": any(t.scope == "host" and t.method != "estimate" for t in energy.totals)
        if energy
        else False,
        "run.model_pinned": bool(revision) or source.startswith("random:"),
        "run.unreleased": sum(bool(_UNRELEASED.search(version)) for version in own) if own else None,
        "run.study_dirty": provenance.get("git_dirty") if isinstance(provenance, Mapping) else None,
    }


class Audited:
    """A study as an audit sees it.

    Attributes:
        runs: those that are done.
        columns: names of all columns.

    Raises:
        ResultError: there is no study, or no run is done.
    """

    def __init__(self, folder: Path) -> None:
        rows = load_rows(folder)
        self.columns: set[str] = {name for row in rows for name in row}
        manifest = recover(folder).manifest if (folder / MANIFEST).is_file() else None
        entries = {entry.directory: entry for entry in manifest.experiments} if manifest is not None else {}
        done = [row for row in rows if row.get("status") == "done"]
        if not done:
            raise ResultError("no experiment in it is done, so there is nothing to audit.", where=str(folder))
        planned = {name: Planned(one.config_hash, one.cycle, one.files) for name, one in entries.items()}
        self.runs = [Run(row, folder, planned.get(str(row.get("directory")))) for row in done]
        self._cycles = dict.fromkeys((str(row.get("config_hash")) for row in done), 0)
        for row in done:
            self._cycles[str(row.get("config_hash"))] += weighed(row).get("energy.headline.energy_j") is not None
        kinds = {one.kind for one in configured(done)}
        self._of_study: dict[str, Any] = {
            "study.order": manifest.order if manifest is not None and len(self._cycles) > 1 else None,
            "study.unfinished": sum(e.state in _UNFINISHED for e in entries.values()) if manifest is not None else None,
            "study.machines": len(kinds),
        }
        self._settings = {str(one.key): _settings(one.rows[0]) for one in configured(done)}

    def values(self, name: str) -> list[tuple[str, Any]]:
        """Each value of a fact or a column, with the name of what has it: the study, a configuration or a run."""
        level = FACTS[name].of if name in FACTS else "run"
        if level == "study":
            return [("the study", self._of_study[name])]
        if level == "configuration":
            return [(self._settings.get(key) or key[:12], cycles) for key, cycles in self._cycles.items()]
        return [(run.name, run.value(name)) for run in self.runs]


def _settings(row: Mapping[str, Any]) -> str:
    from llem_analysis.wording import as_written

    swept = {name.removeprefix("point."): value for name, value in row.items() if name.startswith("point.")}
    return ", ".join(f"{key}={as_written(value)}" for key, value in swept.items())
