"""`llem export --format ml-energy`, read back by ML.ENERGY's own reader in each of its ways."""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlenergy.data.records import LLMRun, LLMRuns

from llem.cli import main
from llem.errors import ResultError
from llem.measure.requests_table import COLUMNS
from llem.measure.statistics import distribution
from llem.results.aggregate import PARQUET, aggregate
from llem.results.job_directory import REQUESTS, RESULT
from llem.results.models import ExperimentResult
from llem.results.parts import write_part
from llem.results.table import StudyTable
from llem_exporters.ml_energy.folder import write_ml_energy
from llem_exporters.ml_energy.reading import read_ml_energy
from llem_exporters.ml_energy.runs import spread_gaps
from llem_exporters.safe_names import folder_name
from llem_exporters.source import Source

WriteDesign = Callable[..., Path]
Serve = Callable[..., Path]
REQUESTS_EACH, LENGTH = 12, 100
OUTPUT = REQUESTS_EACH * LENGTH


def gaps_of(seed: int) -> list[list[float]]:
    """Gaps between the tokens of each request, positive and unlike each other."""
    generator = random.Random(seed)
    return [[generator.uniform(0.01, 0.03) for _ in range(LENGTH - 1)] for _ in range(REQUESTS_EACH)]


def write_table(path: Path, gaps: Sequence[Sequence[float] | None], lengths: Sequence[int]) -> None:
    kinds = {name: kind for name, kind, _, _ in COLUMNS}
    assert (kinds["output_tokens"], kinds["itl_s"]) == ("int64", "list"), "columns that a run really has"
    columns = {
        "output_tokens": pa.array(lengths, pa.int64()),
        "itl_s": pa.array(gaps, pa.list_(pa.float64())),
    }
    pq.write_table(pa.table(columns), path)


@pytest.fixture
def serve(write_design: WriteDesign) -> Serve:
    """A study of GPUs with all that a run holds which was measured token by token.

    `but` takes a point and its cycle and gives what is otherwise: `window_s`, `running`, `gpus` (names), `model`, `config`
    (of the backend), `source`, `requested`, `scenario`, `warnings`, `gaps`, `dataset`; None leaves a part out.
    """

    def write(
        points: Sequence[Mapping[str, Any]],
        but: Callable[[Mapping[str, Any], int], Mapping[str, Any]] = lambda _point, _cycle: {},
        cycles: int = 1,
        name: str = "served",
    ) -> Path:
        folder = write_design(points, energy=lambda _: 3.0, cycles=cycles, name=name)
        for job in sorted((folder / "experiments").iterdir()):
            data = json.loads((job / RESULT).read_text())
            complete(data, but(data["identity"]["point"], data["identity"]["cycle"]), job)
            (job / RESULT).write_text(json.dumps(data))
        return folder

    return write


def complete(data: dict[str, Any], but: Mapping[str, Any], job: Path) -> None:
    point, window = data["identity"]["point"], but.get("window_s", 25.0)
    size = next((v for k, v in point.items() if k.rpartition(".")[2] in ("batch_size", "max_num_seqs")), 1)
    names = but.get("gpus", ["NVIDIA H100"])
    joules = 900.0 + 100.0 * data["identity"]["position"]
    figure = {
        "energy_j": joules,
        "mean_w": joules / window,
        "devices": [f"GPU-{place}" for place in range(len(names))],
        "j_per_output_token": joules / OUTPUT,
        "j_per_request": joules / REQUESTS_EACH,
    }
    data["energy"]["window_s"] = window
    data["energy"]["headline"].update(figure)
    data["energy"]["totals"][0].update(figure)
    data["energy"]["devices"] = [
        {
            "device": f"GPU-{place}",
            "name": name,
            "scope": "gpu",
            "sampler": "nvml",
            "method": "counter",
            "energy_j": joules / len(names),
            "mean_w": joules / window / len(names),
        }
        for place, name in enumerate(names)
    ]
    data["tokens"] = {"requests": REQUESTS_EACH, "input": 64, "output": OUTPUT}
    data["throughput"] = {"tokens_per_s": OUTPUT / window, "total_tokens_per_s": None, "requests_per_s": None}
    data["passes"] = 3
    data["scenario"] = but.get("scenario", "offline")
    data["config"]["decoding"] = {"seed": but.get("seed", 7)}
    data["config"][data["config"]["backend"]].update(but.get("config", {}))
    data["config"]["model"]["source"] = but.get("source", "meta-llama/Llama-3.1-8B")
    data["dataset"]["name"] = but.get("dataset", "synthetic")
    model = {"parameters": 8_000_000_000, "active_parameters": 8_000_000_000, "dtype": "bfloat16", "effective": {}}
    data["model"].update({**model, **but.get("model", {})})
    data["batching"] = {
        "requested_size": but.get("requested", size),
        "mean_size": but.get("running", size),
        "source": "engine",
        "batches": 1,
    }
    data["warnings"] = [{"code": code, "message": "as tested"} for code in but.get("warnings", ())]
    gaps = but.get("gaps", gaps_of(data["identity"]["position"]))
    if gaps is None:
        data["latency"] = None
    else:
        told = distribution([gap for request in gaps for gap in request])
        data["latency"] = {"itl_s": told.model_dump() if told else None}
        write_table(job / REQUESTS, gaps, [LENGTH] * REQUESTS_EACH)


