"""One server, judged by two clients: llem and `vllm bench serve` take turns at a `vllm serve` that runs throughout.

Both send the same prompts at the same constant rate, and ask for the same number of tokens. llem leaves its ramp out of the
window; `vllm bench serve` counts all of its requests. The figure of a client is the median of its runs, with its interval, and
`agree` is 1 where the two intervals of a quantity meet.

It runs in an environment with vLLM, llem-vllm, llem-openai and llem-serving. `--rival` names an interpreter that has vLLM and
pandas, which vLLM's client wants and its server does not.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bench.load.process import call
from bench.load.with_vllm import COMMAND
from bench.report import Figure, arguments, machine, publish
from bench.serving_engines import OPTIONS, llem, results_in
from bench.throughput_vllm import INPUT_TOKENS, unpack

PROMPTS, OUTPUT_TOKENS, RATE_RPS = 64, 8, 2.0
RAMP_S, READY_S = 4, 240
UNITS: Mapping[str, str] = {
    "ttft_p50": "s",
    "ttft_mean": "s",
    "tpot_p50": "s",
    "tpot_mean": "s",
    "output_tokens_per_s": "tokens/s",
}


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Address of vLLM's server while it runs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = ["--max-model-len", str(OPTIONS["max_model_len"]), "--max-num-seqs", str(OPTIONS["max_num_seqs"])]
    flags += ["--dtype", "float32", "--enforce-eager", "--no-enable-prefix-caching", "--served-model-name", "smollm2"]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder / "model")]
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port), *flags], stdout=log, stderr=subprocess.STDOUT
        )
        try:
            _wait(server, f"http://127.0.0.1:{port}/health", folder / "server.log")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(30)


def _wait(server: subprocess.Popen[bytes], address: str, log: Path) -> None:
    end = time.monotonic() + READY_S
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise SystemExit(f"the server is not there: {log.read_text()[-2000:]}")


def by_llem(folder: Path, address: str, duration_s: float, run: int) -> dict[str, float]:
    """A run of llem."""
    dataset = {"name": "jsonl", "path": str(folder / "prompts.jsonl"), "n": PROMPTS, "output_tokens": OUTPUT_TOKENS}
    load = {"arrival": "constant", "rate_rps": RATE_RPS, "ramp_s": RAMP_S, "steady_s": 0, "duration_s": duration_s}
    content = {
        "name": "crosscheck",
        "model": str(folder / "model"),
        "dataset": dataset,
        "decoding": {"length": "fixed"},
        "backend": "openai",
        "openai": {"base_url": f"{address}/v1", "served_name": "smollm2"},
        "measurement": {"scenario": "server"},
        "load": {**load, "parts": 3, "drain_s": 20},
        "baseline": {"enabled": False},
        "warmup": {"enabled": False},
    }
    file, output = folder / "study.yaml", folder / "results" / str(run)
    file.write_text(json.dumps(content))
    llem("run", file, "--no-gaps", "--output", output)
    (study,) = output.iterdir()
    (result,) = results_in(study)
    if result["status"] != "done":
        raise SystemExit(f"llem: {result['failure']}")
    latency = result["latency"]
    return {
        **{f"{name}_{what}": latency[f"{name}_s"][what] for name in ("ttft", "tpot") for what in ("p50", "mean")},
        "output_tokens_per_s": result["throughput"]["tokens_per_s"],
    }


def by_vllm(python: Path, folder: Path, address: str, duration_s: float) -> dict[str, float]:
    """A run of `vllm bench serve`."""
    options = {
        "backend": "openai",
        "base-url": address,
        "model": "smollm2",
        "tokenizer": folder / "model",
        "dataset-name": "custom",
        "dataset-path": folder / "prompts.jsonl",
        "custom-output-len": OUTPUT_TOKENS,
        "num-prompts": round(RATE_RPS * duration_s),
        "request-rate": RATE_RPS,
        "burstiness": "inf",
        "percentile-metrics": "ttft,tpot",
        "metric-percentiles": "50",
        "result-dir": folder,
        "result-filename": "rival.json",
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    flags = ["--skip-chat-template", "--disable-shuffle", "--ignore-eos", "--save-result", "--disable-tqdm"]
    call([python, "-c", COMMAND, *words, *flags], folder)
    found = json.loads((folder / "rival.json").read_text())
    if found["failed"]:
        raise SystemExit(f"vllm bench serve: {found['failed']} requests failed.")
    return {
        **{f"{name}_p50": found[f"median_{name}_ms"] / 1e3 for name in ("ttft", "tpot")},
        **{f"{name}_mean": found[f"mean_{name}_ms"] / 1e3 for name in ("ttft", "tpot")},
        "output_tokens_per_s": found["output_throughput"],
    }


def main() -> None:
    """Take the turns and publish both clients' figures."""
    parser = arguments(__doc__)
    parser.add_argument("--rival", type=Path, required=True, metavar="PYTHON", help="an interpreter with vLLM, pandas")
    options = parser.parse_args()
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB; else it asks for most of the memory
    where = machine()
    turns, duration_s = (1, 4.0) if options.quick else (6, 24.0)
    where["workload"] = {"rate_rps": RATE_RPS, "arrival": "constant", "duration_s": duration_s, "ramp_s": RAMP_S}
    where["workload"] |= {"input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS}  # type: ignore[operator]
    runs: dict[str, list[dict[str, float]]] = {"llem": [], "vllm_bench": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        unpack(folder, PROMPTS, {})
        with served(folder) as address:
            by_vllm(options.rival, folder, address, 4)  # the server's first requests are slower
            for turn in range(turns):
                runs["llem"].append(by_llem(folder, address, duration_s, turn))
                runs["vllm_bench"].append(by_vllm(options.rival, folder, address, duration_s))
                print(f"turn {turn + 1} of {turns}: {runs['llem'][-1]}, {runs['vllm_bench'][-1]}", flush=True)
    figures: dict[str, Figure] = {}
    for key, unit in UNITS.items():
        ours, theirs = (Figure.of([run[key] for run in runs[client]], unit) for client in ("llem", "vllm_bench"))
        figures |= {f"llem_{key}": ours, f"vllm_bench_{key}": theirs}
        figures[f"{key}_ratio"] = Figure.of(
            [mine[key] / its[key] for mine, its in zip(runs["llem"], runs["vllm_bench"], strict=True)], "1"
        )
        if None not in (ours.low, ours.high, theirs.low, theirs.high):
            figures[f"{key}_agree"] = Figure(float(ours.low <= theirs.high and theirs.low <= ours.high), "1", 1)  # type: ignore[operator]
    publish("serving_crosscheck", where, figures, options.json)


if __name__ == "__main__":
    main()
