"""Figures of a finished run, as a search takes them in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from llem.plugin_api import REQUESTS, ExperimentResult, Method, ResultError
from llem_analysis.run_file import table_of
from llem_serving.capacity.part_energy import part_energy
from llem_serving.capacity.runs import Parts, Steady
from llem_serving.config import LoadConfig, SloConfig
from llem_serving.judging import Window, keeps, rejudge, requests_of, tokens_by_part
from llem_serving.judging.columns import COLUMNS, TOKEN_TIMES

_NEEDED = tuple(name for name in COLUMNS if name not in TOKEN_TIMES)


@dataclass(frozen=True)
class RunFigures:
    """Figures of a run.

    Attributes:
        parts: of each part of the window, the requests that kept the objectives, and all.
        steady: the verdict.
        completed_rps: requests per second that were answered; conversations, where the rate is of these.
        window_s: length of the window.
        drawn_window_s: the same where requests that arrive in a part tell the rate that was drawn in it; None of conversations, whose
            later turns follow answers.
        energy: of each part, joules and tokens of requests that kept the objectives; empty where energy is not known.
        j_per_good_token: of the window; None without energy or good tokens.
        energy_method: that of the headline's energy; None without energy.
    """

    parts: Parts
    steady: Steady
    completed_rps: float
    window_s: float
    drawn_window_s: float | None
    energy: tuple[tuple[float, float], ...]
    j_per_good_token: float | None
    energy_method: Method | None


def run_figures(load: LoadConfig, slo: SloConfig, result: ExperimentResult, job_dir: Path) -> RunFigures:
    """Read what a search needs to know of a run that is done.

    Raises:
        ResultError: its requests cannot be read, or its result does not tell the length of the window.
    """
    path = job_dir / REQUESTS
    table = table_of(path, _NEEDED)
    if table is None:
        raise ResultError("the table of requests is missing or damaged.", where=str(path))
    if result.energy is None or result.energy.window_s is None:
        raise ResultError("the result does not tell the length of the window.", where=str(job_dir))
    rows, window_s = table.to_pydict(), result.energy.window_s
    requests = requests_of(rows, str(path))
    judged = rejudge(rows, slo, window_s=window_s, parts=load.parts, where=str(path), requests=requests)
    window = Window(0, round(window_s * 1e9), load.parts)
    good = [tokens_by_part(one, window) for one in requests if keeps(one, slo)]
    tokens = [sum(column) for column in zip(*good, strict=True)] or [0] * load.parts
    joules = part_energy(job_dir, result.energy, load.parts)
    headline, turns = result.energy.headline, result.scenario_metrics.get("turns_per_conversation")
    energy_j = headline.energy_j if headline else None
    return RunFigures(
        parts=[(part.kept, part.requests) for part in judged.parts],
        steady=_steady(result),
        completed_rps=judged.achieved_rps / (turns or 1.0),
        window_s=window_s,
        drawn_window_s=window_s if turns is None else None,
        energy=() if joules is None else tuple(zip(joules, map(float, tokens), strict=True)),
        j_per_good_token=energy_j / judged.good_tokens if energy_j is not None and judged.good_tokens else None,
        energy_method=headline.method if headline else None,
    )


def _steady(result: ExperimentResult) -> Steady:
    if result.scenario_metrics.get("steady") == 1.0:
        return True
    return "saturated" if any(warning.code == "saturated" for warning in result.warnings) else False