def change(job: Path, how: Callable[[dict[str, Any]], None]) -> None:
    """Change a run's result."""
    data = json.loads((job / RESULT).read_text())
    how(data)
    (job / RESULT).write_text(json.dumps(data))


def read_back(folder: Path) -> dict[str, list[LLMRun]]:
    """The runs by each way of reading."""
    table = folder / "runs" / "llm.parquet"
    return {
        "from_parquet": list(LLMRuns.from_parquet(table, base_dir=folder, stable_only=False)),
        "from_directory": list(LLMRuns.from_directory(folder, stable_only=False)),
        "from_raw_results": list(LLMRuns.from_raw_results(folder, stable_only=False, n_workers=1)),
    }


def fields_of(run: LLMRun) -> dict[str, Any]:
    return {field.name: getattr(run, field.name) for field in dataclasses.fields(run)}


def directory_of(run: LLMRun) -> str:
    return str(run.read_results_json()["llem_directory"])


def export(folder: Path, tmp_path: Path) -> tuple[Path, list[str]]:
    written, left_out = write_ml_energy(Source(folder), tmp_path / "out")
    assert written == len(LLMRuns.from_directory(tmp_path / "out", stable_only=False))
    return tmp_path / "out", left_out


SIZES = [{"pytorch.batch_size": size, "backend": "pytorch"} for size in (1, 8, 32)]


def test_each_way_of_reading_gives_the_same_runs(serve: Serve, tmp_path: Path) -> None:
    out, left_out = export(serve(SIZES, cycles=2), tmp_path)
    assert left_out == []
    ways = read_back(out)
    tables = {way: sorted(map(fields_of, runs), key=lambda f: f["_results_path"]) for way, runs in ways.items()}
    assert {way: len(rows) for way, rows in tables.items()} == dict.fromkeys(ways, 6)
    for rows in tables.values():
        for row, other in zip(rows, tables["from_raw_results"], strict=True):
            assert row.keys() == other.keys()
            for name, value in row.items():
                expected = pytest.approx(value, rel=1e-9) if isinstance(value, float) else value
                assert other[name] == expected, name


