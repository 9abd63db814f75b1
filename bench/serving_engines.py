"""Real engines under load: SmolLM2 by pytorch, vLLM and llama.cpp's server at four rates each, and vLLM's server judged by two tools.

The first part is a study of each engine at four rates, as a user writes it, with its report beside it: one environment does
not hold two engines, and llem says so. All get the same prompts and the same arrivals. pytorch and vLLM compute in float32,
llama.cpp as the file is quantised.

The second part puts the same load (rate, prompts, lengths, constant arrivals) to one server of vLLM, by llem and by
`vllm bench serve` in turn. Each tool's median over its runs and its least and greatest run are told. Throughput is told by two
rules: llem counts tokens in a window that is cut out of the load; the other divides all tokens by the time to the last answer,
the last latency included.

It runs in an environment with vLLM, llem-vllm, llem-pytorch, llem-openai and llem-serving. `--llamacpp` names an
interpreter that has xllamacpp; without it that engine is `absent`.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.load.with_vllm import COMMAND
from bench.report import Figure, arguments, machine, publish
from bench.throughput_vllm import INPUT_TOKENS, MODEL, unpack

ROOT = Path(__file__).parent.parent
PROMPTS, OUTPUT_TOKENS = 64, 16
RATES = (0.5, 1.0, 2.0, 4.0)
LOAD: Mapping[str, float] = {"ramp_s": 5, "steady_s": 0, "duration_s": 30, "parts": 6, "drain_s": 20}
QUICK_LOAD: Mapping[str, float] = {"ramp_s": 1, "steady_s": 0, "duration_s": 3, "parts": 3, "drain_s": 10}
SAME_SERVER_RATES = (1.0, 2.0)
REPEATS = 3
OPTIONS: Mapping[str, object] = {"dtype": "float32", "enforce_eager": True, "max_model_len": 256, "max_num_seqs": 16}
SLO: Mapping[str, float] = {"ttft_s": 1, "tpot_s": 0.3, "attainment": 0.9}


@dataclass(frozen=True)
class Seen:
    """A run of one tool against the server.

    Attributes:
        ttft_ms: median time to the first token.
        tpot_ms: median time per output token after the first.
        tokens_per_s: output tokens a second, by the tool's own rule.
        requests: that the figures rest on.
    """

    ttft_ms: float
    tpot_ms: float
    tokens_per_s: float
    requests: int


def study(folder: Path, backend: str, rates: Sequence[float], load: Mapping[str, float], python: Path | None) -> Path:
    """The file of the study of one engine over the rates."""
    serve = [str(python), str(Path(__file__).parent / "engines" / "llamacpp_server.py"), str(_gguf()), "{port}"]
    sections: Mapping[str, Mapping[str, object]] = {
        "pytorch": {"dtype": "float32", "serving": "continuous"},
        "vllm": {**OPTIONS, "frontend": "http", "enable_prefix_caching": False},
        "openai": {"serve": serve, "extra": {"cache_prompt": False}},
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
        "warmup": {"max_s": 10},
        "sweep": {"load.rate_rps": list(rates)},
        "execution": {"cycles": 1, "order": "sequential", "experiment_gap_s": 0},
    }
    file = folder / f"{backend}.yaml"
    file.write_text(json.dumps(content))
    return file


def _gguf() -> Path:
    from llem.models.sources import locate_model

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
        if result["status"] != "done":
            raise SystemExit(f"an experiment failed: {result['failure']}")
        name = f"{result['config']['backend']}_{result['config']['load']['rate_rps']:g}rps"
        metrics, energy = result["scenario_metrics"], result["energy"]["headline"]
        if energy is not None and metrics["good_tokens"]:
            yield f"{name}_j_per_good_token", Figure(energy["energy_j"] / metrics["good_tokens"], "J", 1)
        for key, unit in (("attainment", "1"), ("achieved_rps", "1/s"), ("in_flight_mean", "1")):
            if metrics[key] is not None:
                yield f"{name}_{key}", Figure(metrics[key], unit, 1)
        saturated = any(warning["code"] == "saturated" for warning in result["warnings"])
        yield f"{name}_saturated", Figure(float(saturated), "1", 1)
        yield f"{name}_requests", Figure(float(result["tokens"]["requests"]), "1", 1)
        for key in ("ttft_s", "tpot_s"):
            if result["latency"].get(key):
                yield f"{name}_{key}_p50", Figure(result["latency"][key]["p50"], "s", result["latency"][key]["n"])


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, int]]:
    """`vllm serve` on the model of the folder: its address, and its process."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    flags = [word for name, value in OPTIONS.items() for word in _flag(name, value)]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder / "model"), *flags]
    command += [
        "--served-model-name",
        "small",
        "--port",
        str(port),
        "--host",
        "127.0.0.1",
        "--no-enable-prefix-caching",
    ]
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        address = f"http://127.0.0.1:{port}/v1"
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{address}/models", timeout=2)
                break
            except (urllib.error.URLError, OSError):
                if server.poll() is not None:
                    raise SystemExit((folder / "server.log").read_text()[-3000:]) from None
                time.sleep(0.5)
        yield address, server.pid
    finally:
        server.terminate()
        server.wait(30)


