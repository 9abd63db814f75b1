"""A finished study judged again by other objectives, from each run's `requests.parquet`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from llem.plugin_api import ConfigError, ResultError, inside
from llem_analysis.candidates import Candidate, candidates
from llem_analysis.configurations import figure_document
from llem_analysis.design import frozen
from llem_analysis.loading import load_rows, study_name
from llem_analysis.metric_summary import MetricSummary
from llem_analysis.warning_codes import kind_of
from llem_analysis.weighing import voiding_code
from llem_analysis.wording import counted
from llem_serving.config import SloConfig
from llem_serving.judging.asked import SECTION, asked_slo
from llem_serving.judging.energy import j_per_good_token
from llem_serving.judging.judgement import Judgement, pooled
from llem_serving.judging.missing import RunCounts, run_counts
from llem_serving.judging.run_table import judged_run

SCENARIO = "server"
PARTS = "config.load.parts"
WINDOW = "energy.window_s"
ENERGY = "energy.headline.energy_j"
RATE = "load.rate_rps"
JUDGED = "scenario_metrics.attainment"
"""Whatever voids this column voids what is judged here."""


@dataclass(frozen=True)
class JudgedConfiguration:
    """One configuration with its cycles judged as one window.

    Attributes:
        label: the settings that set it apart.
        cycles: that were judged.
        judgement: of all of them; None where warnings void every one.
        j_per_good_token: over cycles; None without energy, where a cycle has no good token, or cycles differ in how energy was told.
        estimated: its energy is an estimate.
        voided: the warning that voids the latencies of a cycle, to the number of its cycles. These are not judged: that of a
            saturated run would be another with another length of window.
        has_cycle_without: one of its cycles has energy, and no good token.
    """

    label: str
    settings: Mapping[str, Any]
    config_hash: str
    cycles: int
    judgement: Judgement | None
    j_per_good_token: MetricSummary | None
    estimated: bool
    voided: Mapping[str, int]
    has_cycle_without: bool = False

    @property
    def kept(self) -> bool | None:
        """True where the objectives were kept. A configuration of which a cycle is voided cannot be relied on: None."""
        return None if self.judgement is None or self.voided else self.judgement.kept

    @property
    def verdict(self) -> str | None:
        """The verdict in a word: `kept`, `missed`, or the warning that voids a cycle; None where nothing can be said."""
        if self.voided:
            return next(iter(self.voided))
        return None if self.kept is None else "kept" if self.kept else "missed"

    @property
    def is_told(self) -> bool:
        """True where the interval of the attainment lies on one side of the wanted one."""
        return self.judgement is not None and self.judgement.is_told

    def document(self) -> dict[str, Any]:
        """As plain data, for `--json`."""
        energy = self.j_per_good_token
        return {
            "configuration": self.label,
            "settings": dict(self.settings),
            "config_hash": self.config_hash,
            "cycles": self.cycles,
            "voided": dict(self.voided),
            **_document(self.judgement),
            "verdict": self.verdict,
            "told": self.is_told,
            "j_per_good_token": None if energy is None else figure_document(energy),
            "estimated": self.estimated,
        }


def _document(found: Judgement | None) -> dict[str, Any]:
    """The figures of a judgement; null each where there is none."""
    names = ["requests", "good", "failed", "unanswered", "unseen", "attainment", "goodput_rps", "offered_rps"]
    names += ["achieved_rps", "output_tokens", "good_tokens"]
    interval = None if found is None or found.interval is None else asdict(found.interval)
    return {name: None if found is None else getattr(found, name) for name in names} | {"interval": interval}


@dataclass(frozen=True)
class JudgedStudy:
    """A study judged by objectives: its configurations by rate, and what was left out.

    Attributes:
        runs: of the study, with those that have no figures.
    """

    study: str
    slo: SloConfig
    configurations: tuple[JudgedConfiguration, ...]
    notes: tuple[str, ...]
    runs: RunCounts

    @property
    def judged(self) -> int:
        """Runs that were judged, and those that a warning voids."""
        return sum(one.cycles + sum(one.voided.values()) for one in self.configurations)

    def document(self) -> dict[str, Any]:
        """As plain data, for `--json`."""
        return {
            "study": self.study,
            "slo": self.slo.model_dump(),
            "runs": {"all": self.runs.runs, "judged": self.judged, "missing": dict(self.runs.missing)},
            "configurations": [one.document() for one in self.configurations],
            "notes": list(self.notes),
        }


def judge_study(study: Path | str, asked: SloConfig | Mapping[str, float | None]) -> JudgedStudy:
    """Judge every finished experiment of a study that offered a load, without running anything.

    Args:
        study: its folder, or the `results.parquet` in it.
        asked: objectives; or values by key, which the study's own `slo` completes, as `asked_slo` says.

    Raises:
        ResultError: there is no study, no experiment that can be judged, or a table of requests with values that cannot be.
        ConfigError: objectives without a limit, or experiments whose own objectives differ.
    """
    name, folder = study_name(study)
    rows = load_rows(study)
    others = Counter(str(row.get("scenario")) for row in rows if row.get("scenario") != SCENARIO and _is_done(row))
    left_out = [f"{counted(n, 'run')} of the scenario {other} offered no load" for other, n in sorted(others.items())]
    served = [row for row in rows if row.get("scenario") == SCENARIO]
    slo = asked if isinstance(asked, SloConfig) else _completed(asked, served, str(study))
    found = []
    for candidate in _by_rate(candidates(served, ())):
        judged = _judged(Path(folder), candidate, slo, left_out)
        if judged is not None:
            found.append(judged)
    if not found:
        reason = f" ({'; '.join(left_out[:3])})" if left_out else ""
        raise ResultError(
            f"no run of this study can be judged{reason}.",
            where=str(study),
            remedy=f"Objectives are of runs with measurement.scenario: {SCENARIO} that are done.",
        )
    runs = run_counts(Path(folder), rows)
    notes = (*runs.sentences(), *(f"left out: {text}." for text in left_out), *_notes(found))
    return JudgedStudy(name, slo, tuple(found), notes, runs)


def _by_rate(found: Sequence[Candidate]) -> list[Candidate]:
    """Configurations that differ in their rate alone stand together, by rate; else the study's order."""
    groups: dict[str, list[Candidate]] = {}
    for one in found:
        others = {key: value for key, value in one.settings.items() if key != RATE}
        groups.setdefault(frozen(others), []).append(one)
    return [one for group in groups.values() for one in sorted(group, key=lambda c: c.settings.get(RATE) or 0)]