def test_what_is_read_back_is_what_the_study_holds(serve: Serve, tmp_path: Path) -> None:
    folder = serve(SIZES)
    out, _ = export(folder, tmp_path)
    results = {
        f"experiments/{job.name}": json.loads((job / RESULT).read_text()) for job in (folder / "experiments").iterdir()
    }
    for way, runs in read_back(out).items():
        assert len(runs) == 3, way
        for run in runs:
            result = results[directory_of(run)]
            figure, itl = result["energy"]["headline"], result["latency"]["itl_s"]
            assert run.steady_state_energy_joules == figure["energy_j"]
            assert run.steady_state_duration_seconds == result["energy"]["window_s"]
            assert run.energy_per_token_joules == figure["j_per_output_token"]
            assert run.energy_per_request_joules == pytest.approx(figure["j_per_request"])
            assert run.avg_power_watts == pytest.approx(figure["mean_w"])
            assert run.output_throughput_tokens_per_sec == pytest.approx(result["throughput"]["tokens_per_s"])
            assert run.request_throughput_req_per_sec == pytest.approx(REQUESTS_EACH / 25)
            assert (run.total_output_tokens, run.completed_requests, run.avg_output_len) == (
                OUTPUT,
                REQUESTS_EACH,
                LENGTH,
            )
            assert run.mean_itl_ms == pytest.approx(itl["mean"] * 1000)
            for percent in (50, 90, 95, 99):
                assert getattr(run, f"p{percent}_itl_ms") == pytest.approx(itl[f"p{percent}"] * 1000)
            assert run.max_num_seqs == result["identity"]["point"]["pytorch.batch_size"] == run.avg_batch_size
            assert (run.model_id, run.nickname) == ("meta-llama/Llama-3.1-8B", "Llama-3.1-8B")
            assert (run.task, run.gpu_model, run.num_gpus) == ("synthetic", "NVIDIA H100", 1)
            assert (run.total_params_billions, run.activated_params_billions) == (8.0, 8.0)
            assert (run.architecture, run.weight_precision) == ("Dense", "bfloat16")
            assert (run.seed, run.num_request_repeats) == (7, 3)
            assert run.output_lengths() == [LENGTH] * REQUESTS_EACH
            assert run.inter_token_latencies() == [g for r in gaps_of(result["identity"]["position"]) for g in r]


@pytest.mark.parametrize("seed", [0, None])
def test_a_seed_of_zero_is_one_and_none_is_none(serve: Serve, tmp_path: Path, seed: int | None) -> None:
    out, _ = export(serve(SIZES[:1], lambda *_: {"seed": seed}), tmp_path)
    assert [runs[0].seed for runs in read_back(out).values()] == [seed] * 3


def test_a_model_of_experts_on_several_gpus_keeps_how_they_share_it(serve: Serve, tmp_path: Path) -> None:
    point = {"backend": "vllm", "vllm.max_num_seqs": 8}

    def but(_point: Mapping[str, Any], _cycle: int) -> dict[str, Any]:
        effective = {"tensor_parallel_size": 2, "data_parallel_size": 2, "enable_expert_parallel": True}
        model = {"active_parameters": 3_000_000_000, "effective": {**effective, "quantization": "fp8"}}
        return {"gpus": ["NVIDIA B200"] * 4, "model": model}

    out, _ = export(serve([point], but), tmp_path)
    for way, runs in read_back(out).items():
        (run,) = runs
        assert (run.num_gpus, run.tensor_parallel, run.expert_parallel, run.data_parallel) == (4, 2, 4, 2), way
        assert (run.architecture, run.activated_params_billions, run.weight_precision) == ("MoE", 3.0, "fp8")


@pytest.mark.parametrize("own", [{"tensor_parallel_size": 2}, {"tensor_parallel": {"size": 2}}])
def test_gpus_in_parallel_are_counted_however_an_engine_writes_it(
    serve: Serve, tmp_path: Path, own: Mapping[str, Any]
) -> None:
    out, _ = export(serve(SIZES[:1], lambda *_: {"gpus": ["NVIDIA H100"] * 2, "config": own}), tmp_path)
    for runs in read_back(out).values():
        assert [(run.num_gpus, run.tensor_parallel, run.expert_parallel, run.data_parallel) for run in runs] == [
            (2, 2, 1, 1)
        ]


VERDICTS: list[tuple[str, Callable[[int], dict[str, Any]], dict[int, str]]] = [
    ("all is well", lambda _: {}, {1: "", 8: "", 32: ""}),
    (
        "a window of less than 20 s",
        lambda size: {"window_s": 19.9} if size == 32 else {"window_s": 20.0},
        {1: "", 8: "", 32: "short_steady_state:19.9"},
    ),
    (
        "fewer than 85 % run",
        lambda size: {"running": 27.19} if size == 32 else {"running": size * 0.85},
        {1: "", 8: "", 32: "low_batch_utilization:0.849688"},
    ),
    ("nobody saw how many run", lambda _: {"running": None}, {1: "", 8: "", 32: ""}),
    (
        "all larger ones with the smallest that is unstable",
        lambda size: {"window_s": 12.5} if size == 8 else {},
        {1: "", 8: "short_steady_state:12.5", 32: "cascade_from_unstable_batch:8"},
    ),
    (
        "a reason of its own before that of the cascade",
        lambda size: {"window_s": 12.5} if size > 1 else {},
        {1: "", 8: "short_steady_state:12.5", 32: "short_steady_state:12.5"},
    ),
    ("what llem itself qualifies", lambda _: {"warnings": ["thermal_throttle", "batch_fill"]}, {1: "", 8: "", 32: ""}),
]