def _flag(name: str, value: object) -> list[str]:
    word = f"--{name.replace('_', '-')}"
    return [word] if value is True else [word, str(value)]


def by_llem(folder: Path, address: str, pid: int, rate_rps: float, number: int) -> Seen:
    """A run of llem against the server."""
    content = {
        "name": "same",
        "model": "small",
        "backend": "openai",
        "openai": {"base_url": address, "pid": pid},
        "dataset": {
            "name": "jsonl",
            "path": str(folder / "prompts.jsonl"),
            "n": PROMPTS,
            "output_tokens": OUTPUT_TOKENS,
        },
        "decoding": {"length": "fixed"},
        "measurement": {"scenario": "server", "settle_s": 0},
        "load": {**LOAD, "arrival": "constant", "rate_rps": rate_rps},
        "baseline": {"enabled": False},
        "warmup": {"enabled": False},
    }
    file, output = folder / "same.yaml", folder / f"llem-{rate_rps:g}-{number}"
    file.write_text(json.dumps(content))
    llem("run", file, "--no-gaps", "--output", output)
    (result,) = [result for found in output.iterdir() for result in results_in(found)]
    latency = result["latency"]
    return Seen(
        latency["ttft_s"]["p50"] * 1e3,
        latency["tpot_s"]["p50"] * 1e3,
        result["throughput"]["tokens_per_s"],
        latency["ttft_s"]["n"],
    )


def by_vllm_bench(folder: Path, address: str, rate_rps: float, number: int) -> Seen:
    """A run of `vllm bench serve` against the server."""
    saved = f"vllm-{rate_rps:g}-{number}.json"
    options = {
        "backend": "openai",
        "base-url": address.removesuffix("/v1"),
        "model": "small",
        "tokenizer": folder / "model",
        "dataset-name": "custom",
        "dataset-path": folder / "prompts.jsonl",
        "custom-output-len": OUTPUT_TOKENS,
        "num-prompts": round(rate_rps * (LOAD["ramp_s"] + LOAD["duration_s"])),
        "request-rate": rate_rps,
        "burstiness": "inf",
        "percentile-metrics": "ttft,tpot",
        "metric-percentiles": "50",
        "result-dir": folder,
        "result-filename": saved,
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    flags = ["--skip-chat-template", "--disable-shuffle", "--ignore-eos", "--save-result", "--disable-tqdm"]
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *words, *flags],
        cwd=folder,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"vllm bench serve: {done.stderr[-2000:]}")
    found = json.loads((folder / saved).read_text())
    return Seen(found["p50_ttft_ms"], found["p50_tpot_ms"], found["output_throughput"], found["completed"])


def judged(name: str, runs: Sequence[Seen]) -> Iterator[tuple[str, Figure]]:
    """Figures of one tool at one rate: the median, and the least and the greatest run."""
    for key, unit in (("ttft_ms", "ms"), ("tpot_ms", "ms"), ("tokens_per_s", "1/s")):
        values = sorted(getattr(run, key) for run in runs)
        middle = values[len(values) // 2]
        yield f"{name}_{key}", Figure(middle, unit, len(values), (values[-1] - values[0]) / 2, values[0], values[-1])
    yield f"{name}_requests", Figure(float(runs[0].requests), "1", 1)


def main() -> None:
    """Take the runs and publish their figures."""
    parser = arguments(__doc__)
    parser.add_argument("--llamacpp", type=Path, metavar="PYTHON", help="an interpreter that has xllamacpp")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="copy the study's folder there")
    options = parser.parse_args()
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
        rates, load = (RATES[:2], QUICK_LOAD) if options.quick else (RATES, LOAD)
        for backend in backends:
            output = folder / "results" / backend
            llem("run", study(folder, backend, rates, load, options.llamacpp), "--no-gaps", "--output", output)
            (found,) = output.iterdir()
            if options.keep:
                shutil.copytree(found, options.keep / backend, dirs_exist_ok=True)
            figures.update(figures_of(results_in(found)))
        if not options.quick:
            with serving(folder) as (address, pid):
                runs: dict[str, list[Seen]] = {}
                for number in range(REPEATS):
                    for rate in SAME_SERVER_RATES:
                        runs.setdefault(f"same_{rate:g}rps_llem", []).append(
                            by_llem(folder, address, pid, rate, number)
                        )
                        runs.setdefault(f"same_{rate:g}rps_vllm_bench", []).append(
                            by_vllm_bench(folder, address, rate, number)
                        )
            for key, seen in runs.items():
                figures.update(judged(key, seen))
    publish("serving_engines", where, figures, options.json)


if __name__ == "__main__":
    main()
