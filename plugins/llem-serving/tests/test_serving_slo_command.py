"""`llem slo`: finished studies judged again from the tables of their requests."""

from __future__ import annotations

import csv
import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from designed_studies import designed_result
from served_studies import WINDOW_S as WINDOW
from served_studies import energy_j, good_tokens, write_served_study

from llem.errors import ConfigError, LlemError, ResultError
from llem.plugins import default_registry
from llem.results.job_directory import EXPERIMENT, REQUESTS, RESULT, write_json
from llem.results.store import MANIFEST
from llem.study.manifest.manifest import Entry, StudyManifest
from llem_serving.config import SloConfig
from llem_serving.judging.study import judge_study
from llem_serving.slo_command import slo

WINDOW_S = 10.0
RATES = ({"load.rate_rps": 10.0}, {"load.rate_rps": 20.0})
WriteStudy = Callable[..., Path]


def table(rate: float, seed: int, slow: float = 0.05) -> dict[str, list[Any]]:
    """Requests at a rate over the window and a second around it: a share of them is slow; each gives out five tokens in 0.4 s."""
    generator = random.Random(seed)
    columns: dict[str, list[Any]] = {name: [] for name in ("arrival_s", "sent_s", "first_token_s", "end_s", "itl_s")}
    columns |= {"id": [], "output_tokens": [], "finish": []}
    for number in range(round(-rate), round(rate * (WINDOW_S + 1))):
        arrival = (number + generator.random()) / rate
        first = arrival + (0.5 if generator.random() < slow else 0.1)
        told = [arrival, arrival, first, first + 0.4, [0.1] * 4, number + round(rate), 5, "length"]
        for column, value in zip(columns.values(), told, strict=True):
            column.append(value)
    return columns


@pytest.fixture
def write_served(tmp_path: Path) -> WriteStudy:
    """Writes a study of loads: two rates, cycles, five parts, 1,000 J in each window."""

    def write(
        points: Sequence[Mapping[str, Any]] = RATES,
        cycles: int = 3,
        scenario: str = "server",
        load: Mapping[str, Any] = {"parts": 5},
        slow: float = 0.05,
        **options: Any,
    ) -> Path:
        folder, position = tmp_path / "served", 0
        for cycle in range(1, cycles + 1):
            for point in points:
                position += 1
                job = folder / "experiments" / f"{position:05}"
                job.mkdir(parents=True)
                result = designed_result(
                    point,
                    **{"energy": 1.0, "cycle": cycle, "position": position, "sections": {"load": load}, **options},
                ).model_copy(update={"scenario": scenario})
                write_json(job / RESULT, result.model_dump(mode="json"))
                write_json(job / EXPERIMENT, {"schema": 1, "config": result.config, "base_dir": str(tmp_path)})
                rows = table(point["load.rate_rps"], position, slow)
                pq.write_table(pa.table(rows), job / REQUESTS)
        return folder

    return write


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(slo, [str(one) for one in arguments], obj=default_registry())


def test_each_configuration_has_a_line_with_its_verdict(write_served: WriteStudy) -> None:
    done = invoke(write_served(), "--ttft", "0.2", "--attainment", "0.8")
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[0] == "served: 2 of 2 configurations kept TTFT 0.2 s in 80 % of requests"
    assert lines[2].split("  ")[0] == "configuration"
    rows = [line for line in lines if line.startswith("load.rate_rps=")]
    assert [row.split()[0] for row in rows] == ["load.rate_rps=10", "load.rate_rps=20"]
    assert all(row.endswith("kept") for row in rows)
    assert "not told" not in done.output
    assert "~" not in done.output


def test_a_limit_that_nobody_keeps_is_missed(write_served: WriteStudy) -> None:
    done = invoke(write_served(), "--e2e", "0.45", "--tpot", "0.2")
    assert "0 of 2 configurations kept TPOT 0.2 s, end to end 0.45 s in 99 % of requests" in done.output
    row = next(line for line in done.output.splitlines() if line.startswith("load.rate_rps=10"))
    assert row.split() == ["load.rate_rps=10", "300", "0.00", "%", *row.split()[4:9], "0", "–", "missed"]


