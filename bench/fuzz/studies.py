"""Study files as a target: YAML that a stranger or a slip wrote, through loading, the sweep and the plan."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from llem.config.layers import load_study
from llem.config.reading import read_yaml
from llem.errors import LlemError
from llem.plan import make_plan
from llem.plan.show import describe
from llem.plugins import Registry, default_registry
from llem.results.text import plain
from llem.specs.kinds import BACKENDS, RUNNERS

LONGEST = 20_000
"""Characters of an error that somebody can still read."""

_SEEDS = {
    "sweep": """name: batch-and-precision
model: HuggingFaceTB/SmolLM2-135M-Instruct
dataset: {name: aienergyscore, n: 100, input_tokens: null, output_tokens: 128}
backend: pytorch
pytorch: {dtype: bfloat16}
measurement: {min_window_s: 10, sample_hz: 20}
sweep:
  pytorch.batch_size: [1, 8, 32]
  pytorch.dtype: [float32, bfloat16]
execution: {cycles: 3, order: shuffled, seed: 42, experiment_gap_s: 30}
""",
    "backends": """model: random:tiny-llama
dataset: {name: synthetic, n: 8, input_tokens: 16, output_tokens: 16}
sweep:
  backend: [pytorch, vllm]
  vllm.environment: [{VLLM_USE_V1: "1"}]
  decoding.temperature: [0, 0.7]
runners: {pytorch: local, vllm: "docker:image:tag"}
baseline: {enabled: false}
warmup: {enabled: true, min_prompts: 2, max_prompts: 8}
""",
    "explicit": """model: &m random:tiny-llama
backend: pytorch
dataset: prompts.jsonl
experiments:
  - pytorch: {batch_size: 1}
  - {pytorch: {batch_size: 2}, decoding: {length: natural}}
  - model: *m
limits: {timeout_s: 600}
""",
}


def recordings() -> Mapping[str, bytes]:
    """Each study by its name."""
    return {name: text.encode() for name, text in _SEEDS.items()}


@cache
def _registry() -> Registry:
    return default_registry()


def read(data: bytes, seed: int) -> str:
    """Plan a study file of these bytes. Returns `planned` or `told`; anything else is raised."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "study.yaml")
        path.write_bytes(data)
        try:
            registry = _registry()
            study = load_study(
                path,
                environ={},
                user=read_yaml("{}", "nothing", may_be_empty=True),
                backends=registry[BACKENDS],
                find_backend=partial(registry.find, BACKENDS),
                runners=registry[RUNNERS],
            )
            plan = make_plan(study, registry)
            list(islice(describe(plan, 40), 200))
        except LlemError as error:
            text = plain(str(error))
            text.encode()
            if len(text) > LONGEST:
                raise AssertionError(f"an error of {len(text):,} characters") from error
            return "told"
    return "planned"