def _completed(asked: Mapping[str, float | None], rows: Sequence[Mapping[str, Any]], where: str) -> SloConfig:
    """The objectives that are asked for, completed by those of the study."""
    keys = tuple(SloConfig.model_fields)
    own = [{key: row.get(f"config.{SECTION}.{key}") for key in keys} for row in rows if _is_done(row)]
    found = {asked_slo(asked, one) for one in own} if own else {asked_slo(asked, {})}
    if len(found) > 1:
        raise ConfigError(
            "the study's experiments have objectives of their own (`slo`), which differ.",
            where=where,
            remedy="Give limits, and --attainment, to judge all by the same.",
        )
    return found.pop()


def _judged(folder: Path, one: Candidate, slo: SloConfig, left_out: list[str]) -> JudgedConfiguration | None:
    judgements, energies, cycles, judged_rows = [], [], [], []
    voided: Counter[str] = Counter()
    for row in one.rows:
        if (code := voiding_code(row.get("warnings") or (), JUDGED)) is not None:
            voided[code] += 1
            continue
        directory = str(row.get("directory"))
        found = judged_run(inside(folder, directory), slo, window_s=row.get(WINDOW), parts=row.get(PARTS))
        if isinstance(found, str):
            left_out.append(f"{directory}: {found}")
            continue
        judgements.append(found)
        judged_rows.append(row)
        energies.append(j_per_good_token(row.get(ENERGY), found.good_tokens))
        cycles.append(int(row.get("cycle") or 1))
    if not judgements and not voided:
        return None
    joules = [value for value in energies if value is not None]
    whole = bool(joules) and len(joules) == len(energies) and len(one.kinds) == 1
    return JudgedConfiguration(
        label=one.label,
        settings=one.settings,
        config_hash=one.config_hash,
        cycles=len(judgements),
        judgement=pooled(judgements) if judgements else None,
        j_per_good_token=MetricSummary(tuple(joules), tuple(cycles)) if whole else None,
        estimated=one.estimated,
        voided=dict(voided),
        has_cycle_without=any(
            row.get(ENERGY) is not None and not found.good_tokens
            for row, found in zip(judged_rows, judgements, strict=True)
        ),
    )


def _is_done(row: Mapping[str, Any]) -> bool:
    return row.get("status") == "done"


def _notes(found: Sequence[JudgedConfiguration]) -> Iterator[str]:
    """Remarks on all configurations together."""
    codes = sum((Counter(one.voided) for one in found), Counter[str]())
    for code, runs in codes.items():
        yield f"{counted(runs, 'run')} {kind_of(code).runs} (`{code}`): not judged, and a configuration with one has no verdict."
    judged = [one.judgement for one in found if one.judgement is not None]
    if not_told := sum(not one.is_told for one in found if one.kept is not None):
        yield (
            f"not told ({counted(not_told, 'configuration')}): the 95 % interval of the attainment holds the one that is wanted; "
            "another run may say otherwise. More cycles or a longer window make it narrower."
        )
    notes = dict.fromkeys(one.interval.note for one in judged if one.interval is not None and one.interval.note)
    yield from (f"interval: {note}." for note in notes)
    if boundless := sum(one.j_per_good_token is None and one.has_cycle_without for one in found):
        yield (
            f"{counted(boundless, 'configuration')} had a cycle without a good token: energy per good token is beyond any number there, and "
            "a mean of the other cycles would flatter."
        )
    if unseen := sum(one.unseen for one in judged):
        yield f"{counted(unseen, 'answered request')} lacked a time that a limit is of, and count as missed."