def unfinished(folder: Path, *states: str, state: str = "interrupted") -> None:
    """Give a study the manifest of one with more runs, of which these have no figures."""
    done = sorted(path.name for path in (folder / "experiments").iterdir())
    entries = [
        Entry(position, 1, "a" * 64, f"experiments/{name}", state=one)
        for position, (name, one) in enumerate([*((n, "done") for n in done), *((s, s) for s in states)], start=1)
    ]
    text = StudyManifest("served", "2026-01-01", "1.0", "d" * 64, "sequential", 1, 3, entries, state=state).text()
    (folder / MANIFEST).write_text(text)


def test_a_study_with_runs_that_are_missing_says_how_many_of_how_many(write_served: WriteStudy) -> None:
    folder = write_served()
    unfinished(folder, "pending", "pending", "interrupted", "failed", "skipped", "not_needed")
    done = invoke(folder, "--ttft", "0.2", "--attainment", "0.8")
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[0].endswith("in 80 % of requests, by 6 of 11 runs")
    (note,) = [line for line in done.output.splitlines() if "have no figures" in line]
    assert note.startswith("note: 5 of 11 runs have no figures (2 not run yet, 1 interrupted, 1 failed, 1 skipped")
    assert f"`llem resume {folder}` goes on with the study" in note
    document = json.loads(invoke(folder, "--ttft", "0.2", "--json").output)
    missing = {"pending": 2, "interrupted": 1, "failed": 1, "skipped": 1}
    assert document["runs"] == {"all": 11, "judged": 6, "missing": missing}
    assert note.removeprefix("note: ") in document["notes"]


@pytest.mark.parametrize("has_manifest", [False, True])
def test_a_study_with_all_its_runs_says_nothing_of_that(write_served: WriteStudy, has_manifest: bool) -> None:
    folder = write_served()
    if has_manifest:
        unfinished(folder, "not_needed", state="complete")
    done = invoke(folder, "--ttft", "0.2")
    assert done.output.splitlines()[0].endswith("in 99 % of requests")
    assert "have no figures" not in done.output
    document = json.loads(invoke(folder, "--ttft", "0.2", "--json").output)
    assert document["runs"] == {"all": 6, "judged": 6, "missing": {}}


def test_a_verdict_within_the_interval_is_not_told(write_served: WriteStudy) -> None:
    done = invoke(write_served(cycles=1), "--ttft", "0.2", "--attainment", "0.95")
    assert ", not told" in done.output
    assert "note: not told (2 configurations): the 95 % interval" in done.output


def test_the_figures_are_those_of_the_requests(write_served: WriteStudy) -> None:
    folder = write_served()
    document = json.loads(invoke(folder, "--ttft", "0.2", "--json").output)
    assert document["slo"] == {"ttft_s": 0.2, "tpot_s": None, "e2e_s": None, "attainment": 0.99}
    first = document["configurations"][0]
    rows = [table(10.0, position) for position in (1, 3, 5)]
    arrived = [
        (first_s - arrival)
        for one in rows
        for arrival, first_s in zip(one["arrival_s"], one["first_token_s"], strict=True)
        if 0 <= arrival < WINDOW_S
    ]
    good = sum(ttft <= 0.2 for ttft in arrived)
    assert (first["requests"], first["good"], first["cycles"]) == (len(arrived), good, 3)
    assert first["attainment"] == pytest.approx(good / len(arrived))
    assert first["goodput_rps"] == pytest.approx(good / 30)
    assert first["offered_rps"] == pytest.approx(10.0)
    assert first["interval"]["low"] < first["attainment"] < first["interval"]["high"]
    tokens = [
        sum(
            0 < first_s + 0.1 * n <= WINDOW_S
            for arrival, first_s in zip(one["arrival_s"], one["first_token_s"], strict=True)
            if first_s - arrival <= 0.2
            for n in range(5)
        )
        for one in rows
    ]
    assert first["good_tokens"] == sum(tokens)
    assert first["j_per_good_token"]["mean"] == pytest.approx(sum(1000 / count for count in tokens) / 3)
    assert first["j_per_good_token"]["interval"]["method"] == "t"
    assert (first["verdict"], first["estimated"]) == ("missed", False)