@pytest.mark.parametrize(("but", "expected"), [(but, told) for _, but, told in VERDICTS], ids=[v[0] for v in VERDICTS])
def test_the_verdict_is_that_of_their_own_rule(
    serve: Serve, tmp_path: Path, but: Callable[[int], dict[str, Any]], expected: dict[int, str]
) -> None:
    out, _ = export(serve(SIZES, lambda point, _: but(point["pytorch.batch_size"])), tmp_path)
    for way, runs in read_back(out).items():
        assert {run.max_num_seqs: run.unstable_reason for run in runs} == expected, way
        assert {run.max_num_seqs: run.is_stable for run in runs} == {n: not text for n, text in expected.items()}, way


def test_a_cycle_is_unstable_with_another_of_its_size(serve: Serve, tmp_path: Path) -> None:
    folder = serve(
        SIZES[:2], lambda p, c: {"window_s": 5.0} if p["pytorch.batch_size"] == 8 and c == 2 else {}, cycles=2
    )
    out, _ = export(folder, tmp_path)
    for way, runs in read_back(out).items():
        assert sorted((run.max_num_seqs, run.unstable_reason) for run in runs) == [
            (1, ""),
            (1, ""),
            (8, "cascade_from_unstable_batch:8"),
            (8, "short_steady_state:5.0"),
        ], way


@pytest.mark.parametrize("seed", range(4))
def test_verdicts_agree_on_studies_drawn_at_random(serve: Serve, tmp_path: Path, seed: int) -> None:
    """Two set-ups, six sizes, windows and fills around the limits: their reader judges the raw files itself."""
    generator = random.Random(seed)
    points = [
        {"backend": "pytorch", "pytorch.batch_size": size, "pytorch.dtype": dtype}
        for size in (1, 2, 4, 8, 16, 32)
        for dtype in ("float32", "bfloat16")
    ]

    def but(point: Mapping[str, Any], _cycle: int) -> dict[str, Any]:
        size = point["pytorch.batch_size"]
        running = generator.choice([None, size, size * 0.84, size * 0.86, size * 0.9])
        return {"window_s": generator.choice([19.0, 20.5, 30.0, 60.0, 90.0]), "running": running}

    out, _ = export(serve(points, but), tmp_path)
    ways = read_back(out)
    told = {way: {directory_of(r): (r.is_stable, r.unstable_reason) for r in runs} for way, runs in ways.items()}
    assert len(told["from_raw_results"]) == 12
    assert len({stable for stable, _ in told["from_raw_results"].values()}) == 2, "both verdicts occur"
    assert told["from_directory"] == told["from_parquet"] == told["from_raw_results"]


def test_set_ups_that_differ_in_more_than_their_size_are_tasks_of_their_own(serve: Serve, tmp_path: Path) -> None:
    points = [
        {"backend": "pytorch", "pytorch.batch_size": size, "pytorch.dtype": dtype}
        for dtype in ("float32", "bfloat16")
        for size in (1, 8)
    ]

    def but(point: Mapping[str, Any], _cycle: int) -> dict[str, Any]:
        unstable = point["pytorch.dtype"] == "float32"
        return {"model": {"dtype": point["pytorch.dtype"]}, "window_s": 5.0 if unstable else 25.0}

    out, _ = export(serve(points, but), tmp_path)
    for way, runs in read_back(out).items():
        found = {(run.task, run.weight_precision, run.is_stable) for run in runs}
        assert found == {
            ("synthetic,backend=pytorch,pytorch.dtype=float32", "float32", False),
            ("synthetic,backend=pytorch,pytorch.dtype=bfloat16", "bfloat16", True),
        }, way


