"""Puts a load to the server by guidellm.

It tells for each request when it was to start, by the wall clock, and so has a schedule of its own to be judged by. It tells no gaps
between tokens; its inter-token latency is a mean of each request.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from bench.load import tokenizer
from bench.load.judging import PERCENTS, Told
from bench.load.load import Load
from bench.load.process import call
from bench.load.seen import Account

_CALLED = {"ttft": "time_to_first_token_ms", "tpot": "inter_token_latency_ms"}


def run(python: Path, load: Load, account: Account, folder: Path) -> Told:
    """One run, and what its report says."""
    load.write_prompts(folder / "prompts.jsonl")
    tokenizer.write(folder / "tokenizer")
    options: dict[str, dict[str, Any]] = {
        "backend": {
            "kind": "openai_http",
            "target": account.address.removesuffix("/v1"),
            "model": "mock",
            "request_format": "/v1/completions",
            "max_tokens": load.tokens,
            "extras": {"body": {"ignore_eos": True}},
        },
        "profile": {"kind": load.arrival, "rate": load.rate_rps},
        "constraint": {"kind": "max_requests", "count": load.requests},
        "data": {"kind": "json_file", "path": str(folder / "prompts.jsonl")},
        "tokenizer": {"kind": "huggingface_auto", "model": str(folder / "tokenizer")},
        "seed": {"kind": "static", "value": load.seed},
        "output": {"kind": "json", "path": str(folder / "guidellm.json")},
    }
    words = [word for name, value in options.items() for word in (f"--{name}", json.dumps(value))]
    call([python.with_name("guidellm"), "run", *words, "--disable-console"], folder)
    ahead_ns = time.time_ns() - time.monotonic_ns()
    (found,) = json.loads((folder / "guidellm.json").read_text())["benchmarks"]
    asked = found["requests"]["successful"] + found["requests"]["errored"]
    due_ns = {
        _mark(one): round(targeted * 1e9) - ahead_ns
        for one in asked
        if (targeted := one["info"]["timings"]["targeted_start"]) is not None
    }
    percentiles = {name: found["metrics"][called]["successful"]["percentiles"] for name, called in _CALLED.items()}
    return Told(
        latency_s={
            name: {percent: values[f"p{percent:02}"] / 1e3 for percent in PERCENTS}
            for name, values in percentiles.items()
        },
        requests=len(asked),
        failed=len(found["requests"]["errored"]),
        due_ns=due_ns,
        marks=frozenset(due_ns),
    )


def _mark(one: dict[str, Any]) -> str:
    """The first word of the prompt that was sent."""
    prompt: str = json.loads(one["request_args"])["body"]["prompt"]
    return prompt.split(maxsplit=1)[0]
