"""Puts a load to the server by AIPerf.

It counts tokens by a tokenizer that counts as the server does. Its gaps between tokens are what it calls inter-chunk latency; its
inter-token latency is a mean of each request.
"""

from __future__ import annotations

import json
from pathlib import Path

from bench.load import tokenizer
from bench.load.judging import PERCENTS, Told
from bench.load.load import Load
from bench.load.process import call
from bench.load.seen import Account

_CALLED = {"ttft": "time_to_first_token", "itl": "inter_chunk_latency", "tpot": "inter_token_latency"}


def run(python: Path, load: Load, account: Account, folder: Path) -> Told:
    """One run, and what its export says. It tells when it gave each request out to a worker, and not when it was to."""
    load.write_prompts(folder / "prompts.jsonl", key="text")
    tokenizer.write(folder / "tokenizer")
    options = {
        "model": "mock",
        "url": account.address.removesuffix("/v1"),
        "endpoint-type": "completions",
        "tokenizer": folder / "tokenizer",
        "input-file": folder / "prompts.jsonl",
        "custom-dataset-type": "single-turn",
        "osl": load.tokens,
        "extra-inputs": "ignore_eos:true",
        "request-count": load.requests,
        "request-rate": load.rate_rps,
        "arrival-pattern": load.arrival,
        "random-seed": load.seed,
        "artifact-dir": folder / "aiperf",
        "ui": "none",
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    flags = ["--streaming", "--use-legacy-max-tokens", "--no-gpu-telemetry", "--no-server-metrics"]
    # The hub is not asked for a folder; in offline mode this release takes no folder at all.
    call([python.with_name("aiperf"), "profile", *words, *flags], folder, offline=False)
    found = json.loads((folder / "aiperf" / "profile_export_aiperf.json").read_text())
    answered, completed = (round(found[name]["avg"]) for name in ("request_count", "completed_request_count"))
    return Told(
        latency_s={
            name: {percent: found[called][f"p{percent}"] / 1e3 for percent in PERCENTS}
            for name, called in _CALLED.items()
        },
        requests=completed,
        failed=completed - answered,
    )