def test_set_ups_of_one_point_are_told_apart_by_their_hash(serve: Serve, tmp_path: Path) -> None:
    """A model that is loaded in another precision on another node, as `auto` may."""
    but = lambda _point, cycle: {"model": {"dtype": ("float16", "bfloat16")[cycle - 1]}}  # noqa: E731
    out, _ = export(serve(SIZES[:1], but, cycles=2), tmp_path)
    for way, runs in read_back(out).items():
        assert {run.weight_precision for run in runs} == {"float16", "bfloat16"}, way
        assert len({run.task for run in runs}) == 2
        assert all(run.task.startswith("synthetic,backend=pytorch,") for run in runs)


LEFT_OUT: list[tuple[str, dict[str, Any]]] = [
    ("`energy.headline.energy_j` is voided by the warning `host_suspended`", {"warnings": ["host_suspended"]}),
    ("no gaps between tokens were measured", {"gaps": None}),
    ("how many requests may run at once is not known", {"requested": None}),
    ("8 GPUs share its work otherwise than by tensor and data parallelism (1 x 1)", {"gpus": ["NVIDIA H100"] * 8}),
    (
        "it ran on unlike GPUs (NVIDIA A100, NVIDIA H100)",
        {"gpus": ["NVIDIA A100", "NVIDIA H100"], "config": {"tensor_parallel_size": 2}},
    ),
    (
        "how many parameters the model has, and how many of them a token takes, is not known",
        {"model": {"active_parameters": None}},
    ),
    ("the precision of the model's weights is not known", {"model": {"dtype": None}}),
]


@pytest.mark.parametrize(("why", "otherwise"), LEFT_OUT, ids=[why for why, _ in LEFT_OUT])
def test_a_run_that_their_form_cannot_hold_is_left_out_and_named(
    serve: Serve, tmp_path: Path, why: str, otherwise: dict[str, Any]
) -> None:
    folder = serve(SIZES, lambda point, _: otherwise if point["pytorch.batch_size"] == 8 else {})
    out, left_out = export(folder, tmp_path)
    assert left_out == [f"experiments/00002: {why}"]
    for runs in read_back(out).values():
        assert [run.max_num_seqs for run in runs] == [1, 32]


@pytest.mark.parametrize(("scope", "method"), [("cpu", "counter"), ("host", "power"), ("gpu", "estimate")])
def test_energy_that_is_no_measurement_of_gpus_is_left_out(
    serve: Serve, tmp_path: Path, scope: str, method: str
) -> None:
    folder = serve(SIZES)
    change(folder / "experiments" / "00001", lambda d: d["energy"]["headline"].update(scope=scope, method=method))
    _, left_out = export(folder, tmp_path)
    assert left_out == [f"experiments/00001: its energy is no measurement of GPUs ({scope} {method})"]


def test_energy_that_cannot_be_is_left_out(serve: Serve, tmp_path: Path) -> None:
    """The third of their rules, an energy per token not above zero, has nothing left to find."""
    folder = serve(SIZES)
    change(folder / "experiments" / "00001", lambda d: d["energy"]["headline"].update(j_per_output_token=0.0))
    _, left_out = export(folder, tmp_path)
    assert left_out == [
        "experiments/00001: `energy.headline.j_per_output_token` is voided by the warning `impossible_value`"
    ]


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda path: path.unlink(), "is missing or damaged"),
        (lambda path: path.write_bytes(b"PAR1"), "is missing or damaged"),
        (lambda path: write_table(path, [[0.1]], [OUTPUT]), "holds other requests than its result"),
        (lambda path: write_table(path, [[0.1]] * REQUESTS_EACH, [2] * REQUESTS_EACH), "holds other requests"),
        (
            lambda path: write_table(path, [None] * REQUESTS_EACH, [LENGTH] * REQUESTS_EACH),
            "has no gaps between tokens",
        ),
    ],
)
def test_a_table_of_requests_that_does_not_serve_leaves_its_run_out(
    serve: Serve, tmp_path: Path, damage: Callable[[Path], None], why: str
) -> None:
    folder = serve(SIZES)
    damage(folder / "experiments" / "00003" / REQUESTS)
    _, left_out = export(folder, tmp_path)
    assert len(left_out) == 1
    assert left_out[0].startswith("experiments/00003: its table of requests")
    assert why in left_out[0]


