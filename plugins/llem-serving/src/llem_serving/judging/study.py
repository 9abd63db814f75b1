"""A finished study judged again by other objectives, from each run's `requests.parquet`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from llem.plugin_api import REQUESTS, MetricSummary, ResultError, inside, table_of
from llem_analysis.candidates import Candidate, candidates
from llem_analysis.loading import load_rows, study_name
from llem_analysis.wording import counted
from llem_serving.config import SloConfig
from llem_serving.judging.columns import COLUMNS, TOKEN_TIMES, rejudge
from llem_serving.judging.energy import j_per_good_token
from llem_serving.judging.judgement import Judgement, pooled

SCENARIO = "server"
PARTS = "config.load.parts"
WINDOW = "energy.window_s"
ENERGY = "energy.headline.energy_j"


@dataclass(frozen=True)
class JudgedConfiguration:
    """One configuration with its cycles judged as one window.

    Attributes:
        label: the settings that set it apart.
        cycles: that were judged.
        judgement: of all of them.
        j_per_good_token: over cycles; None without energy, where a cycle has no good token, or cycles differ in how energy was told.
        estimated: its energy is an estimate.
    """

    label: str
    settings: Mapping[str, Any]
    config_hash: str
    cycles: int
    judgement: Judgement
    j_per_good_token: MetricSummary | None
    estimated: bool

    def document(self) -> dict[str, Any]:
        """As plain data, for `--json`."""
        found, energy = self.judgement, self.j_per_good_token
        return {
            "configuration": self.label,
            "settings": dict(self.settings),
            "config_hash": self.config_hash,
            "cycles": self.cycles,
            "requests": found.requests,
            "good": found.good,
            "failed": found.failed,
            "unanswered": found.unanswered,
            "unseen": found.unseen,
            "attainment": found.attainment,
            "interval": None if found.interval is None else asdict(found.interval),
            "verdict": _verdict(found),
            "told": found.is_told,
            "goodput_rps": found.goodput_rps,
            "offered_rps": found.offered_rps,
            "achieved_rps": found.achieved_rps,
            "output_tokens": found.output_tokens,
            "good_tokens": found.good_tokens,
            "j_per_good_token": None if energy is None else energy.document(),
            "estimated": self.estimated,
        }


@dataclass(frozen=True)
class JudgedStudy:
    """A study judged by objectives: its configurations in the study's order, and what was left out."""

    study: str
    slo: SloConfig
    configurations: tuple[JudgedConfiguration, ...]
    notes: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """As plain data, for `--json`."""
        return {
            "study": self.study,
            "slo": self.slo.model_dump(),
            "configurations": [one.document() for one in self.configurations],
            "notes": list(self.notes),
        }


def judge_study(study: Path | str, slo: SloConfig) -> JudgedStudy:
    """Judge every finished experiment of a study that offered a load, without running anything.

    Args:
        study: its folder, or the `results.parquet` in it.

    Raises:
        ResultError: there is no study, no experiment that can be judged, or a table of requests with values that cannot be.
    """
    name, folder = study_name(study)
    rows = load_rows(study)
    others = Counter(str(row.get("scenario")) for row in rows if row.get("scenario") != SCENARIO and _is_done(row))
    left_out = [f"{counted(n, 'run')} of the scenario {other} offered no load" for other, n in sorted(others.items())]
    found = []
    for candidate in candidates([row for row in rows if row.get("scenario") == SCENARIO], ()):
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
    return JudgedStudy(name, slo, tuple(found), (*(f"left out: {text}." for text in left_out), *_notes(found)))


def _judged(folder: Path, one: Candidate, slo: SloConfig, left_out: list[str]) -> JudgedConfiguration | None:
    judgements, energies, cycles = [], [], []
    for row in one.rows:
        judgement = _cycle(folder, row, slo, left_out)
        if judgement is not None:
            judgements.append(judgement)
            energies.append(j_per_good_token(row.get(ENERGY), judgement.good_tokens))
            cycles.append(int(row.get("cycle") or 1))
    if not judgements:
        return None
    joules = [value for value in energies if value is not None]
    whole = len(joules) == len(energies) and len(one.kinds) == 1
    return JudgedConfiguration(
        label=one.label,
        settings=one.settings,
        config_hash=one.config_hash,
        cycles=len(judgements),
        judgement=pooled(judgements),
        j_per_good_token=MetricSummary(tuple(joules), tuple(cycles)) if whole else None,
        estimated=one.estimated,
    )


def _cycle(folder: Path, row: Mapping[str, Any], slo: SloConfig, left_out: list[str]) -> Judgement | None:
    directory = str(row.get("directory"))
    path = inside(folder, directory) / REQUESTS
    table = table_of(path, [name for name in COLUMNS if name not in TOKEN_TIMES])
    if table is not None and "window_tokens" not in table.column_names:
        table = table_of(path, COLUMNS)  # the times of millions of tokens are only read where nobody has counted them
    window_s, parts = row.get(WINDOW), row.get(PARTS)
    if table is None:
        left_out.append(f"{directory}: its table of requests ({REQUESTS}) is missing or damaged")
        return None
    if not isinstance(window_s, float) or not isinstance(parts, int) or parts < 1:
        left_out.append(f"{directory}: its result does not tell {WINDOW} and {PARTS}")
        return None
    columns: Mapping[str, Sequence[Any]] = table.to_pydict()
    return rejudge(columns, slo, window_s=window_s, parts=parts, where=str(path))


def _is_done(row: Mapping[str, Any]) -> bool:
    return row.get("status") == "done"


def _verdict(found: Judgement) -> str | None:
    return None if found.kept is None else "kept" if found.kept else "missed"


def _notes(found: Sequence[JudgedConfiguration]) -> Iterator[str]:
    """Remarks on all configurations together."""
    if not_told := sum(not one.judgement.is_told for one in found):
        yield (
            f"not told ({counted(not_told, 'configuration')}): the 95 % interval of the attainment holds the one that is wanted; "
            "another run may say otherwise. More cycles or a longer window make it narrower."
        )
    notes = dict.fromkeys(
        one.judgement.interval.note
        for one in found
        if one.judgement.interval is not None and one.judgement.interval.note
    )
    yield from (f"interval: {note}." for note in notes)
    if unseen := sum(one.judgement.unseen for one in found):
        yield f"{counted(unseen, 'answered request')} lacked a time that a limit is of, and count as missed."