def test_tokens_that_a_table_has_counted_are_taken_without_reading_their_times(write_served: WriteStudy) -> None:
    folder = write_served(points=RATES[:1], cycles=1)
    rows = table(10.0, 1)
    rows["window_tokens"] = [1] * len(rows["id"])
    rows["itl_s"] = [[float("nan")]] * len(rows["id"])
    pq.write_table(pa.table(rows), folder / "experiments" / "00001" / REQUESTS)
    (found,) = judge_study(folder, SloConfig(ttft_s=0.2)).configurations
    assert found.judgement.output_tokens == len(rows["id"])
    assert found.judgement.good_tokens < found.judgement.output_tokens


def test_the_interval_of_cycles_rests_on_the_parts_of_all(write_served: WriteStudy) -> None:
    found = judge_study(write_served(cycles=1), SloConfig(ttft_s=0.2))
    assert [one.judgement.interval.groups for one in found.configurations if one.judgement.interval] == [5, 5]


def test_few_parts_are_a_note(write_served: WriteStudy) -> None:
    done = invoke(write_served(cycles=1, load={"parts": 3}), "--ttft", "0.2")
    assert done.output.count("note: interval: it rests on 3 parts") == 1


def test_an_interval_of_energy_is_cut_at_0_in_the_table(write_served: WriteStudy) -> None:
    folder = write_served()
    for job in sorted((folder / "experiments").iterdir())[:2]:
        result = json.loads((job / RESULT).read_text())
        result["energy"]["headline"]["energy_j"] *= 20
        write_json(job / RESULT, result)
    lines = [line for line in invoke(folder, "--ttft", "0.2").output.splitlines() if line.startswith("load.rate_rps")]
    assert [re.search(r"\((\S+) … ", line).group(1) for line in lines] == ["0.0", "0.0"]  # type: ignore[union-attr]
    found = json.loads(invoke(folder, "--ttft", "0.2", "--json").output)["configurations"]
    assert all(one["j_per_good_token"]["interval"]["low"] < 0 for one in found)


def test_estimated_energy_is_marked(write_served: WriteStudy) -> None:
    done = invoke(write_served(method="estimate"), "--ttft", "0.2")
    assert "~1" in done.output or "~2" in done.output
    assert "note: ~ is an estimate" in done.output


def test_energy_that_was_not_measured_is_a_dash_and_attainment_stands(write_served: WriteStudy) -> None:
    folder = write_served(energy=None)
    done = invoke(folder, "--ttft", "0.2")
    assert done.exit_code == 0, done.output
    assert "  –  " in done.output
    document = json.loads(invoke(folder, "--ttft", "0.2", "--json").output)
    assert document["configurations"][0]["j_per_good_token"] is None


def test_energy_told_by_several_methods_is_not_averaged(write_served: WriteStudy) -> None:
    folder = write_served(points=RATES[:1])
    file = folder / "experiments" / "00002" / RESULT
    data = json.loads(file.read_text())
    data["energy"]["headline"]["method"] = data["energy"]["totals"][0]["method"] = "power"
    write_json(file, data)
    assert judge_study(folder, SloConfig(ttft_s=0.2)).configurations[0].j_per_good_token is None


def test_a_table_that_is_missing_or_damaged_is_left_out_and_told(write_served: WriteStudy) -> None:
    folder = write_served()
    (folder / "experiments" / "00001" / REQUESTS).unlink()
    (folder / "experiments" / "00003" / REQUESTS).write_bytes(b"PAR1\x00\xff" * 100)
    done = invoke(folder, "--ttft", "0.2")
    assert done.exit_code == 0, done.output
    assert (
        "note: left out: experiments/00001: its table of requests (requests.parquet) is missing or damaged."
        in done.output
    )
    assert "note: left out: experiments/00003: " in done.output
    assert judge_study(folder, SloConfig(ttft_s=0.2)).configurations[0].cycles == 1


