"""Real engines under load: SmolLM2 by pytorch, vLLM and llama.cpp's server at four rates each.

A study of each engine, as a user writes it: one environment does not hold two engines, and llem says so. All get the same
prompts and the same arrivals. pytorch and vLLM compute in float32, llama.cpp as the file is quantised.

It runs in an environment with vLLM, llem-vllm, llem-pytorch, llem-openai and llem-serving; `--keep` wants llem-report too.
`--llamacpp` names an interpreter that has xllamacpp; without it that engine is `absent`. `--docs` draws
docs/images/serving_engines.svg from the kept results, and needs matplotlib.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.engines.picture import draw
from bench.report import Figure, arguments, machine, publish
from bench.throughput_vllm import INPUT_TOKENS, MODEL, unpack

ROOT = Path(__file__).parent.parent
PROMPTS, OUTPUT_TOKENS = 64, 8
RATES = (0.5, 1.0, 2.0, 4.0)
LOAD: Mapping[str, float] = {"ramp_s": 4, "steady_s": 0, "duration_s": 24, "parts": 6, "drain_s": 10}
QUICK_LOAD: Mapping[str, float] = {"ramp_s": 1, "steady_s": 0, "duration_s": 3, "parts": 3, "drain_s": 10}
OPTIONS: Mapping[str, object] = {"dtype": "float32", "enforce_eager": True, "max_model_len": 256, "max_num_seqs": 16}
SLO: Mapping[str, float] = {"ttft_s": 1, "tpot_s": 0.3, "attainment": 0.9}


def study(folder: Path, backend: str, rates: Sequence[float], load: Mapping[str, float], python: Path | None) -> Path:
    """The file of the study of one engine over the rates."""
    serve = [str(python), str(Path(__file__).parent / "engines" / "llamacpp_server.py"), str(_gguf()), "{port}"]
    sections: Mapping[str, Mapping[str, object]] = {
        "pytorch": {"dtype": "float32", "serving": "continuous"},
        "vllm": {**OPTIONS, "frontend": "http", "enable_prefix_caching": False},
        "openai": {"serve": serve, "served_name": str(_gguf()), "extra": {"cache_prompt": False}},
    }
    content = {
        "name": backend,
        "model": MODEL,
        "dataset": {
            "name": "jsonl",
            "path": str(folder / "prompts.jsonl"),
            "n": PROMPTS,
            "output_tokens": OUTPUT_TOKENS,
        },
        "decoding": {"length": "fixed"},
        "backend": backend,
        backend: sections[backend],
        "measurement": {"scenario": "server"},
        "load": load,
        "slo": SLO,
        "baseline": {"duration_s": 2, "resident_s": 1},
        "warmup": {"max_s": 8},
        "sweep": {"load.rate_rps": list(rates)},
        "execution": {"cycles": 1, "order": "sequential", "experiment_gap_s": 0},
    }
    file = folder / f"{backend}.yaml"
    file.write_text(json.dumps(content))
    return file


def _gguf() -> Path:
    from llem_hub.sources import locate_model

    path = locate_model(MODEL, ".").path
    assert path is not None
    return path


def llem(*words: str | Path) -> None:
    """Run a command of llem, and end where it fails."""
    done = subprocess.run([sys.executable, "-m", "llem", *map(str, words)], capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(f"llem {words[0]}: {done.stdout[-2000:]}{done.stderr[-2000:]}")


def results_in(folder: Path) -> list[dict[str, Any]]:
    """The results of a study's folder."""
    return [json.loads(file.read_text()) for file in sorted(folder.glob("experiments/*/result.json"))]


def figures_of(results: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Figure]]:
    """The findings of a study, a figure for each rate and quantity."""
    for result in results:
        name = f"{result['config']['backend']}_{result['config']['load']['rate_rps']:g}rps"
        if result["status"] != "done":  # such as a load of which nothing is answered in the window
            print(f"{name}: {result['status']}: {result['failure']}")
            yield f"{name}_{result['status']}", Figure(1.0, "1", 1)
            continue
        metrics, energy = result["scenario_metrics"], result["energy"]["headline"]
        if energy is not None and metrics["good_tokens"]:
            yield f"{name}_j_per_good_token", Figure(energy["energy_j"] / metrics["good_tokens"], "J", 1)
        for key, unit in (("attainment", "1"), ("achieved_rps", "1/s"), ("in_flight_mean", "1")):
            if metrics[key] is not None:
                yield f"{name}_{key}", Figure(metrics[key], unit, 1)
        codes = {warning["code"] for warning in result["warnings"]}
        yield f"{name}_saturated", Figure(float("saturated" in codes), "1", 1)
        yield f"{name}_others_share", Figure(result["other_load"]["window_share"] or 0.0, "1", 1)
        yield f"{name}_requests", Figure(float(result["tokens"]["requests"]), "1", 1)
        for key in ("ttft_s", "tpot_s"):
            if result["latency"].get(key):
                yield f"{name}_{key}_p50", Figure(result["latency"][key]["p50"], "s", result["latency"][key]["n"])


def main() -> None:
    """Take the runs and publish their figures."""
    parser = arguments(__doc__)
    parser.add_argument("--llamacpp", type=Path, metavar="PYTHON", help="an interpreter that has xllamacpp")
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="copy the studies' folders there, each with its report"
    )
    parser.add_argument("--docs", action="store_true", help="only draw the picture of the results that are kept")
    options = parser.parse_args()
    if options.docs:
        kept = ROOT / "bench" / "results" / "serving_engines.json"
        draw(json.loads(kept.read_text()), ROOT / "docs" / "images" / "serving_engines.svg")
        return
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB; else it asks for most of the memory
    where = machine()
    backends = ["pytorch"] if options.quick else ["pytorch", "vllm"] + (["openai"] if options.llamacpp else [])
    where["engines"] = {"pytorch": "float32, continuous", "vllm": "float32, http", "openai": "llama.cpp, Q4_1"}
    if not options.llamacpp:
        where["engines"]["openai"] = "absent"  # type: ignore[index]
    where["workload"] = {"model": MODEL, "input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS, **LOAD}
    figures: dict[str, Figure] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        unpack(folder, PROMPTS, {})
        rates, load = (RATES[1:2], QUICK_LOAD) if options.quick else (RATES, LOAD)
        for backend in backends:
            output = folder / "results" / backend
            llem("run", study(folder, backend, rates, load, options.llamacpp), "--no-gaps", "--output", output)
            (found,) = output.iterdir()
            if options.keep:
                shutil.copytree(found, options.keep / backend, dirs_exist_ok=True)
                llem("report", options.keep / backend)
            figures.update(figures_of(results_in(found)))
    publish("serving_engines", where, figures, options.json)


if __name__ == "__main__":
    main()