def test_a_study_without_any_run_for_it_is_refused_with_a_reason(serve: Serve, tmp_path: Path) -> None:
    with pytest.raises(ResultError, match="The first of them: experiments/00001: no gaps between tokens"):
        write_ml_energy(Source(serve(SIZES, lambda *_: {"gaps": None})), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_llem_says_of_a_run_stands_in_columns_of_its_own(serve: Serve, tmp_path: Path) -> None:
    out, _ = export(serve(SIZES[:1], lambda *_: {"warnings": ["thermal_throttle", "prompts_cut"]}), tmp_path)
    (row,) = pq.read_table(out / "runs" / "llm.parquet").to_pylist()
    assert row["llem_warnings"] == ["thermal_throttle"]
    assert (row["llem_energy_method"], row["llem_unreliable"], row["llem_cycle"]) == ("counter", False, 1)
    assert json.loads(row["llem_point"]) == {"backend": "pytorch", "pytorch.batch_size": 1}
    assert read_back(out)["from_raw_results"][0].read_results_json()["llem_warnings"] == ["thermal_throttle"]


def test_percentiles_of_few_gaps_are_absent_and_not_made_up(serve: Serve, tmp_path: Path) -> None:
    gaps = [[0.01 * (n + 1), 0.02] for n in range(REQUESTS_EACH)]
    out, _ = export(serve(SIZES[:1], lambda *_: {"gaps": gaps}), tmp_path)
    for way in ("from_parquet", "from_directory"):
        (run,) = read_back(out)[way]
        assert (run.p90_itl_ms, run.p95_itl_ms, run.p99_itl_ms) == (None, None, None)
        assert run.median_itl_ms == run.p50_itl_ms == pytest.approx(20.0)


def test_a_percentile_that_an_older_result_tells_of_few_gaps_is_absent_too(serve: Serve, tmp_path: Path) -> None:
    gaps = [[0.01, 0.02] for _ in range(REQUESTS_EACH)]
    folder = serve(SIZES[:1], lambda *_: {"gaps": gaps})
    change(folder / "experiments" / "00001", lambda d: d["latency"]["itl_s"].update(p99=0.02))
    out, _ = export(folder, tmp_path)
    assert read_back(out)["from_parquet"][0].p99_itl_ms is None


def test_tokens_that_came_together_share_their_time_as_their_reader_has_it(serve: Serve, tmp_path: Path) -> None:
    gaps = [[0.0, 0.03, 0.0, 0.0, 0.02, 0.01 * (n + 1), 0.0] for n in range(REQUESTS_EACH)]
    out, _ = export(serve(SIZES[:1], lambda *_: {"gaps": gaps}), tmp_path)
    ways = read_back(out)
    assert ways["from_directory"][0].mean_itl_ms == pytest.approx(ways["from_raw_results"][0].mean_itl_ms)
    assert ways["from_directory"][0].p50_itl_ms == pytest.approx(ways["from_raw_results"][0].p50_itl_ms)
    assert list(spread_gaps([0.0, 0.03, 0.0, 0.0, 0.02])) == pytest.approx([0.01, 0.01, 0.01, 0.02])


@given(st.lists(st.sampled_from([0.0, 0.0, 0.004, 0.01, 0.5]), max_size=30))
def test_sharing_time_keeps_its_sum(gaps: list[float]) -> None:
    shared = list(spread_gaps(gaps))
    assert sum(shared) == pytest.approx(sum(gaps))
    assert all(gap > 0 for gap in shared)


@pytest.mark.parametrize(
    ("scenario", "config", "effective", "requested", "expected"),
    [
        ("offline", {"max_num_seqs": 64}, {}, 12, 64),
        ("offline", {}, {"max_num_seqs": 256}, None, 256),
        ("offline", {}, {}, 16, 16),
        ("single_stream", {"max_num_seqs": 64}, {"max_num_seqs": 64}, 1, 1),
    ],
    ids=["as configured", "as the engine decided", "as asked for", "one by one"],
)
def test_how_many_run_at_once_is_found(
    serve: Serve,
    tmp_path: Path,
    scenario: str,
    config: Mapping[str, Any],
    effective: Mapping[str, Any],
    requested: int | None,
    expected: int,
) -> None:
    but = {"scenario": scenario, "config": config, "requested": requested, "model": {"effective": effective}}
    out, _ = export(serve([{"backend": "vllm"}], lambda *_: but), tmp_path)
    assert [[run.max_num_seqs for run in runs] for runs in read_back(out).values()] == [[expected]] * 3


HOSTILE = ["../../escaped", "a/b/../../../c", "/etc/passwd", "..", ".", "", "nul\0byte", "x" * 500, "a+b+c", "päth\\x"]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_out_of_a_study_leaves_the_folder(serve: Serve, tmp_path: Path, name: str) -> None:
    but = {"source": name, "dataset": name, "gpus": [name or " "]}
    out, _ = export(serve(SIZES, lambda *_: but), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"served", "out"}
    assert {path.name for path in out.iterdir()} == {"runs", "llm", "configs"}
    ways = read_back(out)
    keys = {way: sorted((r.model_id, r.task, r.gpu_model, r.max_num_seqs) for r in runs) for way, runs in ways.items()}
    assert len(keys["from_raw_results"]) == 3
    assert keys["from_raw_results"] == keys["from_directory"] == keys["from_parquet"]
    assert pq.read_table(out / "runs" / "llm.parquet").column("llem_model").to_pylist() == [name] * 3


@given(st.text(max_size=120), st.text(max_size=120))
def test_a_folders_name_is_one_part_of_a_path_and_its_texts_own(one: str, other: str) -> None:
    name = folder_name(one)
    assert Path("x", name).parent == Path("x")
    assert name not in (".", "..")
    assert not set(name) & set('/\\\0+:*?"<>|\n')
    assert len(name) < 100
    assert (folder_name(other) == name) == (one == other)


def test_a_folder_that_holds_something_is_refused(serve: Serve, tmp_path: Path) -> None:
    folder = serve(SIZES)
    export(folder, tmp_path)
    with pytest.raises(ResultError, match="takes a folder of its own"):
        write_ml_energy(Source(folder), tmp_path / "out")


def test_a_table_of_the_study_serves_as_well_as_its_folder(serve: Serve, tmp_path: Path) -> None:
    folder = serve(SIZES)
    write_ml_energy(Source(folder), tmp_path / "one")
    write_part(folder / PARQUET, StudyTable(folder).read())
    write_ml_energy(Source(folder / PARQUET), tmp_path / "other")
    one, other = (pq.read_table(tmp_path / name / "runs" / "llm.parquet") for name in ("one", "other"))
    assert one.equals(other)
    alone = tmp_path / "alone"
    alone.mkdir()
    with pytest.raises(ResultError, match=r"takes each run's result\.json"):
        write_ml_energy(Source(aggregate(serve(SIZES, name="again")).rename(alone / PARQUET)), tmp_path / "third")


def test_the_command_names_what_it_left_out_and_asks_for_a_folder(
    serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = serve(SIZES, lambda point, _: {"gaps": None} if point["pytorch.batch_size"] == 8 else {})
    arguments = ["export", str(folder), "--format", "ml-energy"]
    assert main(arguments) == 2
    assert "ml-energy is a folder of files, and no text. Name where: --output PATH." in capsys.readouterr().err
    out = str(tmp_path / "out")
    assert main([*arguments, "--output", out]) == 0
    said = capsys.readouterr()
    assert said.err == "left out: experiments/00002: no gaps between tokens were measured\n"
    assert said.out == f"Wrote 2 runs to {out}.\n"
    assert main([*arguments, "--output", str(tmp_path / "again"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["count"] == 2


def test_what_was_exported_is_read_again_with_the_same_figures(serve: Serve, tmp_path: Path) -> None:
    folder = serve(SIZES, cycles=2)
    out, _ = export(folder, tmp_path)
    found = list(read_ml_energy(out))
    kept = [result for _, result in Source(folder).results()]
    assert sorted(map(_read_again, found)) == sorted(map(_read_again, kept))
    assert sorted(one.identity.cycle for one in found) == [1, 1, 1, 2, 2, 2]
    assert [one.config["pytorch"]["max_num_seqs"] for one in found] == [1, 8, 32] * 2


def _read_again(result: ExperimentResult) -> tuple[Any, ...]:
    assert result.energy is not None
    assert result.throughput is not None
    figure = result.energy.headline
    assert figure is not None
    told = (figure.energy_j, figure.j_per_output_token, figure.method, figure.scope, result.energy.window_s)
    return (*told, result.throughput.tokens_per_s, result.config["model"]["source"], result.config["backend"])