def test_values_that_cannot_be_are_an_error_with_file_and_row(write_served: WriteStudy) -> None:
    folder = write_served()
    rows = table(10.0, 1)
    rows["first_token_s"][4] = float("nan")
    pq.write_table(pa.table(rows), folder / "experiments" / "00001" / REQUESTS)
    done = invoke(folder, "--ttft", "0.2")
    assert isinstance(done.exception, ResultError)
    assert "00001/requests.parquet: row 5: first_token_s holds nan" in str(done.exception)


def test_other_scenarios_are_left_out(write_served: WriteStudy) -> None:
    folder = write_served(scenario="offline")
    with pytest.raises(ResultError, match=r"no run of this study can be judged \(6 runs of the scenario offline"):
        judge_study(folder, SloConfig(ttft_s=0.2))
    file = folder / "experiments" / "00002" / RESULT
    write_json(file, {**json.loads(file.read_text()), "scenario": "server"})
    found = judge_study(folder, SloConfig(ttft_s=0.2))
    assert found.notes[0] == "left out: 5 runs of the scenario offline offered no load."


@pytest.mark.parametrize("load", [{}, {"parts": "many"}, {"parts": 0}])
def test_a_result_that_does_not_tell_its_parts_is_left_out(write_served: WriteStudy, load: Mapping[str, Any]) -> None:
    with pytest.raises(ResultError, match=r"does not tell energy\.window_s and config\.load\.parts"):
        judge_study(write_served(load=load), SloConfig(ttft_s=0.2))


def test_objectives_without_a_limit_are_refused(write_served: WriteStudy) -> None:
    done = invoke(write_served(), "--attainment", "0.9")
    assert isinstance(done.exception, ConfigError)
    assert "--ttft 0.2" in str(done.exception)


@pytest.mark.parametrize(
    "arguments",
    [["--ttft", "0"], ["--ttft", "nan"], ["--tpot", "-1"], ["--e2e", "inf"], ["--e2e", "x"], ["--attainment", "1.5"]],
)
def test_a_limit_that_is_none_is_refused(tmp_path: Path, arguments: list[str]) -> None:
    done = invoke(tmp_path, *arguments)
    assert done.exit_code == 2
    assert arguments[0] in done.output


def test_a_folder_without_a_study_is_refused(tmp_path: Path) -> None:
    for place in (tmp_path / "nothing", tmp_path):
        assert isinstance(invoke(place, "--ttft", "0.2").exception, LlemError)


def test_the_result_of_a_study_can_be_given_as_its_table(write_served: WriteStudy) -> None:
    from llem.results.aggregate import aggregate

    folder = write_served()
    whole = judge_study(folder, SloConfig(ttft_s=0.2)).document()
    assert judge_study(aggregate(folder), SloConfig(ttft_s=0.2)).document() == whole


def test_without_options_the_objectives_of_the_study_hold(tmp_path: Path) -> None:
    folder = write_served_study(
        tmp_path / "s",
        [2.0, 4.0],
        slow=lambda _, rate: 0.1 if rate == 4 else 0.0,
        slo={"ttft_s": 0.2, "attainment": 0.8},
        noise=0.01,
    )
    done = invoke(folder)
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[0] == "s: 2 of 2 configurations kept TTFT 0.2 s in 80 % of requests"
    row = next(line for line in done.output.splitlines() if line.startswith("load.rate_rps=4"))
    told = [cell.strip() for cell in row.split("  ") if cell.strip()]
    assert told[1:3] == ["720", "90.00 %"]
    assert told[4] == "3.60"
    true = energy_j(4.0) / good_tokens(4.0, 0.1)
    assert float(told[5].split()[0]) == pytest.approx(true, rel=0.02)
    assert "…" in told[5], "an interval over cycles"
    # What is given stands in for it: a share alone keeps the limits, a limit stands for all of them.
    assert "in 95 % of requests" in invoke(folder, "--attainment", "0.95").output
    assert "1 of 2 configurations kept TTFT 0.2 s" in invoke(folder, "--attainment", "0.95").output
    assert "kept end to end 3 s in 80 % of requests" in invoke(folder, "--e2e", "3").output


