"""Puts a load to the server by `vllm bench serve`.

Its own module is called in place of the command `vllm`, which looks for a distribution of just that name and so does not start
where vLLM was installed from its wheel for CPUs. What runs is the same.
"""

from __future__ import annotations

import json
from pathlib import Path

from bench.load import tokenizer
from bench.load.judging import LATENCIES, PERCENTS, Told
from bench.load.load import Load
from bench.load.process import call
from bench.load.seen import Account

COMMAND = (
    "import argparse; from vllm.benchmarks.serve import add_cli_args, main; parser = argparse.ArgumentParser(); "
    "add_cli_args(parser); main(parser.parse_args())"
)


def run(python: Path, load: Load, account: Account, folder: Path) -> Told:
    """One run, and what its result file says. It tells no schedule: its `start_times` are those at which it sent."""
    load.write_prompts(folder / "prompts.jsonl")
    tokenizer.write(folder / "tokenizer")
    options = {
        "backend": "openai",
        "base-url": account.address.removesuffix("/v1"),
        "model": "mock",
        "tokenizer": folder / "tokenizer",
        "dataset-name": "custom",
        "dataset-path": folder / "prompts.jsonl",
        "custom-output-len": load.tokens,
        "num-prompts": load.requests,
        "request-rate": load.rate_rps,
        "burstiness": "inf" if load.arrival == "constant" else 1.0,
        "seed": load.seed,
        "percentile-metrics": ",".join(LATENCIES),
        "metric-percentiles": ",".join(map(str, PERCENTS)),
        "result-dir": folder,
        "result-filename": "vllm.json",
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    flags = ["--skip-chat-template", "--disable-shuffle", "--ignore-eos", "--save-result", "--disable-tqdm"]
    call([python, "-c", COMMAND, *words, *flags], folder)
    found = json.loads((folder / "vllm.json").read_text())
    return Told(
        latency_s={name: {percent: found[f"p{percent}_{name}_ms"] / 1e3 for percent in PERCENTS} for name in LATENCIES},
        requests=found["completed"] + found["failed"],
        failed=found["failed"],
    )
