"""Studies with whole results, of shapes that cost an analysis in different ways: `python -m bench.scaling.shapes SHAPE N FOLDER`.

Prints the study's folder and how many results it has, as JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.scaling.whole import registry
from llem.config.layers import load_study
from llem.config.reading import read_yaml
from llem.plan import make_plan
from llem.progress import TextReporter
from llem.specs.kinds import BACKENDS
from llem.study.folder import create
from llem.study.loop import run_plan
from llem.study.run import bring_together

HEAD = """\
model: random:tiny-llama
runners: {first: whole, second: whole}
dataset: {name: synthetic, n: 64, input_tokens: 8, output_tokens: 16}
"""

SHAPES: Mapping[str, str] = {
    "cycles": "ten configurations, the more cycles of each",
    "factors": "five parameters, every combination, three cycles",
    "gaps": "the same, and combinations of the widest type that are out of memory",
    "distinct": "four parameters, every combination, one cycle",
    "values": "one parameter of very many values, one cycle",
    "unlike": "two backends, each with a parameter of its own, five cycles, the first on other machines",
}


def study_text(shape: str, n: int) -> str:
    """YAML of a study of about `n` experiments.

    Raises:
        ValueError: there is no such shape, or `n` is below 200.
    """
    if n < 200 or shape not in SHAPES:
        raise ValueError(f"a shape is one of {', '.join(SHAPES)}, of 200 experiments at least")
    return f"name: {shape}-{n}\n{HEAD}{_sweep(shape, n)}execution: {{cycles: {_cycles(shape, n)}, experiment_gap_s: 0, cycle_gap_s: 0}}\n"


def _cycles(shape: str, n: int) -> int:
    return {"cycles": n // 10, "factors": 3, "gaps": 3, "distinct": 1, "values": 1, "unlike": 5}[shape]


def _sweep(shape: str, n: int) -> str:
    if shape == "unlike":
        return _unlike(n // 5)
    axes: dict[str, Any] = {
        "cycles": lambda: {"first.batch_size": 5, "first.dtype": 2},
        "factors": lambda: _five(n // 3),
        "gaps": lambda: _five(n // 3),
        "distinct": lambda: {
            "first.batch_size": max(2, n // 100),
            "first.dtype": 2,
            "decoding.temperature": 10,
            "dataset.output_tokens": 5,
        },
        "values": lambda: {"first.batch_size": n},
    }[shape]()
    lines = "".join(f"  {name}: {_values(name, count)}\n" for name, count in axes.items())
    fixed = f"first: {{fails: {axes['first.batch_size'] - 1}}}\n" if shape == "gaps" else ""
    return f"backend: first\n{fixed}sweep:\n{lines}"


def _five(configurations: int) -> dict[str, int]:
    """Five parameters with so many combinations, roughly: 15 × 5 × 5 × 3 × 3 are 3,375."""
    wide, narrow = (5, 3) if configurations >= 1_000 else (3, 2)
    return {
        "first.batch_size": max(2, round(configurations / (wide * narrow) ** 2)),
        "decoding.temperature": wide,
        "dataset.output_tokens": wide,
        "first.dtype": narrow,
        "first.attention": narrow,
    }


def _unlike(configurations: int) -> str:
    batches = max(2, configurations // 20)
    return f"""\
backend: first
sweep:
  backend: [first, second]
  dataset.output_tokens: {_values("dataset.output_tokens", 5)}
  first.batch_size: {_values("first.batch_size", batches)}
  first.dtype: {_values("first.dtype", 2)}
  second.batch_size: {_values("first.batch_size", batches)}
  second.prefix_caching: [false, true]
"""


def _values(name: str, count: int) -> str:
    if name == "first.batch_size":
        return f"{{min: 1, max: {count}, num: {count}}}"
    if name == "dataset.output_tokens":
        return str([16 * (place + 1) for place in range(count)])
    if name == "decoding.temperature":
        return str([place / 10 for place in range(count)])
    words = {"first.dtype": ("float32", "bfloat16", "float16"), "first.attention": ("sdpa", "eager", "flash")}
    return str(list(words[name][:count]))


def make(shape: str, n: int, output: Path) -> tuple[Path, int]:
    """Run a study of this shape; its folder, and how many results it has."""
    installed = registry()
    document = read_yaml(study_text(shape, n), "study.yaml").data
    plan = make_plan(load_study(None, document=document, environ={}, backends=installed[BACKENDS]), installed)
    folder = create(output, plan.name)
    with Path("/dev/null").open("w") as nowhere:
        outcome = run_plan(plan, installed, folder, TextReporter(nowhere))
        bring_together(folder, outcome.state, outcome.table)
    return folder, outcome.counts["done"] + outcome.counts["failed"]


if __name__ == "__main__":
    made, results = make(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
    print(json.dumps({"folder": str(made), "results": results}))
