"""The cost of meters to the engine: throughput while they sample at 20 Hz against throughput without, paired in one run.

One process loads a small model once and generates without pause, in slices of equal length. Meters run in every other
slice, all that work on this machine, started and stopped as in an experiment; which slice of a pair comes first
alternates. The goal is a ratio of at least 0.995. A machine without a GPU is given a simulated card where a C compiler
is found, so that NVML's path is taken; a real driver's calls cost what the real driver's calls cost.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from bench.report import Figure, arguments, machine, publish
from llem.specs.kinds import BACKENDS, SCENARIOS

ROOT = Path(__file__).parent.parent
MODEL = "random:tiny-llama"
BATCH, INPUT_TOKENS, OUTPUT_TOKENS = 4, 32, 8
SAMPLE_HZ = 20.0


def simulated_card(folder: Path) -> dict[str, str]:
    """Variables that give a process a simulated card; none where NVML works, or no C compiler is there."""
    from llem.errors import SamplerUnavailable
    from llem.samplers.nvml_library import Nvml

    try:
        Nvml().close()
    except SamplerUnavailable:
        if shutil.which("cc") is None:
            return {}
        sys.path.insert(0, str(ROOT / "tests"))
        from sim import nvml

        scenario = folder / "scenario.txt"
        card = "gpu GPU-simulated Simulated card\npower square 100 400 0.5 0.5\ncounter 0.02 0 1\n"
        scenario.write_text(f"epoch {time.monotonic_ns()}\n{card}")
        return {**nvml.environment(nvml.build(folder), scenario)}
    return {}


class Load:
    """The engine at work."""

    def __init__(self) -> None:
        from llem.config.compose import Composer
        from llem.plugins import default_registry, load_object
        from llem.specs.backend import LoadContext, Request

        registry = default_registry()
        document: dict[str, Any] = {
            "model": MODEL,
            "backend": "pytorch",
            "dataset": {"name": "synthetic", "n": BATCH, "input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS},
            "pytorch": {"dtype": "float32", "batch_size": BATCH},
        }
        config = Composer(registry[BACKENDS], registry[SCENARIOS]).compose(document)
        self._engine: Any = load_object(registry.find(BACKENDS, "pytorch").engine)()
        self._engine.load(LoadContext(config=config, base_dir=".", progress=lambda _: None))
        self._batch: Sequence[Any] = [
            Request(id=i, prompt_token_ids=list(range(1, INPUT_TOKENS + 1)), output_tokens=OUTPUT_TOKENS)
            for i in range(BATCH)
        ]

    def tokens_per_s(self, seconds: float) -> float:
        """Output tokens per second over whole batches that fill this time."""
        tokens, start = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - start) < seconds:
            tokens += sum(record.output_tokens for record in self._engine.generate(self._batch))
        return tokens / elapsed

    def close(self) -> None:
        """Let go of the model."""
        self._engine.close()


def metered(load: Load, seconds: float, folder: Path) -> tuple[float, float, list[str]]:
    """Tokens per second with meters, the share of one core that sampling took, and which samplers ran."""
    from llem.config.experiment import MeasurementConfig
    from llem.measure.meter import Meter
    from llem.plugins import default_registry

    meter = Meter(folder, MeasurementConfig(sample_hz=SAMPLE_HZ), default_registry(), lambda *_: None)
    reports = meter.start()
    try:
        sampling = next(c for c in psutil.Process().children() if "llem.measure.sampling" in c.cmdline())
        before, start = sum(sampling.cpu_times()[:2]), time.perf_counter()
        rate = load.tokens_per_s(seconds)
        share = (sum(sampling.cpu_times()[:2]) - before) / (time.perf_counter() - start)
    finally:
        meter.stop()
    return rate, share, [report.name for report in reports if report.used]


def main() -> int:
    """Pairs in alternating order; the figure is the median of the pairs' ratios."""
    options = arguments(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "NVML_SIM" not in os.environ and (card := simulated_card(folder)):
            # The library is found when a process starts.
            command = [sys.executable, "-m", "bench.sampler_overhead", *sys.argv[1:]]
            return subprocess.run(command, env={**os.environ, **card}, check=False).returncode
        measure(folder, *((7, 1.5) if options.quick else (40, 2.0)), options.json)
    return 0


def measure(folder: Path, pairs: int, seconds: float, file: Path | None) -> None:
    """Take pairs of slices of some seconds each, and report."""
    where = machine()
    load = Load()
    load.tokens_per_s(seconds)
    with_meters: list[float] = []
    without: list[float] = []
    shares: list[float] = []
    samplers: list[str] = []
    for pair in range(pairs):
        if pair % 2:
            without.append(load.tokens_per_s(seconds))
        rate, share, samplers = metered(load, seconds, folder)
        with_meters.append(rate)
        shares.append(100 * share)
        if not pair % 2:
            without.append(load.tokens_per_s(seconds))
    load.close()
    where["samplers"] = [*samplers, "NVML is simulated"] if "NVML_SIM" in os.environ else samplers
    print("samplers:", ", ".join([*samplers, *["NVML is simulated"] * ("NVML_SIM" in os.environ)]))
    figures = {
        "ratio": Figure.of([a / b for a, b in zip(with_meters, without, strict=True)], "1"),
        "metered_tokens_per_s": Figure.of(with_meters, "tokens/s"),
        "plain_tokens_per_s": Figure.of(without, "tokens/s"),
        "sampling_core_pct": Figure.of(shares, "%"),
    }
    publish("sampler_overhead", where, figures, file)


if __name__ == "__main__":
    sys.exit(main())