def test_experiments_with_objectives_of_their_own_are_judged_by_those_that_are_given(tmp_path: Path) -> None:
    folder = write_served_study(tmp_path / "s", [2.0, 4.0], slo={"ttft_s": 0.2}, cycles=1)
    file = folder / "experiments" / "00002" / RESULT
    data = json.loads(file.read_text())
    data["config"]["slo"]["ttft_s"] = 0.3
    write_json(file, data)
    done = invoke(folder)
    assert isinstance(done.exception, ConfigError)
    assert "which differ" in str(done.exception)
    assert invoke(folder, "--ttft", "0.2").exit_code == 0


def test_what_saturated_is_not_judged(tmp_path: Path) -> None:
    folder = write_served_study(
        tmp_path / "s",
        [2.0, 4.0, 8.0],
        slo={"ttft_s": 0.2},
        warnings=lambda _, rate, cycle: {"saturated": "…"} if rate == 8 or (rate, cycle) == (4, 3) else {},
    )
    done = invoke(folder)
    assert done.output.splitlines()[0].startswith("s: 1 of 3 configurations kept")
    rows = {line.split()[0]: line.split() for line in done.output.splitlines() if line.startswith("load.rate_rps=")}
    assert rows["load.rate_rps=8"][1:] == ["–", "–", "–", "–", "–", "saturated"]
    assert " ".join(rows["load.rate_rps=4"][-4:]) == "saturated (1 of 3)"
    assert rows["load.rate_rps=4"][1] == "480", "two cycles of 240"
    assert "note: 4 runs were offered more than their engine can serve (`saturated`): not judged" in done.output
    document = json.loads(invoke(folder, "--json").output)["configurations"]
    assert [one["verdict"] for one in document] == ["kept", "saturated", "saturated"]
    assert [one["attainment"] for one in document] == [1.0, 1.0, None]
    assert document[1]["voided"] == {"saturated": 1}


def test_requests_have_a_share_of_their_windows_energy(tmp_path: Path) -> None:
    folder = write_served_study(
        tmp_path / "s",
        [2.0, 4.0],
        slow=lambda *_: 0.25,
        slo={"ttft_s": 0.2},
        cycles=1,
        warnings=lambda _, rate, __: {"saturated": "…"} if rate == 4 else {},
    )
    done = invoke(folder, "--requests", tmp_path / "requests.csv")
    assert done.exit_code == 0, done.output
    rows = list(csv.DictReader((tmp_path / "requests.csv").open()))
    assert {row["experiment"] for row in rows} == {"experiments/00001"}, "a saturated run is not judged"
    assert sum(float(row["window_energy_share_j"]) for row in rows) == pytest.approx(energy_j(2.0))
    judged = [row for row in rows if row["inside"] == "true"]
    assert len(judged) == 120
    assert sum(row["keeps_slo"] == "true" for row in judged) == 90
    assert {row["ttft_s"] for row in judged} == {"0.1", "0.5"}
    outside = [row for row in rows if float(row["arrival_s"]) >= WINDOW]
    assert outside
    assert {float(row["window_energy_share_j"]) for row in outside} == {0.0}


def test_requests_of_a_run_without_energy_have_no_share(tmp_path: Path, write_served: WriteStudy) -> None:
    folder = write_served(points=RATES[:1], cycles=1, energy=None)
    invoke(folder, "--ttft", "0.2", "--requests", tmp_path / "requests.csv")
    rows = list(csv.DictReader((tmp_path / "requests.csv").open()))
    assert {row["window_energy_share_j"] for row in rows} == {""}


def test_rates_stand_in_their_order_whatever_order_they_ran_in(tmp_path: Path) -> None:
    settings = ({"testbed.batch_size": 8}, {"testbed.batch_size": 1})
    folder = write_served_study(tmp_path / "s", [8.0, 2.0], settings=settings, slo={"ttft_s": 0.2}, cycles=1)
    lines = [line.split("  ")[0] for line in invoke(folder).output.splitlines() if line.startswith("load.rate_rps=")]
    assert lines == [f"load.rate_rps={rate}, testbed.batch_size={size}" for size in (8, 1) for rate in (2, 8)]
